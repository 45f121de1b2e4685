import numpy as np
import pytest

from keypoints.data.readers.ibug300w import PARSED_LIST, TEST_LIST, TRAIN_LIST
from keypoints.datatools.compact_pieces import Cut, Piece, kept_part, plan_ibug, plan_imm
from keypoints.errors import DataError
from keypoints.geometry import Box
from tests.conftest import WILD, wild_points


def test_a_face_in_two_lists_is_one_piece(wild):
    plan = plan_ibug(wild)
    assert len(plan.pieces) == 9
    parsed, tested = ([piece for _, piece in plan.lists[name]] for name in (PARSED_LIST, TEST_LIST))
    assert all(piece is other for piece, other in zip(parsed, tested, strict=True))
    assert all(piece.points is not None for piece in parsed)
    exact = {piece.file: piece.exact for piece in plan.pieces}
    assert sum(points is None for points in exact.values()) == 3  # the mirrored copies
    for number, file in enumerate(WILD):
        np.testing.assert_allclose(exact[file], wild_points(number), atol=1e-6)


def test_every_picture_becomes_a_jpeg_of_the_same_name(wild):
    names = [piece.name for piece in plan_ibug(wild).pieces]
    assert "lfpw/trainset/image_0001.jpg" in names
    assert "lfpw/trainset/image_0001_mirror.jpg" in names
    assert len(set(names)) == len(names)


def test_a_second_face_is_numbered_before_the_mirror_suffix(wild):
    path = wild / TEST_LIST
    mirror = "<image file='helen/testset/30844800_1_mirror.jpg' width='200' height='160'>"
    text = path.read_text()
    assert mirror in text
    path.write_text(text.replace(mirror, f"{mirror}<box left='9' top='9' width='50' height='50'/>"))
    names = [piece.name for piece in plan_ibug(wild).pieces if "30844800" in piece.file]
    assert "helen/testset/30844800_1_2_mirror.jpg" in names


def test_the_pts_file_belongs_to_the_face_with_its_points(wild):
    path = wild / TRAIN_LIST
    box = "<box top='40' left='60' width='80' height='70'>"
    path.write_text(path.read_text().replace(box, f"<box top='9' left='9' width='50' height='50'/>{box}"))
    other, face = (piece for piece in plan_ibug(wild).pieces if piece.file == "afw/134212_1.jpg")
    assert other.exact is None
    assert face.exact is not None


def test_a_missing_picture_is_refused(wild):
    (wild / "afw" / "134212_1.pts").unlink()
    (wild / "afw" / "134212_1.jpg").unlink()
    with pytest.raises(DataError, match=r"its picture .* is missing"):
        plan_ibug(wild)


def test_pictures_of_imm_are_kept_uncropped(made_up_imm):
    plan = plan_imm(made_up_imm)
    assert len(plan.pieces) == 30
    assert not plan.lists
    assert kept_part(plan.pieces[0], (160, 120), 2.1, made_up_imm) == (Box(0, 0, 160, 120), 160)


def test_a_face_outside_its_picture_is_refused(tmp_path):
    piece = Piece("a.jpg", "a.jpg", Box(500, 0, 10, 10), None, None)
    with pytest.raises(DataError, match=r"a\.jpg: .* outside the picture of 100 × 80"):
        kept_part(piece, (100, 80), 2.0, tmp_path)


def test_back_is_the_inverse_of_the_affine_map():
    found = Cut(Box(10, 20, 300, 210), (100, 70), (640, 480))
    points = np.array([[10.0, 20.0], [155.5, 99.25], [-3.0, 500.0]])
    np.testing.assert_allclose(found.back(found.affine(points)), points)
    # A pixel of the copy covers 3 × 3 of the picture; the centre of the first is the middle one of them.
    np.testing.assert_allclose(found.back([[0, 0]]), [[11, 21]])
