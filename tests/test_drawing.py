import numpy as np
import pytest

from keypoints.drawing import BOX, PREDICTION, TRUTH, contact_sheet, draw_face, draw_predictions
from keypoints.geometry import Box


def test_truth_is_plotted_in_green_and_prediction_in_red():
    picture = draw_face(
        np.full((60, 80), 128, np.uint8), truth=[[0.25, 0.5]], prediction=[[0.75, 0.5]], width=320
    )
    assert picture.shape == (240, 320, 3)
    assert tuple(picture[120, 80]) == TRUTH
    assert tuple(picture[120, 240]) == PREDICTION
    assert tuple(picture[20, 20]) == (128, 128, 128)


def test_a_skeleton_joins_its_points():
    points = [[0.2, 0.5], [0.8, 0.5]]
    grey = np.full((100, 100), 128, np.uint8)
    assert tuple(draw_face(grey, truth=points, skeleton=[(0, 1)])[159, 160]) == TRUTH
    assert tuple(draw_face(grey, truth=points)[159, 160]) == (128, 128, 128)


def test_hidden_points_are_hollow_and_unlabelled_ones_not_plotted():
    grey = np.full((60, 80), 128, np.uint8)
    points = [[0.25, 0.5], [0.75, 0.5], [np.nan, np.nan]]
    picture = draw_face(grey, truth=points, hidden=np.array([False, True, False]), skeleton=[(1, 2)])
    assert tuple(picture[120, 80]) == TRUTH
    assert tuple(picture[120, 240]) == (128, 128, 128)
    right = picture[:, 160:]
    assert (right == TRUTH).all(axis=2).any()
    nothing = draw_face(grey, truth=points, hidden=np.zeros(3, bool))
    assert np.array_equal(nothing, draw_face(grey, truth=points))


def test_points_outside_the_picture_are_accepted():
    assert draw_face(np.zeros((60, 80, 3), np.uint8), truth=[[-2, 0.5], [5, 9]]).shape == (240, 320, 3)


def test_a_contact_sheet_is_filled_row_by_row():
    sheet = contact_sheet([np.full((10, 20, 3), shade, np.uint8) for shade in range(5)], columns=3)
    assert sheet.shape == (6 + 2 * 16, 6 + 3 * 26, 3)
    assert [sheet[10, x, 0] for x in (10, 36, 62)] == [0, 1, 2]
    assert [sheet[30, x, 0] for x in (10, 36, 62)] == [3, 4, 255]


def test_predictions_are_plotted_in_proportion_to_the_face():
    photo = np.full((480, 640, 3), 128, np.uint8)
    points = np.array([(300.0, 200.0), (340.0, 200.0)])
    drawn = draw_predictions(photo, [(Box(220, 100, 200, 200), points)], [(0, 1)])
    assert drawn.shape == photo.shape
    assert tuple(drawn[200, 300]) == tuple(drawn[200, 320]) == PREDICTION
    assert tuple(drawn[100, 300]) == BOX
    small = draw_predictions(photo, [(Box(300, 180, 40, 40), points)])
    changed = [np.any(own != 128, axis=2).sum() for own in (drawn, small)]
    assert changed[1] < changed[0] / 4


@pytest.mark.parametrize(
    ("size", "drawn"), [((4000, 3000), (1600, 1200)), ((64, 48), (640, 480)), ((9, 3000), (5, 1600))]
)
def test_very_large_and_very_small_photos_are_rescaled(size, drawn):
    photo = np.full((size[1], size[0]), 128, np.uint8)
    point = np.array([(size[0] / 2 - 0.5, size[1] / 2 - 0.5)])
    picture = draw_predictions(photo, [(Box.of_image(size), point)])
    assert picture.shape == (drawn[1], drawn[0], 3)
    assert tuple(picture[drawn[1] // 2, drawn[0] // 2]) == PREDICTION


def test_a_label_is_written_above_its_box_or_at_the_edge():
    photo = np.full((480, 640, 3), 128, np.uint8)
    points = np.array([(300.0, 200.0)])
    for top, rows in ((200, slice(170, 199)), (0, slice(1, 29))):
        boxes = [(Box(220, top, 200, 200), points)]
        changed = draw_predictions(photo, boxes, labels=["7"]) != draw_predictions(photo, boxes)
        assert changed[rows, 221:240].any()
        assert not changed[:, :219].any()
