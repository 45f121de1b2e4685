from keypoints.benchmark.peers import Times, summarised
from keypoints.reports.peers import draw_peers


def test_a_panel_shows_all_ways_of_a_work():
    bare = {"epoch": Times(1, 1), "steps of an epoch": Times(0.5, 0.75)}
    ways = {"keypoints": {"epoch": Times(2, 3)}, "bare loop": bare}
    rows = [row for threads in (1, 2) for row in summarised([ways], "nose_tip", threads, "s")]
    faces = summarised([{"keypoints": {"box": Times(5, 6), "network": Times(4, 4)}}], "face", 1, "ms")
    figure = draw_peers({"train": rows, "predict": faces})
    shown = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(shown) == [
        "nose_tip: epoch, 1 thread",
        "nose_tip: epoch, 2 threads",
        "points of a face whose box is given, 1 thread",
    ]
    epoch, _, box = shown.values()
    assert [bar.get_width() for bar in epoch.patches] == [2, 1, 0.5, 3, 1, 0.75]
    assert [text.get_text() for text in epoch.get_yticklabels()] == [
        "keypoints",
        "bare loop",
        "bare loop, steps alone",
    ]
    assert box.get_xlabel().startswith("ms")
