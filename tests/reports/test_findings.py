from pathlib import Path

from keypoints.data.checks import Count, Finding
from keypoints.reports.findings import print_findings


def test_counts_and_findings_are_printed_as_they_are(capsys):
    findings = [Finding("a [b].jpg", "is [damaged]"), Finding("c.jpg", "stands twice", wrong=False)]
    print_findings(Path("some[where]"), [Count("faces", 3, 4)], findings)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "some[where]" in lines
    assert "faces 3 4" in lines
    assert "a [b].jpg wrong is [damaged]" in lines
    assert "c.jpg remark stands twice" in lines


def test_a_clean_data_set_is_told_so(capsys):
    print_findings(Path("data"), [Count("faces", 4, 4)], [])
    assert "nothing is wrong" in capsys.readouterr().out


def test_of_very_many_findings_the_first_are_shown_and_the_others_counted(capsys):
    print_findings(Path("data"), [], [Finding(f"{number}.jpg", "bad") for number in range(100)])
    out = capsys.readouterr().out
    assert "39.jpg" in out
    assert "40.jpg" not in out
    assert "and 60 more: output=<file.csv> keeps them all" in out
