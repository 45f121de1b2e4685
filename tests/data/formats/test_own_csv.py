import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.readers.labelled import read_labelled, write_labelled
from keypoints.errors import DataError
from keypoints.geometry import Box


@pytest.fixture
def read(tmp_path):
    Image.new("L", (64, 48)).save(tmp_path / "a.png")

    def of(text, encoding="utf-8"):
        (tmp_path / "list.csv").write_bytes(text.encode(encoding))
        return read_labelled(tmp_path / "list.csv").faces

    return of


def test_a_row_has_box_points_group_and_tags(read):
    (face,) = read(
        "image,left,top,width,height,x0,y0,x1,y1,group,light\na.png,1,2,30,40.5,5,6,-7,8e1,03,dim\n"
    )
    assert face.box == Box(1, 2, 30, 40.5)
    np.testing.assert_array_equal(face.landmarks(), [[5, 6], [-7, 80]])
    assert (face.group, face.tags) == ("03", {"light": "dim"})


@pytest.mark.parametrize(
    "text",
    [
        "image,x0,y0\na.png,1,2",
        "image,left,top,width,height,x0,y0\na.png,,,,,1,2\n",
        "y0,group,image,x0,mood\r\n2,,a.png,1,\r\n\r\n",  # any order, empty cells, Windows' line ends
    ],
)
def test_box_group_and_tags_may_be_empty_or_left_out(read, text):
    (face,) = read(text)
    assert face.box is None
    assert (face.landmarks().tolist(), face.tags) == ([[1, 2]], {})
    assert face.group.startswith("a.png ")


def test_a_byte_order_mark_is_ignored(read):
    assert len(read("image,x0,y0\na.png,1,2\n", "utf-8-sig")) == 1


DAMAGES = {
    "a letter": ("image,x0,y0\na.png,1,two\n", "line 2: 'two' is not a number"),
    "not finite": ("image,x0,y0\na.png,1,inf\n", "line 2: 'inf' is not a number"),
    "half a point": ("image,x0,y0,x1,y1\na.png,1,2,,3\n", "line 2: only one of x1 and y1 is empty"),
    "no point": ("image,x0,y0,x1,y1\na.png,,,,\n", "line 2: none of its 2 points is labelled"),
    "another state": ("image,x0,y0,v0\na.png,1,2,3\n", "line 2: v0 is 0 .*, 1 .* or 2 .*, not '3'"),
    "a state without a point": (
        "image,x0,y0,x1,y1,v0,v1\na.png,1,2,,,2,2\n",
        "line 2: v1 is 2, and its x and y are empty",
    ),
    "a point without a state": (
        "image,x0,y0,v0\na.png,1,2,0\n",
        "line 2: v0 is 0, and its x and y are given",
    ),
    "states of other points": (
        "image,x0,y0,v1\na.png,1,2,2\n",
        "the columns of states are v0 … v0, or left out",
    ),
    "a cell too few": ("image,x0,y0\na.png,1\n", "line 2: has 2 cells; the first line names 3"),
    "a cell too many": ("image,x0,y0\na.png,1,2,3\n", "line 2: has 4 cells"),
    "half a box": (
        "image,left,top,width,height,x0,y0\na.png,1,,3,4,1,2\n",
        "line 2: '' is not a number",
    ),
    "a flat box": ("image,left,top,width,height,x0,y0\na.png,1,2,0,4,1,2\n", "line 2: .* positive sides"),
    "half the columns of a box": (
        "image,left,top,x0,y0\na.png,1,2,1,2\n",
        "the columns of the box are left, top, width, height; it has only left, top",
    ),
    "x without y": ("image,x0,y0,x1\na.png,1,2,3\n", "3 columns of points, but no y1"),
    "a gap": ("image,x0,y0,x2,y2\na.png,1,2,3,4\n", "but no x1"),
    "a column twice": ("image,x0,y0,mood,mood\na.png,1,2,3,4\n", "occurs twice"),
    "a column without name": ("image,,x0,y0\na.png,3,1,2\n", "no name"),
    "a cell behind the last column": ("image,x0,y0,\na.png,1,2,3\n", "line 2: has 4 cells"),
    "an open quote": ('image,x0,y0\n"a.png,1,2\n', "is no CSV"),
}


@pytest.mark.parametrize(("text", "says"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_list_is_reported_with_the_reason(read, text, says):
    with pytest.raises(DataError, match=rf"list\.csv: .*{says}") as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_another_encoding_is_reported(read):
    with pytest.raises(DataError, match=r"list\.csv: is not UTF-8"):
        read("image,x0,y0\nø.png,1,2\n", "latin-1")


@pytest.mark.parametrize("tag", ["x7", "left", "image", "group"])
def test_a_tag_with_a_reserved_name_is_refused(tmp_path, tag):
    face = Face(Photo(tmp_path / "a.png"), None, np.ones((1, 2)), "a", {tag: "1"})
    with pytest.raises(DataError, match=f"a tag cannot be called '{tag}'"):
        write_labelled([face], tmp_path / "list.csv", "csv")
