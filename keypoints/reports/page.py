"""Self-contained HTML pages."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from PIL import Image

from keypoints.errors import printable
from keypoints.files import write_atomically
from keypoints.reports.closeups import CloseUp

_MOST_PNG = 300_000
"""Size of a PNG in bytes above which a page embeds it in another format."""

_QUALITY = 85
"""Quality of the pictures in WebP's format, from 0 to 100."""


@dataclass(frozen=True)
class Picture:
    """PNG file that a page embeds.

    Args:
        path: the file.
        title: heading.
        caption: text below it.
        closeups: close-ups that the page shows instead of the file, by the heading of their group; they fit
            any width of a screen.
        wide: show the file with faces that are large on a phone too, where it scrolls sideways.
    """

    path: Path
    title: str
    caption: str
    closeups: Mapping[str, Sequence[CloseUp]] = field(default_factory=dict)
    wide: bool = False

    @property
    def source(self) -> str:
        """Data URL of the picture. Large pictures, which show photos, are embedded in WebP's format."""
        kind, contents = "png", self.path.read_bytes()
        if len(contents) > _MOST_PNG:
            kind, contents = "webp", _as_webp(contents)
        return f"data:image/{kind};base64," + base64.b64encode(contents).decode("ascii")


def _as_webp(contents: bytes) -> bytes:
    made = io.BytesIO()
    with Image.open(io.BytesIO(contents)) as picture:
        picture.convert("RGB").save(made, "webp", quality=_QUALITY)
    return made.getvalue()


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill a template and write the page atomically. Values are escaped."""
    write_atomically(path, render(template, **values))
    return path


def render(template: str, **values: Any) -> str:
    """Return the text of a template with values filled in. Values are escaped."""
    environment = Environment(
        loader=PackageLoader("keypoints.reports"), autoescape=True, finalize=_without_controls
    )
    return environment.get_template(template).render(**values)


def _without_controls(value: object) -> object:
    """Return text without control characters and direction marks; markup from templates is not changed."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return printable(value, lines=True)
