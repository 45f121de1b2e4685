from keypoints.benchmark.peers import Times, summarised
from keypoints.reports.peers import draw_peers


def test_a_panel_shows_the_ways_of_a_work_and_number_of_threads():
    ways = {"keypoints": {"epoch": Times(2, 3)}, "bare loop": {"epoch": Times(1, 1), "steps": Times(1, 1)}}
    rows = [row for threads in (1, 2) for row in summarised([ways], "nose_tip", threads, "s")]
    faces = summarised([{"keypoints": {"box": Times(5, 6)}}], "face", 1, "ms")
    figure = draw_peers({"train": rows, "predict": faces})
    shown = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(shown) == [
        "nose_tip: epoch, one thread",
        "nose_tip: epoch, 2 threads",
        "nose_tip: steps, one thread",
        "nose_tip: steps, 2 threads",
        "points of a face whose box is given, one thread",
    ]
    bars = shown["nose_tip: epoch, one thread"].patches
    assert [bar.get_width() for bar in bars] == [2, 1, 3, 1]
    assert shown["points of a face whose box is given, one thread"].get_xlabel().startswith("ms")
