r"""The photos that a list names: where they are, on whatever machine it was written.

Windows writes ``images\a.jpg``; a Mac writes é as e and an accent. Either is the photo that is there.
"""

import os
import unicodedata
from pathlib import Path, PureWindowsPath

from keypoints.data.formats.values import quoted
from keypoints.errors import shortened
from keypoints.input_files import MISSING, why_not_regular

_MOST_SHOWN = 255
"""Characters of a name in a message; file systems take as many bytes."""


class PhotoNames:
    """Finds photos by the names that a list has for them. Links are followed; names lead nowhere else.

    Args:
        root: the folder that the names start from.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str, *, missing_ok: bool = False) -> str:
        """Return the path from the root of the photo that a list calls ``name``, as it is spelt on disk.

        Args:
            name: with slashes, or with backslashes as on Windows; in any form of Unicode.
            missing_ok: whether it need not be there.

        Raises:
            ValueError: if it leads out of the root, or is missing, or is no regular file.
        """
        inside = name_below(self.root, name)
        if (why := why_not_regular(self.root / inside)) == MISSING:
            if PureWindowsPath(name).is_absolute():
                raise ValueError(f"{quoted(name)} is not a name below {self.root}")
            inside = name_below(self.root, name.replace("\\", "/"))
            for other in (inside, inside.strip()):
                if (found := self._on_disk(other)) is not None:
                    return found
        if why is not None and not missing_ok:
            shown = shortened(inside, _MOST_SHOWN)
            raise ValueError(f"its picture {shown} {why}{f' from {self.root}' if why == MISSING else ''}")
        return inside

    def _on_disk(self, inside: str) -> str | None:
        """The path of a regular file whose names differ by their Unicode form at most."""
        found = Path()
        for part in Path(inside).parts:
            if not os.path.lexists(self.root / found / part):
                same = self._listing(self.root / found).get(composed(part), [])
                if len(same) != 1:
                    return None
                part = same[0]  # noqa: PLW2901
            found /= part
        return found.as_posix() if why_not_regular(self.root / found) is None else None

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """The names in a folder by their composed form."""
        if folder not in self._listings:
            names = self._listings[folder] = {}
            if folder.is_dir():
                for name in os.listdir(folder):  # noqa: PTH208 - names alone
                    names.setdefault(composed(name), []).append(name)
        return self._listings[folder]


def composed(name: str) -> str:
    """Return a name in the form of Unicode that has é as one character."""
    return unicodedata.normalize("NFC", name)


def name_below(root: Path, name: str) -> str:
    """A name in a list as the path from ``root``.

    Raises:
        ValueError: if it leads out of that folder.
    """
    inside = os.path.normpath(name) if name else ""
    if "\0" in inside or Path(inside).is_absolute() or Path(inside).parts[:1] in ((), ("..",)):
        raise ValueError(f"{quoted(name)} is not a name below {root}")
    return inside
