import warnings

import numpy as np
import pandas as pd
import pytest

from keypoints.errors import DataError
from keypoints.evaluation.face_tables import (
    by_error,
    hidden_of,
    in_common,
    over_labelled,
    points_of,
    read_faces,
    tags_of,
)

TABLE = pd.DataFrame(
    {
        "photo": ["a.jpg", "b.jpg"],
        "person": ["01", "02"],
        "view": ["1", "2"],
        "mse": [0.1, 0.2],
        "error_px": [1.5, 2.5],
        "truth_x0": [1.25, 5.0],
        "truth_y0": [2.0, 6.0],
        "truth_x1": [3.0, 7.0],
        "truth_y1": [4.0, 8.0],
        "predicted_x0": [0.0, 0.0],
        "predicted_y0": [0.0, 0.0],
        "predicted_x1": [0.0, 0.0],
        "predicted_y1": [0.0, 9.0],
    }
)


def test_a_table_is_unchanged_after_writing_and_reading(tmp_path):
    TABLE.to_csv(tmp_path / "faces.csv", index=False)
    again = read_faces(tmp_path / "faces.csv")
    pd.testing.assert_frame_equal(again, TABLE)


def test_points_are_returned_per_face():
    np.testing.assert_array_equal(points_of(TABLE, "truth"), [[[1.25, 2], [3, 4]], [[5, 6], [7, 8]]])
    assert points_of(TABLE, "predicted")[1, 1].tolist() == [0, 9]


@pytest.mark.parametrize("contents", [None, "", "photo,error_px\n"])
def test_a_file_that_is_no_table_of_faces_is_named(tmp_path, contents):
    path = tmp_path / "faces.csv"
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(DataError, match=r"faces\.csv"):
        read_faces(path)


def test_a_face_without_labels_needs_no_error(tmp_path):
    path, table = tmp_path / "faces.csv", TABLE.copy()
    table.loc[0, ["mse", "error_px"]] = np.nan
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match="its column 'mse' holds something else than numbers"):
        read_faces(path)
    table.loc[0, ["truth_x0", "truth_y0", "truth_x1", "truth_y1"]] = np.nan
    table.to_csv(path, index=False)
    assert by_error(read_faces(path))["photo"].tolist() == ["b.jpg"]


def test_states_of_points_are_kept_and_checked(tmp_path):
    path = tmp_path / "faces.csv"
    assert not hidden_of(TABLE).any()
    TABLE.assign(truth_v0=[1, 2], truth_v1=[2, 1]).to_csv(path, index=False)
    assert hidden_of(read_faces(path)).tolist() == [[True, False], [False, True]]
    assert points_of(read_faces(path), "truth").shape == (2, 2, 2)
    TABLE.assign(truth_v0=[1, 2], truth_v1=[2, 7]).to_csv(path, index=False)
    with pytest.raises(DataError, match="'truth_v1' holds something else than 0, 1 and 2"):
        read_faces(path)
    TABLE.assign(truth_v1=[1, 2]).to_csv(path, index=False)
    with pytest.raises(DataError, match="not truth_v0 … truth_v1"):
        read_faces(path)


def test_nothing_is_computed_where_no_point_is_labelled():
    values, known = np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[True, False], [True, False]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for statistic, expected in ((np.mean, 2.0), (np.std, 1.0)):
            first, second = over_labelled(values, known, 0, statistic)
            assert first == expected
            assert np.isnan(second)


def test_tags_are_the_columns_between_photo_and_errors():
    assert tags_of(TABLE) == ["person", "view"]


def test_frequent_tags_of_the_worst_faces_are_reported():
    faces = pd.DataFrame(
        {
            "photo": [f"{i}.jpg" for i in range(24)],
            "person": [f"{i // 6:02}" for i in range(24)],
            "view": [str(i % 6) for i in range(24)],
            "mse": 0.0,
            "error_px": [20.0 + i if i // 6 == 2 else float(i) / 10 for i in range(24)],
        }
    )
    assert in_common(faces, {"person": {"02": "the bald one"}}) == [
        "person 02 (the bald one): 6 of the 6 worst faces, 6 of all 24"
    ]
    assert in_common(faces.assign(error_px=[float(i * 7 % 24) for i in range(24)]), {}) == []


def test_faces_are_ranked_if_they_have_a_labelled_point():
    nothing = float("nan")
    rows = {
        "error_px": [3.0, nothing, 1.0, nothing],
        "truth_x0": [1, nothing, 1, 1],
        "truth_y0": [1, nothing, 1, 1],
    }
    assert by_error(pd.DataFrame(rows))["error_px"].tolist()[:2] == [1, 3]
    assert len(by_error(pd.DataFrame(rows))) == 3  # the last one has broken predictions, and is the worst
