import numpy as np
import pytest
from PIL import Image

from keypoints.benchmark.detection import (
    Picture,
    count,
    fit_box_map,
    groups,
    main,
    matched_boxes,
    portraits,
    read_counts,
    scrambled,
    turned,
    upright,
    write_counts,
)
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.detection import FoundFace

FACE = Box(120, 40, 60, 60)


class RedDetector:
    """Detector of red rectangles."""

    name, limits = "red", "their colour"

    def __call__(self, pixels):
        rows, columns = np.nonzero((pixels[..., 0] > 200) & (pixels[..., 1] < 60))
        if not len(rows):
            return []
        left, top = columns.min(), rows.min()
        return [FoundFace(Box(left, top, columns.max() - left + 1, rows.max() - top + 1), 1.0)]


@pytest.fixture
def face(tmp_path):
    """Face that is a red square on grey, in the left half of its photo."""
    pixels = np.full((200, 400, 3), 128, np.uint8)
    pixels[40:100, 120:180] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "red.png")
    return Face(Photo(tmp_path / "red.png"), FACE, None, "a")


def test_found_faces_and_other_finds_are_counted(face):
    (picture,) = upright([face])
    elsewhere = Picture(picture.pixels, [Box(300, 100, 60, 60)])
    counted = count(RedDetector(), "some", [picture, elsewhere, Picture(np.zeros((9, 9, 3), np.uint8), [])])
    assert counted[:7] == ("red", "some", False, 3, 2, 1, 1)
    assert counted.wall_ms > 0


def test_quarter_turns_are_searched_only_if_asked(face):
    class FirstRow(RedDetector):
        def __call__(self, pixels):
            return super().__call__(pixels) if pixels[0].max() == 255 else []

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:20, :10, 0] = 255
    picture = Picture(pixels, [Box(0, 10, 10, 10)])
    assert count(FirstRow(), "some", [picture]).found == 0
    assert count(FirstRow(), "some", [picture], turns=True).found == 1


@pytest.mark.parametrize("angle", [0, 90, 180])
def test_a_turned_face_stays_in_the_middle(face, angle):
    (picture,) = turned([face], angle)
    (found,) = RedDetector()(picture.pixels)
    assert picture.pixels.shape == (320, 320, 3)
    assert found.box.overlap(picture.boxes[0]) > 0.95


def test_a_positive_angle_turns_counter_clockwise(face):
    (picture,) = turned([face], 45)
    (found,) = RedDetector()(picture.pixels)
    assert found.box.width == pytest.approx(120 * 2**0.5, abs=3)
    marked = Image.open(face.photo.path).convert("RGB")
    marked.putpixel((121, 70), (0, 0, 255))
    marked.save(face.photo.path)
    (picture,) = turned([face], 90)
    blue = np.argwhere(picture.pixels[..., 2].astype(int) - picture.pixels[..., 0] > -100)
    inside = [(y, x) for y, x in blue if picture.pixels[y, x, 1] < 60]
    assert np.mean(inside, axis=0)[0] > 200


def test_groups_show_each_face_in_its_size(face):
    first, second = groups([face] * 50, 60)
    assert len(first.boxes) + len(second.boxes) == 50
    for box in (first.boxes[0], first.boxes[7], second.boxes[-1]):
        assert (box.width, box.height) == (60, 60)
    box = first.boxes[-1]
    middle = round(box.top + 30), round(box.left + 30)
    assert first.pixels[middle].tolist() == [255, 0, 0]
    assert first.pixels.shape == (480, 640, 3)


def test_shuffled_blocks_have_the_colours_of_the_photo_and_no_face(face):
    (picture,) = scrambled([face])
    assert picture.pixels.shape == (198, 399, 3)
    assert not picture.boxes
    assert RedDetector()(picture.pixels)[0].box.overlap(FACE) < 0.3
    red = picture.pixels[..., 1] < 60
    assert red.sum() == pytest.approx(60 * 60, rel=0.05)


def test_dark_pictures_have_a_part_of_the_brightness(face):
    (picture,) = upright([face], 0.2)
    assert picture.pixels.max() == 51


def test_portraits_have_the_box_of_their_face():
    (picture,) = portraits(1)
    assert picture.pixels.shape == (480, 640, 3)
    assert 90 < picture.boxes[0].width < 250


def test_a_map_of_boxes_is_recovered(face):
    random = np.random.default_rng(0)
    found = [Box(*random.uniform(0, 50, 2), side, side * 1.3) for side in random.uniform(50, 150, 20)]
    known = [
        Box(box.left + 0.1 * box.width, box.top + 0.2 * box.height, box.width, box.height).resized(
            *[0.5 * box.width + 0.4 * box.height] * 2
        )
        for box in found
    ]
    fitted = fit_box_map(found, known)
    assert fitted.box_map[:2] == pytest.approx((0.1, 0.2))
    assert fitted.overlap == pytest.approx(1, abs=0.01)
    assert fitted.shift == pytest.approx(0, abs=0.01)
    assert matched_boxes(RedDetector(), [face]) == ([FACE], [FACE])
    with pytest.raises(DataError, match="two faces and more, and 1 were detected"):
        fit_box_map([FACE], [FACE])


def test_a_table_of_results_is_read_back(face, tmp_path):
    counted = count(RedDetector(), "some, 20 %", upright([face]), turns=True)
    write_counts(tmp_path / "a.csv", [counted])
    (read,) = read_counts(tmp_path / "a.csv")
    assert read[:7] == counted[:7]
    assert read.wall_ms == pytest.approx(counted.wall_ms, abs=0.06)


def test_missing_data_are_one_line(tmp_path, caplog):
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    assert main(["fit", str(tmp_path), "--detector", "dlib"]) == 1
    assert "error: " in caplog.text
    assert not (tmp_path / "detection.csv").exists()
