import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.readers.labelled import read_labelled, write_labelled
from keypoints.errors import DataError
from keypoints.geometry import Affine, Box

HEADER = "image_name,scale,center_w,center_h,original_0_x,original_0_y,original_1_x,original_1_y"


@pytest.fixture
def root(tmp_path):
    Image.new("L", (640, 480)).save(tmp_path / "a.png")
    return tmp_path


def read(root, text):
    (root / "list.csv").write_text(text)
    return read_labelled(root / "list.csv").faces


def test_points_and_centre_are_0_based_pixels(root):
    (face,) = read(root, f"{HEADER}\na.png,1.5,200,150,200,150,10.5,20\n")
    np.testing.assert_array_equal(face.landmarks(), [[200, 150], [10.5, 20]])
    assert (face.box.width, face.box.height) == (300, 300)
    # A point at the centre lies in the middle of any crop of the box: at (99.5, 99.5) of 200 pixels.
    np.testing.assert_allclose(Affine.between(face.box, Box.of_image((200, 200)))([200, 150]), [99.5, 99.5])


def test_a_box_is_written_as_longer_side_and_centre(root):
    face = Face(
        Photo(root / "a.png"), Box(10, 20, 100, 61), np.array([[0, 0], [2, 0]]), "group", {"tag": "lost"}
    )
    write_labelled([face], root / "list.csv", "hrnet")
    assert (root / "list.csv").read_text().splitlines()[:2] == [
        HEADER,
        "a.png,0.5,59.5,50.0,0.0,0.0,2.0,0.0",
    ]
    (back,) = read_labelled(root / "list.csv").faces
    assert back.box == Box(10, 0.5, 100, 100)
    assert (back.group.partition(" ")[0], back.tags) == ("a.png", {})


def test_a_face_without_box_cannot_be_written(root):
    with pytest.raises(DataError, match=r"a\.png: has no box.*format=csv"):
        write_labelled([Face(Photo(root / "a.png"), None, np.ones((1, 2)), "a")], root / "list.csv", "hrnet")
    assert not (root / "list.csv").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{HEADER},note\na.png,1,2,3,1,2,3,4,x\n", "HRNet's columns are image_name,scale,"),
        (HEADER.replace("1_y", "2_y") + "\na.png,1,2,3,1,2,3,4\n", "HRNet's columns are"),
        ("image_name,scale,center_w,center_h\na.png,1,2,3\n", "HRNet's columns are"),
        (f"{HEADER}\na.png,0,2,3,1,2,3,4\n", "line 2: .*positive sides"),
        (f"{HEADER}\na.png,,2,3,1,2,3,4\n", "line 2: '' is not a number"),
        (f"{HEADER}\na.png,1,2,3,1,2,3,\n", "line 2: original_1_x, original_1_y is empty"),
        (f"{HEADER}\na.png,1,2,3,1,2,3\n", "line 2: has 7 cells"),
    ],
)
def test_a_damaged_list_is_reported_with_the_reason(root, text, says):
    with pytest.raises(DataError, match=rf"list\.csv: {says}"):
        read(root, text)


@pytest.mark.parametrize(
    "head", ["image_name,scale,center_w,center_h,box_size", "image_path,scale,box_size,center_w,center_h"]
)
def test_the_box_size_of_aflw_is_ignored(root, head):
    points = HEADER.partition("center_h,")[2]
    row = ["9.5" if name == "box_size" else {"scale": "0.1"}.get(name, "20") for name in head.split(",")[1:]]
    (face,) = read(root, f"{head},{points}\na.png,{','.join(row)},5,6,7,8\n")
    assert face.box == Box(10.5, 10.5, 20, 20)
    assert face.landmarks().tolist() == [[5, 6], [7, 8]]
