"""Console of the terminal for text that this package did not write."""

from typing import Any

from rich.console import Console
from rich.text import Text

from keypoints.errors import printable


class PlainConsole(Console):
    """Console that prints text literally: ``[red]``, ``:smile:`` and escape sequences have no effect.

    Args:
        stderr: print to standard error.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return the text, ready to be printed; rich calls this method for cells of tables too.

        Args:
            text: text to print; its line breaks are kept.
            how: further arguments of :meth:`rich.console.Console.render_str`.
        """
        return super().render_str(printable(text, lines=True), **how)
