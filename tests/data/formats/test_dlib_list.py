import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.readers.ibug300w import NAMING
from keypoints.data.readers.labelled import detect_format, read_labelled, read_list, write_labelled
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.landmarks import LandmarkScheme

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


EYES = LandmarkScheme(
    "eyes", {"all": (0, 1, 2)}, None, None, skeleton=(), names=("right_eye", "nose_tip", "left_eye")
)


def write_parts(folder, *faces):
    """Write a list in which each face has the parts of a mapping of names to x."""
    boxes = "".join(
        "<box left='0' top='0' width='50' height='40'>"
        + "".join(f"<part name='{name}' x='{x}' y='9'/>" for name, x in parts.items())
        + "</box>"
        for parts in faces
    )
    path = folder / "list.xml"
    path.write_text(f"<dataset><images><image file='photo 1.png'>{boxes}</image></images></dataset>")
    return path


def first_x(path, scheme):
    return read_labelled(path, scheme=scheme).faces[0].landmarks()[:, 0].tolist()


def test_parts_named_as_the_schemes_points_have_its_order(photos):
    path = write_parts(photos, {"left_eye": 30, "nose_tip": 20, "right_eye": 10})
    assert first_x(path, EYES) == [10, 20, 30]
    assert first_x(path, None) == [30, 20, 10]


@pytest.mark.parametrize("names", [("0", "01", "2"), ("1", "2", "3"), ("right_eye", "nose_tip", "left_eye")])
def test_a_scheme_tells_points_that_most_faces_lack(photos, names):
    first, middle, last = names
    path = write_parts(photos, {first: 10, middle: 20, last: 30}, *[{first: 10, last: 30}] * 3)
    assert first_x(path, EYES) == [10, 20, 30]
    with pytest.raises(DataError, match=f"has a part '{middle}'; .* or give the scheme of the points"):
        read_labelled(path)


@pytest.mark.parametrize("names", [("0", "2"), ("1", "3"), ("right_eye", "left_eye")])
def test_a_point_that_all_faces_lack_has_no_label(photos, names):
    path = write_parts(photos, {names[0]: 10, names[1]: 30})
    np.testing.assert_array_equal(first_x(path, EYES), [10, np.nan, 30])


def test_numbers_from_0_or_from_1_are_not_guessed(photos):
    with pytest.raises(DataError, match="has 2 points, not the 3 of eyes"):
        read_labelled(write_parts(photos, {"1": 10, "2": 20}), scheme=EYES)


def test_a_part_that_the_scheme_lacks_is_named(photos):
    path = write_parts(photos, {"nose_tip": 20, "chin": 10})
    with pytest.raises(DataError, match=r"image 1 .*: has a part 'chin'; eyes has no such point"):
        read_labelled(path, scheme=EYES)


def test_named_parts_describe_the_points(photos):
    path = write_parts(photos, {"left_eye": 30, "nose_tip": 20, "right_eye": 10})
    found = read_list(path).scheme
    assert (found.names, found.flip_indices) == (("left_eye", "nose_tip", "right_eye"), (2, 1, 0))
    assert read_list(path, scheme=EYES).scheme.names == EYES.names
    assert read_list(write_parts(photos, {"0": 30, "1": 20, "2": 10})).scheme is None
