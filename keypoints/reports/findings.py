"""Table of the findings in a data set, for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from keypoints.data.checks import Count, Finding
from keypoints.errors import one_line
from keypoints.reports.console import PlainConsole
from keypoints.reports.terminal_table import Column, TerminalTable

_MOST = 40
"""Largest number of rows; more would scroll the table of counts out of view."""


def print_findings(root: Path, counts: Sequence[Count], findings: Sequence[Finding]) -> None:
    """Print the counts beside the published counts, then the findings.

    Args:
        root: folder of the data set.
        counts: counted numbers, with the published numbers.
        findings: errors and remarks.
    """
    console = PlainConsole()
    console.print(str(root), highlight=False, soft_wrap=True)
    count_table = TerminalTable([Column("", text=True), Column("found"), Column("published")])
    for count in counts:
        style = None if count.published in (None, count.found) else "yellow"
        published = "" if count.published is None else str(count.published)
        count_table.add([count.what, str(count.found), published], style)
    count_table.print(console)
    if not findings:
        console.print("nothing is wrong")
        return
    table = TerminalTable([Column(title, text=True) for title in ("file", "", "what")])
    for finding in findings[:_MOST]:
        kind = Text("wrong", "red") if finding.wrong else Text("remark", "yellow")
        table.add([finding.file, kind, one_line(finding.what)])
    table.print(console)
    if len(findings) > _MOST:
        console.print(f"and {len(findings) - _MOST} more: output=<file.csv> keeps them all")
