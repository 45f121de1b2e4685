import pytest
from PIL import Image

from keypoints.data.formats.udacity import person_of
from keypoints.data.readers.labelled import detect_format, read_labelled
from keypoints.errors import DataError
from keypoints.schemes import IBUG68

HEADER = ",".join(["", *map(str, range(136))])


@pytest.fixture
def listed(tmp_path):
    """A function that writes rows of pictures, RGBA files that are called .jpg, and returns the list."""

    def write(*rows):
        for name in {row.partition(",")[0] for row in rows if row[0] != ","}:
            Image.new("RGBA", (200, 180), (90, 80, 70, 255)).save(tmp_path / name, "PNG")
        path = tmp_path / "training_frames_keypoints.csv"
        path.write_text("\n".join([HEADER, *rows]) + "\n")
        return path

    return write


def row(name, first=(45, 98)):
    return ",".join([name, *(str(value) for value in [*first, *range(2, 136)])])


def test_points_are_moved_to_the_convention_and_grouped_by_person(listed):
    path = listed(row("Luis_Fonsi_21.jpg"), row("Luis_Fonsi_31.jpg"), row("Eric_Benet_11.jpg"))
    assert detect_format(path) == "udacity"
    faces = read_labelled(path, scheme=IBUG68).faces
    assert faces[0].landmarks()[0].tolist() == [44, 97]
    assert len(faces[0].landmarks()) == 68
    assert [face.group for face in faces] == ["Luis_Fonsi", "Luis_Fonsi", "Eric_Benet"]
    assert faces[0].photo.decode(1).shape == (180, 200)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row("a_1.jpg")[:-6]], "line 2: has 136 cells; the first line names 137"),
        ([row("a_1.jpg", ("x", 1))], "line 2: 'x' is not a number"),
        ([row("a_1.jpg"), row("b_1.jpg", (9e9, 1))], "line 3: 9e.09 is no coordinate"),
    ],
)
def test_a_damaged_list_is_reported_with_the_reason(listed, rows, says):
    path = listed(*rows)
    with pytest.raises(DataError, match=says):
        read_labelled(path)


def test_other_columns_are_reported(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(",0,1,2\na.jpg,1,2,3\n")
    with pytest.raises(DataError, match="Udacity's columns are an empty name and 0 to 135"):
        read_labelled(path)


def test_a_person_is_the_name_without_its_last_number():
    assert person_of("a/b/Name_Of_Person_02.png") == "Name_Of_Person"
    assert person_of("C:\\x\\Some_1.jpg") == "Some"
    assert person_of("alone.jpg") == "alone"
