import numpy as np
import pytest

from keypoints.data.face import HIDDEN, VISIBLE
from keypoints.data.readers.labelled import detect_format, read_labelled
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.box_list import read_box_list
from keypoints.schemes import scheme_named
from tests.matlab_files import write_format_5, write_format_73

COFW29 = scheme_named("cofw29")


def picture(seed, *colours):
    return np.random.default_rng(seed).integers(0, 256, (60, 70, *colours), np.uint8)


def row(hidden=()):
    """Return x of 29 points from 11, y from 21, and their occlusion."""
    places = np.arange(29)
    return np.concatenate([11 + places, 21 + places, np.isin(places, hidden)]).astype(float)


def variables(split="Tr", pictures=None, rows=None, boxes=None):
    return {
        f"Is{split}": [picture(0), picture(1, 3)] if pictures is None else pictures,
        f"phis{split}": np.stack([row(), row([3, 28])] if rows is None else rows),
        f"bboxes{split}": np.array([[11, 6, 40, 50], [2, 3, 30, 40.5]] if boxes is None else boxes),
    }


@pytest.fixture
def written(tmp_path):
    def write(contents, name="COFW_train.mat"):
        write_format_5(tmp_path / name, contents)
        return tmp_path / name

    return write


def check_faces(path):
    assert detect_format(path) == "cofw"
    visible, hidden = read_labelled(path, scheme=COFW29).faces
    assert visible.photo.path == path.parent / f"{path.stem}_pictures" / "00001.png"
    np.testing.assert_array_equal(visible.photo.decode(1), picture(0))
    np.testing.assert_array_equal(hidden.photo.decode(3), picture(1, 3))
    assert visible.landmarks()[[0, 28]].tolist() == [[10, 20], [38, 48]]
    assert (visible.box, hidden.box) == (Box(10, 5, 40, 50), Box(1, 2, 30, 40.5))
    assert visible.states is None
    assert np.flatnonzero(hidden.visibility() == HIDDEN).tolist() == [3, 28]
    assert set(hidden.visibility()) == {HIDDEN, VISIBLE}


@pytest.mark.parametrize("split", ["Tr", "T"])
def test_pixels_count_from_0_and_occluded_points_are_hidden(written, split):
    check_faces(written(variables(split)))


@pytest.mark.parametrize("split", ["Tr", "T"])
def test_format_73_gives_the_same_faces(tmp_path, split):
    pytest.importorskip("h5py")
    write_format_73(tmp_path / "COFW_test_color.mat", variables(split))
    check_faces(tmp_path / "COFW_test_color.mat")


def test_pictures_and_boxes_can_be_predicted(written):
    path = written(variables())
    first, second = read_box_list(path)
    assert first.path.read_bytes().startswith(b"\x89PNG")
    assert (first.boxes, second.boxes) == ((Box(10, 5, 40, 50),), (Box(1, 2, 30, 40.5),))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            {"pictures": [picture(0), picture(1) / 255]},
            r"face 2: its picture is float64 \(60, 70\), not bytes",
        ),
        ({"pictures": [picture(0), picture(1, 4)]}, r"face 2: its picture is uint8 \(60, 70, 4\), not bytes"),
        ({"pictures": [picture(0), np.zeros((0, 0), np.uint8)]}, "face 2: its picture has no pixels"),
        ({"rows": [row(), row() * np.nan]}, "face 2: nan is not a number"),
        ({"rows": [row(), row() + 0.5]}, "face 2: the occlusion of point 0 is 0 or 1, not 0.5"),
        ({"rows": [row(), row() * 100]}, "face 2: its points reach from"),
        ({"boxes": [[1, 1, 9, 9], [1, 1, -9, 9]]}, "face 2: a box needs positive sides, not -9 × 9"),
        ({"boxes": [[1, 1, 9, 9], [900, 1, 9, 9]]}, "face 2: .* misses the picture"),
    ],
)
def test_a_bad_face_is_named_or_left_out(written, bad, says):
    path = written(variables(**bad))
    for _ in range(2):  # the second time the pictures are unpacked already
        with pytest.raises(DataError, match=rf"COFW_train\.mat: {says}"):
            read_labelled(path)
        assert len(read_labelled(path, strict=False).faces) == 1


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        ({"images": np.zeros((2, 2))}, r"holds images; COFW's files hold IsTr, phisTr, bboxesTr, or IsT, "),
        (variables() | {"phisTr": np.ones((2, 58))}, "phisTr is 2 × 58; a row has 87 values in COFW"),
        (variables() | {"bboxesTr": np.ones((3, 4))}, "IsTr has 2 pictures, phisTr 2 rows and bboxesTr 3"),
        (variables() | {"IsTr": np.ones((2, 2))}, "IsTr is no cell array"),
        (variables() | {"phisTr": "text"}, "phisTr is no matrix of numbers"),
    ],
)
def test_other_contents_are_reported(written, contents, says):
    with pytest.raises(DataError, match=rf"COFW_train\.mat: {says}"):
        read_labelled(written(contents))


def test_a_truncated_file_leaves_no_pictures(written):
    path = written(variables())
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])
    with pytest.raises(DataError, match=r"COFW_train\.mat: .*truncated"):
        read_labelled(path)
    assert [each.name for each in path.parent.iterdir()] == ["COFW_train.mat"]
