import pytest
from PIL import Image

from keypoints.data.readers.labelled import detect_format, read_labelled
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.box_list import read_box_list
from keypoints.schemes import scheme_named

NAME = "37--Soccer/37_Soccer_soccer_ball_37_45.jpg"


def row(name=NAME, attributes="1 0 0 0 1 0", box="20 10 120 130", first="30.5 40.25"):
    points = " ".join(f"{20 + place % 100} {30 + place % 90}" for place in range(97))
    return f"{first} {points} {box} {attributes} {name}"


@pytest.fixture
def listed(tmp_path):
    (tmp_path / NAME).parent.mkdir()
    Image.new("L", (160, 150)).save(tmp_path / NAME)

    def write(*rows):
        path = tmp_path / "list_98pt_rect_attr_train.txt"
        path.write_text("\n".join(rows) + "\n")
        return path

    return write


def test_points_box_and_attributes_are_read(listed):
    path = listed(row(), row(attributes="0 0 0 0 0 0"))
    assert detect_format(path) == "wflw"
    faces = read_labelled(path, scheme=scheme_named("wflw98")).faces
    assert faces[0].landmarks()[0].tolist() == [30.5, 40.25]
    assert faces[0].box == Box(20, 10, 100, 120)
    assert dict(faces[0].tags) == {
        **dict.fromkeys(("expression", "illumination", "make-up", "blur"), "0"),
        **dict.fromkeys(("pose", "occlusion"), "1"),
    }
    assert faces[0].group == faces[1].group  # of one photo
    (photo,) = read_box_list(path)
    assert list(photo.boxes) == [Box(20, 10, 100, 120)] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (row(attributes="1 0 0 0 2 0"), "line 2: occlusion is 0 or 1, not '2'"),
        (row(first="x 1"), "line 2: 'x' is not a number"),
        (row(box="20 10 20 130"), "line 2: .* positive sides"),
        (row().rpartition(" ")[0], "line 2: has 206 values; WFLW's rows have 207"),
        (row("gone.jpg"), "line 2: .*gone"),
    ],
)
def test_a_damaged_list_is_reported_with_the_reason(listed, text, says):
    with pytest.raises(DataError, match=says):
        read_labelled(listed(row(), text))
