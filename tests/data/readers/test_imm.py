import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keypoints.data.readers.imm import VIEWS, format_asf, read_asf, read_imm
from keypoints.errors import DataError


def test_faces_are_sorted_by_person_and_view(made_up_imm):
    faces = read_imm(made_up_imm)
    assert [face.name for face in faces[:7]] == [*(f"01-{view}m" for view in VIEWS), "02-1m"]
    assert faces[0].tags == {"person": "01", "view": "1", "gender": "m"}
    assert faces[0].group == "01"
    pixels = faces[0].photo.decode(1)
    x, y = np.rint(faces[0].landmarks()[52]).astype(int)
    assert pixels[y, x] < 60  # the nose tip is the centre of the dark disc
    assert pixels[y - 30, x] > 150


@given(hnp.arrays(float, (58, 2), elements=st.floats(-100, 700)))
def test_points_survive_a_round_trip(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("asf") / "01-1m.asf"
    path.write_text(format_asf(points, (640, 480), "01-1m.jpg"))
    ratios, name = read_asf(path)
    assert name == "01-1m.jpg"
    np.testing.assert_allclose(ratios * (640, 480), points, atol=1e-4)


def test_extra_columns_blanks_and_comments_are_accepted(own_imm):
    path = own_imm / "01-1m.asf"
    plain, _ = read_asf(path)
    lines = [
        line + " \t 0.00\t0.00  0.00" if line.count("\t") == 6 else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n\n".join(["# written by hand", *lines]).replace("\t", "  \t"))
    np.testing.assert_array_equal(read_asf(path)[0], plain)


def edited(change):
    """Return a function that damages an .asf file by changing its lines."""
    return lambda folder: (folder / "02-3m.asf").write_text(
        "\n".join(change((folder / "02-3m.asf").read_text().splitlines()))
    )


def replaced(old, new):
    return edited(lambda lines: [new if line.startswith(old) else line for line in lines])


FIRST = "0\t4\t"
DAMAGES = {
    "a point too few": (edited(lambda lines: [x for x in lines if not x.startswith(FIRST)]), "announces 58"),
    "another count": (replaced("58", "57"), "announces 57 points .* has 58 rows"),
    "another scheme": (
        edited(lambda lines: ["1", "0 0 0.5 0.5 0 0 0", "02-3m.jpg"]),
        "has 1 point; IMM's annotation has 58",
    ),
    "letters for a number": (replaced(FIRST, "0 4 0.5 O.5 0 0 1"), "line 5: not a number"),
    "not a number": (replaced(FIRST, "0 4 nan 0.5 0 0 1"), "line 5: not a number"),
    "a point far outside": (replaced(FIRST, "0 4 229.0 0.5 0 0 1"), "line 5: .* far outside the picture"),
    "a row cut short": (replaced(FIRST, "0 4 0.5"), "announces 58|line 5: 3 columns"),
    "rows out of order": (replaced(FIRST, "0 4 0.5 0.5 9 0 1"), "line 5: point 9 stands where point 0"),
    "nothing at all": (edited(lambda lines: []), "no .asf file, or cut off"),
    "no count": (replaced("58", "fifty-eight"), "does not begin with the number"),
    "cut off in the middle": (edited(lambda lines: lines[:20]), "announces 58"),
    "a picture elsewhere": (replaced("02-3m.jpg", "../02-3m.jpg"), "not a name in the same folder"),
    "a missing picture": (lambda folder: (folder / "02-3m.jpg").unlink(), "picture 02-3m.jpg is missing"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_annotation_is_reported_with_the_reason(own_imm, damage, says):
    damage(own_imm)
    with pytest.raises(DataError, match=rf"02-3m\.asf: .*({says})"):
        read_imm(own_imm)


def test_an_unexpected_file_name_is_reported(own_imm):
    (own_imm / "01-1m.asf").rename(own_imm / "portrait.asf")
    with pytest.raises(DataError, match=r"portrait\.asf: the name is not"):
        read_imm(own_imm)


def test_the_error_for_a_missing_folder_tells_how_to_get_it(tmp_path):
    with pytest.raises(
        DataError,
        match=r"nowhere: no such folder; .*imm_face_db\.zip.* download imm.*KEYPOINTS_DATA=.*paths\.data=",
    ):
        read_imm(tmp_path / "nowhere")


def test_an_empty_folder_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.asf file"):
        read_imm(tmp_path)


def test_the_real_database_is_read_completely(real_imm):
    faces = read_imm(real_imm)
    assert len(faces) == 240
    assert len({face.group for face in faces}) == 40
    assert {int(face.group) for face in faces if face.tags["gender"] == "f"} == {8, 12, 14, 15, 22, 30, 35}
    assert {face.photo.size for face in faces} == {(640, 480)}
    points = np.stack([face.landmarks() for face in faces])
    assert points.min() > 0
    assert (points.max(axis=(0, 1)) < (640, 480)).all()
    # In every picture the eyes are above the nose, and the nose is above the chin.
    assert (points[:, [13, 21], 1].max(axis=1) < points[:, 52, 1]).all()
    assert (points[:, 52, 1] < points[:, 6, 1]).all()
