import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keypoints.errors import DataError
from keypoints.inference.submission_file import read_submission, write_submission

POINTS = np.array([[[1, 2], [3.25, -4]], [[5, 6], [7, 8]]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("submissions")


@given(arrays(np.float64, (2, 3, 2), elements=st.floats(-1e5, 1e5)), st.sampled_from(["a.csv", "a.csv.gz"]))
def test_points_are_the_same_after_writing_and_reading(folder, points, name):
    write_submission(folder / name, points)
    np.testing.assert_allclose(read_submission(folder / name, 3, images=2), points, atol=1e-4)


def test_the_order_is_image_then_point_then_x_and_y(tmp_path):
    write_submission(tmp_path / "a.csv", POINTS)
    assert (tmp_path / "a.csv").read_text().splitlines()[:5] == [
        "Id,Predicted",
        "0,1.0000",
        "1,2.0000",
        "2,3.2500",
        "3,-4.0000",
    ]


def test_the_same_points_give_the_same_bytes_in_one_file(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_submission(tmp_path / name, POINTS)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).startswith(b"Id,Predicted\n0,")
    assert len(list(tmp_path.iterdir())) == 2


def test_numbers_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv: is not written: .*finite"):
        write_submission(tmp_path / "a.csv", np.array([[[np.nan, 1]]]))
    assert not list(tmp_path.iterdir())


GOOD = "Id,Predicted\n0,1\n1,2\n2,3\n3,4\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not begin with Id,Predicted"),
        ("id,predicted\n0,1\n", "does not begin with Id,Predicted"),
        ("Id,Predicted\n", "has 0 rows below its header instead of 1 × 4 = 4"),
        (GOOD.replace("3,4\n", ""), "has 3 rows below its header instead of 1 × 4 = 4"),
        (GOOD + "4,5\n5,6\n6,7\n7,8\n", "has 8 rows below its header instead of 1 × 4 = 4"),
        (GOOD.replace("1,2", "2,2"), "line 3: the Id is '2' instead of 1"),
        (GOOD.replace("0,1", "1,1"), "line 2: the Id is '1' instead of 0"),
        (GOOD.replace("1,2", "1,nan"), "line 3: 'nan' is not a number"),
        (GOOD.replace("1,2", "1,x"), "line 3: 'x' is not a number"),
        (GOOD.replace("1,2", "1,2,3"), "line 3: 3 columns instead of 2"),
    ],
    ids=repr,
)
def test_an_invalid_submission_is_refused(tmp_path, text, says):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"a\.csv: {says}"):
        read_submission(path, 2, images=1)


def test_without_a_number_of_images_complete_images_are_required(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    assert read_submission(path, 2).tolist() == [[[1, 2], [3, 4]]]
    with pytest.raises(DataError, match="4 rows below its header instead of a multiple of 6"):
        read_submission(path, 3)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:-12])
    for name in ("none.csv", "cut.csv.gz"):
        with pytest.raises(DataError, match=rf"{name}: cannot be read"):
            read_submission(tmp_path / name, 2)
