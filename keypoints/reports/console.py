"""The terminal, for text from outside."""

from typing import Any

from rich.console import Console
from rich.text import Text

from keypoints.errors import printable


class PlainConsole(Console):
    """Console that prints text as it stands: ``[red]`` and ``:smile:`` are no commands, nor is an escape.

    Args:
        stderr: print to standard error.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return the text, ready to be printed; cells of tables come here too.

        Args:
            text: what to print; its line ends stay.
            how: as of :meth:`rich.console.Console.render_str`.
        """
        return super().render_str(printable(text, lines=True), **how)
