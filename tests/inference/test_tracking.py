import pytest

from keypoints.geometry import Box
from keypoints.inference.tracking import REMEMBERED, Tracker

SIDE = 100


def box(x, y=0.0, side=SIDE):
    return Box(x - side / 2, y - side / 2, side, side)


def seen(tracker, time, *boxes):
    """Return the tracks' numbers of the boxes in a frame, in their order."""
    owners = tracker.owners(boxes, time)
    return [track.number for track in tracker.update(owners, boxes, time)]


@pytest.mark.parametrize("rate", [10, 25, 60])
@pytest.mark.parametrize("hides", [False, True])
def test_faces_that_cross_keep_their_tracks(rate, hides):
    tracker = Tracker()
    for number in range(3 * rate):
        time = number / rate
        right, left = 200 * time - 300, 300 - 200 * time
        if hides and abs(right - left) < 0.8 * SIDE:
            assert seen(tracker, time, box(right)) == [0]
        elif number % 2:  # the order of the detections says nothing
            assert seen(tracker, time, box(left, 10), box(right)) == [1, 0]
        else:
            assert seen(tracker, time, box(right), box(left, 10)) == [0, 1]
    assert tracker.count == 2


@pytest.mark.parametrize(("away", "number"), [(0.9 * REMEMBERED, 0), (1.1 * REMEMBERED, 1)])
def test_a_face_that_returns_soon_keeps_its_track(away, number):
    tracker = Tracker()
    for frame in range(25):
        assert seen(tracker, frame / 25, box(4 * frame)) == [0]
    for frame in range(int(25 * away)):
        assert seen(tracker, 1 + frame / 25) == []
    assert seen(tracker, 1 + away, box(110)) == [number]  # where it left, although it was moving away


def test_a_face_elsewhere_or_of_another_size_gets_a_new_track():
    tracker = Tracker()
    assert seen(tracker, 0.0, box(0)) == [0]
    assert seen(tracker, 0.1, box(1.5 * SIDE)) == [1]
    assert seen(tracker, 0.2, box(1.5 * SIDE, side=4 * SIDE)) == [2]


def test_faces_are_assigned_over_all_tracks_together():
    tracker = Tracker()
    assert seen(tracker, 0.0, box(0), box(80)) == [0, 1]
    assert seen(tracker, 0.1, box(45), box(125)) == [0, 1]  # 45 is nearer to 80 than to 0


def test_a_face_found_twice_stays_with_the_track_that_expected_it():
    tracker = Tracker()
    for frame in range(25):
        seen(tracker, frame / 25, box(8 * frame), box(400 - 4 * frame))
    front, behind = tracker.visible
    found = [box(205), box(200)]
    assert tracker.distinct([behind, front], found, 1.0) == [1]
    assert tracker.distinct([None, front], found, 1.0) == [1]
    assert tracker.distinct([behind, front], [box(300), box(200)], 1.0) == [0, 1]


def test_only_recent_tracks_are_remembered():
    tracker = Tracker()
    for second in range(50):
        seen(tracker, float(second), box(1000 * second))
    assert tracker.count == 50
    assert tracker.remembered == {47, 48, 49}
