"""Table of the findings in a data set, for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from keypoints.data.checks import Count, Finding
from keypoints.errors import one_line
from keypoints.reports.console import PlainConsole

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
    count_table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "found", "published"):
        count_table.add_column(column, justify="right" if column else "left")
    for count in counts:
        style = None if count.published in (None, count.found) else "yellow"
        published = "" if count.published is None else str(count.published)
        count_table.add_row(count.what, str(count.found), published, style=style)
    console.print(count_table)
    if not findings:
        console.print("nothing is wrong")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("")
    table.add_column("what", overflow="fold")
    for finding in findings[:_MOST]:
        kind = Text("wrong", "red") if finding.wrong else Text("remark", "yellow")
        table.add_row(finding.file, kind, one_line(finding.what))
    console.print(table)
    if len(findings) > _MOST:
        console.print(f"and {len(findings) - _MOST} more: output=<file.csv> keeps them all")
