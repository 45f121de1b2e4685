from keypoints.benchmark.detection import Count
from keypoints.reports.detection import draw_detection


def test_each_detector_has_a_bar_for_its_sets_with_faces():
    counts = [
        Count("a", "some", False, 4, 4, 3, 0, 1.0, 1.0),
        Count("b", "some", False, 4, 4, 1, 0, 1.0, 1.0),
        Count("b", "some", True, 4, 4, 4, 0, 1.0, 1.0),
        Count("b", "none", False, 4, 0, 0, 9, 1.0, 1.0),
    ]
    (axes,) = draw_detection(counts).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["some", "some, with quarter turns"]
    assert [bar.get_width() for bars in axes.containers for bar in bars] == [75, 25, 100]
