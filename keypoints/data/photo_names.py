r"""Lookup of photos by the names in a list, whatever system the list was written on.

Windows writes ``images\a.jpg``; a Mac writes é as e and an accent. Both are matched to the file on disk.
"""

import os
import unicodedata
from pathlib import Path, PureWindowsPath

from keypoints.data.formats.values import quoted
from keypoints.errors import shortened
from keypoints.input_files import MISSING, why_not_regular

_MOST_SHOWN = 255
"""Longest name in a message, in characters; file systems allow as many bytes."""


class PhotoNames:
    """Lookup of photos by the names in a list. Links are followed; names that leave the folder are refused.

    Args:
        root: the folder that the names are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str, *, missing_ok: bool = False) -> str:
        """Return the path of a photo relative to the root, as it is spelt on disk.

        Args:
            name: the photo's name in the list, with slashes or backslashes, in any Unicode form.
            missing_ok: whether the photo may be missing.

        Raises:
            ValueError: if the name leads out of the root, or the photo is missing or no regular file.
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
        """Return the path of a regular file with this name up to its Unicode form; ``None`` if not unique."""
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
        """Return the names in a folder by their composed form."""
        if folder not in self._listings:
            names = self._listings[folder] = {}
            if folder.is_dir():
                for name in os.listdir(folder):  # noqa: PTH208 - names alone
                    names.setdefault(composed(name), []).append(name)
        return self._listings[folder]


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), in which é is one character."""
    return unicodedata.normalize("NFC", name)


def name_below(root: Path, name: str) -> str:
    """Return a name in a list as a normalised path relative to ``root``.

    Raises:
        ValueError: if it leads out of that folder.
    """
    inside = os.path.normpath(name) if name else ""
    path = Path(inside)
    if "\0" in inside or path.is_absolute() or path.parts[:1] in ((), ("..",)):
        raise ValueError(f"{quoted(name)} is not a name below {root}")
    return inside
