import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.readers.ibug300w import NAMING
from keypoints.data.readers.labelled import detect_format, read_labelled, write_labelled
from keypoints.errors import DataError
from keypoints.geometry import Box

POINTS = np.array([[1.4, 2.6], [30, -4], [7, 8]])


@pytest.fixture
def photos(tmp_path):
    for name in ("photo 1.png", "photo 1_mirror.png"):
        Image.new("L", (64, 48)).save(tmp_path / name)
    return tmp_path


def test_faces_survive_a_round_trip_rounded_to_pixels(photos):
    faces = [
        Face(Photo(photos / "photo 1.png"), Box(-3, 4, 20, 21), POINTS, group="a"),
        Face(Photo(photos / "photo 1_mirror.png"), None, POINTS, group="b"),
    ]
    write_labelled(faces, photos / "list", "dlib")
    assert detect_format(photos / "list") == "dlib"
    first, second = read_labelled(photos / "list", naming=NAMING).faces
    assert (first.box, second.box) == (Box(-3, 4, 20, 21), Box(0, 0, 64, 48))
    np.testing.assert_array_equal(first.landmarks(), np.rint(POINTS))


def test_mirrored_copies_are_grouped_with_their_originals(photos):
    faces = [Face(Photo(photos / f"photo 1{end}.png"), None, POINTS, group=end) for end in ("", "_mirror")]
    write_labelled(faces, photos / "list", "dlib")
    (group,) = {face.group for face in read_labelled(photos / "list", naming=NAMING).faces}
    assert group.startswith("photo 1.png ")


def test_lists_of_300w_are_read_as_labelled_photos(wild):
    faces, skipped = read_labelled(wild / "labels_ibug_300W_train.xml", naming=NAMING)
    assert (len(faces), skipped) == (3, [])
    assert len({face.group for face in faces}) == 2


def test_faces_without_points_are_refused_or_left_out(wild):
    path = wild / "labels_ibug_300W_test_parsed.xml"
    with pytest.raises(DataError, match=r"parsed\.xml: face 1 \(helen/testset/.*\): has no points"):
        read_labelled(path)
    with pytest.raises(DataError, match="none of its 6 rows can be used"):
        read_labelled(path, strict=False)


def test_the_pictures_may_be_in_another_folder(wild, tmp_path):
    (tmp_path / "list").write_bytes((wild / "labels_ibug_300W_train.xml").read_bytes())
    assert len(read_labelled(tmp_path / "list", root=wild).faces) == 3
    with pytest.raises(DataError, match=r"its picture .* is missing"):
        read_labelled(tmp_path / "list")
