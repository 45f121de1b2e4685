from keypoints.benchmark.spread import Spread
from keypoints.reports.speed_bars import draw_speed_bars


def test_bars_show_rates_and_both_times_of_each_part():
    spreads = {"part": Spread(20.0, 10.0, 40.0), "all": Spread(5.0, 4.0, 6.0)}
    figure = draw_speed_bars(
        spreads, spreads, spreads, thing="photo", title="a title", words=str.upper, grey=("part",)
    )
    left, right = figure.axes
    assert figure.get_suptitle() == "a title"
    assert [label.get_text() for label in left.get_yticklabels()] == ["PART", "ALL"]
    assert [bar.get_width() for bar in left.patches] == [20.0, 5.0]
    assert left.patches[0].get_facecolor() != left.patches[1].get_facecolor()
    assert [bar.get_width() for bar in right.patches] == [20.0, 5.0, 20.0, 5.0]
    assert right.get_xlabel() == "milliseconds per photo, median"
