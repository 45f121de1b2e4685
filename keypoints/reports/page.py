"""Self-contained HTML pages."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from keypoints.errors import printable
from keypoints.files import write_atomically


@dataclass(frozen=True)
class Picture:
    """PNG file that a page embeds."""

    path: Path
    title: str
    caption: str

    @property
    def source(self) -> str:
        """Data URL of the picture."""
        return "data:image/png;base64," + base64.b64encode(self.path.read_bytes()).decode("ascii")


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
