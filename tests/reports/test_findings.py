from pathlib import Path

from keypoints.data.checks import Count, Finding
from keypoints.reports.findings import print_findings


def test_counts_and_findings_are_printed_literally(capsys):
    findings = [Finding("a [b].jpg", "is [damaged]"), Finding("c.jpg", "stands twice", wrong=False)]
    print_findings(Path("some[where]"), [Count("faces", 3, 4)], findings)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "some[where]" in lines
    assert "faces 3 4" in lines
    assert "a [b].jpg wrong is [damaged]" in lines
    assert "c.jpg remark stands twice" in lines


def test_a_data_set_without_findings_is_reported_as_such(capsys):
    print_findings(Path("data"), [Count("faces", 4, 4)], [])
    assert "nothing is wrong" in capsys.readouterr().out


def test_only_the_first_of_very_many_findings_are_shown(capsys):
    print_findings(Path("data"), [], [Finding(f"{number}.jpg", "bad") for number in range(100)])
    out = capsys.readouterr().out
    assert "39.jpg" in out
    assert "40.jpg" not in out
    assert "and 60 more: output=<file.csv> keeps them all" in out
