import math

import pytest

from keypoints.benchmark.growth import POINTS, ROWS, RUNS, WRONG, Cost
from keypoints.reports.growth import draw_growth

NONE = [math.nan] * 3


def test_each_kind_has_panels_with_a_line_of_proportional_growth():
    costs = [
        Cost(ROWS, 10, 4.0, 3.0, 80.0, 6.0, 5.0, 90.0, 1.0),
        Cost(ROWS, 100, 8.0, 6.0, 200.0, 30.0, 20.0, 300.0, 1.0),
        Cost(RUNS, 200, *NONE, 60.0, 50.0, 400.0, 2.0),
        Cost(RUNS, 10, *NONE, 6.0, 5.0, 200.0, 1.0),
        Cost(WRONG, 99, *NONE, 6.0, 5.0, 200.0, 0.0, "error"),
    ]
    seconds, megabytes, of_report, _ = draw_growth(costs).axes
    lines = {line.get_label(): line.get_ydata() for line in seconds.get_lines()}
    assert list(lines["first step, processor"]) == [3, 6]
    assert list(lines["in proportion"]) == pytest.approx([3, 30])
    assert megabytes.get_yscale() == megabytes.get_xscale() == "log"
    assert [line.get_label() for line in of_report.get_lines()] == [
        "command, by the clock",
        "command, processor",
        "in proportion",
    ]
    assert list(of_report.get_lines()[0].get_xdata()) == [10, 200]


def test_a_table_without_kinds_is_plotted():
    assert len(draw_growth([Cost(POINTS, 1, 4.0, 3.0, 80.0, 6.0, 5.0, 90.0, 1.0)]).axes) == 2
    assert len(draw_growth([]).axes) == 2
