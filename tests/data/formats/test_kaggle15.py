import numpy as np
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.data.formats.kaggle15 import FEATURES, read_images
from keypoints.data.readers.labelled import detect_format, read_labelled
from keypoints.errors import DataError
from keypoints.inference.box_list import read_box_list
from keypoints.schemes import scheme_named

SCHEME = scheme_named("kaggle15")
HEADER = ",".join([*FEATURES, "Image"])
FEW = ("left_eye_center_x", "left_eye_center_y", "nose_tip_x", "nose_tip_y")


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (96, 96), np.uint8)


def grey(seed):
    return " ".join(map(str, pixels(seed).ravel()))


def row(seed=0, labelled=FEATURES, image=None, first=None):
    cells = [str(20 + 1.5 * place) if name in labelled else "" for place, name in enumerate(FEATURES)]
    if first is not None:
        cells[0] = first
    return ",".join([*cells, grey(seed) if image is None else image])


@pytest.fixture
def listed(tmp_path):
    """A function that writes rows as ``training.csv``, and returns its path."""

    def write(*rows, header=HEADER, name="training.csv"):
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        return tmp_path / name

    return write


def test_pictures_are_unpacked_and_empty_cells_are_not_labelled(listed):
    path = listed(row(1), row(2, FEW))
    assert detect_format(path) == "kaggle15"
    complete, few = read_labelled(path, scheme=SCHEME).faces
    assert complete.photo.path == path.parent / "training_pictures" / "00001.png"
    np.testing.assert_array_equal(few.photo.decode(1), pixels(2))
    assert complete.box is None
    assert complete.labelled().all()
    assert [SCHEME.names[place] for place in np.flatnonzero(few.labelled())] == [
        "right_eye_center",  # the person's left eye is on the right of the picture
        "nose_tip",
    ]
    assert few.landmarks()[0].tolist() == [20, 21.5]


def test_the_columns_name_the_points_by_the_other_side():
    swapped = [
        name.replace("left", "*").replace("right", "left").replace("*", "right") for name in SCHEME.names
    ]
    assert [name.removesuffix("_x") for name in FEATURES[::2]] == swapped


def test_columns_may_be_in_another_order(listed):
    cells = row(1).split(",")
    path = listed(",".join(reversed(cells)), header=",".join(reversed(HEADER.split(","))))
    (face,) = read_labelled(path).faces
    assert face.landmarks()[0].tolist() == [20, 21.5]


def test_equal_pictures_are_one_photo_for_the_split(listed):
    first, other, same = read_labelled(listed(row(1), row(2), row(1, FEW))).faces
    assert same.photo_id == first.photo_id != other.photo_id
    assert same.photo.path == first.photo.path


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (row(image="1 2 3"), "line 3: Image has 3 values, not 96 × 96 = 9216"),
        (row(image=""), "line 3: Image has 0 values"),
        (
            row(image=grey(0)[: grey(0).rindex(" ")] + " 256"),
            "line 3: Image has '256', which is no grey value",
        ),
        (row(image="-1 " + grey(0).partition(" ")[2]), "line 3: Image has '-1', which is no grey value"),
        (row(first="nan"), "line 3: 'nan' is not a number"),
        (row(first=""), "line 3: only one of left_eye_center_x and left_eye_center_y is empty"),
        (row(labelled=()), "line 3: none of its 15 points is labelled"),
        ("1,2," + grey(0), "line 3: has 3 cells; the first line names 31"),
    ],
)
def test_a_bad_row_is_named_or_left_out(listed, bad, says):
    path = listed(row(1), bad, row(2))
    for _ in range(2):  # the second time the pictures are unpacked already
        with pytest.raises(DataError, match=f"{path}: {says}"):
            read_labelled(path)
        faces, skipped = read_labelled(path, strict=False)
        assert [face.name for face in faces] == ["00001", "00003"]
        assert says in skipped[0]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (",".join(FEATURES), "has no column Image"),
        (HEADER.replace("nose_tip_x,", ""), "has no column nose_tip_x"),
    ],
)
def test_a_missing_column_is_named(listed, header, says):
    path = listed(header=header)
    with pytest.raises(DataError, match=says):
        read_labelled(path)
    assert [each.name for each in path.parent.iterdir()] == ["training.csv"]


def test_a_test_list_has_pictures_and_no_points(listed):
    path = listed(f"7,{grey(1)}", f"3,{grey(2)}", header="ImageId,Image", name="test.csv")
    assert detect_format(path) == "kaggle15"
    folder = path.parent / "test_pictures"
    assert read_images(path) == {7: folder / "00001.png", 3: folder / "00002.png"}
    assert [photo.path for photo in read_box_list(path)] == [folder / "00001.png", folder / "00002.png"]
    with pytest.raises(DataError, match="is a test list, which has no points; predict it: keypoints submit"):
        read_labelled(path)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([f"1,{grey(1)}", f"1,{grey(2)}"], "line 3: ImageId 1 occurs twice"),
        ([f"one,{grey(1)}"], "line 2: 'one' is not a whole number"),
        (["1,5 6"], "line 2: Image has 2 values"),
        ([], "holds no picture"),
    ],
)
def test_a_bad_test_list_is_reported(listed, rows, says):
    with pytest.raises(DataError, match=says):
        read_images(listed(*rows, header="ImageId,Image", name="test.csv"))


def test_a_training_list_is_no_test_list(listed):
    with pytest.raises(DataError, match="is not Kaggle's test list"):
        read_images(listed(row(1)))


def test_a_list_is_converted_with_its_missing_points(listed, tmp_path):
    path, new = listed(row(1), row(2, FEW)), tmp_path / "new.csv"
    main(["data", "convert", f"source={path}", "format=csv", f"output={new}"])
    assert Image.open(tmp_path / new.read_text().splitlines()[2].partition(",")[0]).size == (96, 96)
    converted = read_labelled(new, scheme=SCHEME).faces
    for before, after in zip(read_labelled(path).faces, converted, strict=True):
        np.testing.assert_array_equal(before.landmarks(), after.landmarks())
