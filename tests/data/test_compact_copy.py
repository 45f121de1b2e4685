from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keypoints.data.compact_copy import (
    MAP_FILE,
    Original,
    format_map,
    original_of,
    read_map,
    scaled_down,
    surroundings,
)
from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import Affine, Box

numbers = st.floats(-1e4, 1e4)
scales = st.floats(0.01, 100)
originals = st.builds(
    lambda file, size, xx, yy, x0, y0: Original(file, size, Affine(np.array([[xx, 0, x0], [0, yy, y0]]))),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
    scales,
    scales,
    numbers,
    numbers,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), originals))
def test_a_map_survives_a_round_trip_exactly(tmp_path_factory, found):
    root = tmp_path_factory.mktemp("copy")
    (root / MAP_FILE).write_text(format_map(found), encoding="utf-8")
    back = read_map(root)
    assert list(back) == list(found)
    for name, original in found.items():
        assert (back[name].file, back[name].size) == (original.file, original.size)
        np.testing.assert_array_equal(back[name].to_original.matrix, original.to_original.matrix)


def test_a_folder_that_is_no_compact_copy_has_an_empty_map(tmp_path):
    assert read_map(tmp_path) == {}


LINE = "a.jpg,b.jpg,10,20,2.0,0.0,0.5,0.0,2.0,0.5"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["name,file", LINE], "does not begin with the columns picture,original"),
        ([], "does not begin with the columns"),
        ([None, LINE, LINE.replace("2.0", "two", 1)], "line 3: cannot be used"),
        ([None, LINE.rpartition(",")[0]], "line 2: cannot be used"),
        ([None, "a.jpg"], "line 2: cannot be used"),
        ([None, LINE.replace("2.0", "0.0", 1)], "line 2: cannot be used .*Singular"),
        ([None, LINE.replace("10", "0", 1)], "line 2: cannot be used"),
        ([None, LINE.replace("2.0", "nan", 1)], "line 2: cannot be used"),
    ],
)
def test_a_damaged_map_is_reported_with_its_line(tmp_path, lines, says):
    head = format_map({}).strip()
    (tmp_path / MAP_FILE).write_text("\n".join(head if line is None else line for line in lines))
    with pytest.raises(DataError, match=rf"originals\.csv: .*{says}"):
        read_map(tmp_path)


def test_without_a_map_a_picture_is_its_own_original(made_up_imm):
    face = Face(Photo(made_up_imm / "01-1m.jpg"), None, None, "01")
    own = original_of(face, made_up_imm, {})
    assert (own.file, own.size) == ("01-1m.jpg", (160, 120))
    np.testing.assert_array_equal(own.to_original([[3, 4]]), [[3, 4]])
    kept = {"01-1m.jpg": Original("big.jpg", (640, 480), Affine(np.eye(2, 3) * 4))}
    assert original_of(face, made_up_imm, kept).file == "big.jpg"
    with pytest.raises(DataError, match=r"originals\.csv: has no line for 01-1m\.jpg"):
        original_of(face, made_up_imm, {"other.jpg": own})


sizes = st.tuples(st.integers(20, 3000), st.integers(20, 3000))
boxes = st.builds(Box, *[st.floats(-300, 900)] * 2, *[st.floats(1, 900)] * 2)


@given(sizes, boxes, st.floats(1, 4), st.booleans())
def test_the_kept_region_contains_box_and_points(size, box, context, with_points):
    points = np.array([[box.left - 50, box.top], [box.left + 10, box.top + box.height + 70]])
    try:
        part = surroundings(size, box, points if with_points else None, context)
    except ValueError:
        assert (
            box.left + box.width * 3 < 0 or box.left > size[0] - 900 or box.top + box.height * 3 < 0 or True
        )
        return
    right, bottom = part.left + part.width, part.top + part.height
    assert min(part.left, part.top) >= 0
    assert right <= size[0]
    assert bottom <= size[1]
    assert part.left <= max(box.left, 0)
    assert right >= min(box.left + box.width, size[0])
    if with_points:
        assert part.left <= max(points[0, 0], 0)
        assert bottom >= min(points[1, 1] + 1, size[1])


def test_a_box_outside_the_picture_has_no_surroundings():
    with pytest.raises(ValueError, match="outside the picture of 100 × 80"):
        surroundings((100, 80), Box(300, 10, 20, 20), None, 2.0)


def test_the_box_is_enlarged_around_its_centre_and_clipped():
    assert surroundings((1000, 800), Box(100, 200, 100, 80), None, 2.0) == Box(50, 160, 200, 160)
    assert surroundings((220, 180), Box(100, 100, 100, 80), None, 2.0) == Box(50, 60, 170, 120)


parts = st.builds(Box, *[st.integers(0, 500)] * 2, *[st.integers(1, 3000)] * 2)


@given(parts, st.integers(1, 3000), st.integers(1, 500))
def test_the_scale_is_uniform_and_never_enlarges(part, longer, side):
    region, size = scaled_down(part, longer, side)
    scale = min(1, side / longer)
    assert size[0] / region.width == pytest.approx(scale)
    assert size[1] / region.height == pytest.approx(scale)
    assert (region.left, region.top) == (part.left, part.top)
    assert longer * scale <= side * (1 + 1e-9)
    for extent, whole, pixels in zip(
        (region.width, region.height), (part.width, part.height), size, strict=True
    ):
        if whole * scale >= 1:
            assert whole - 1 / scale - 1e-6 < extent <= whole + 1e-5 / scale
        assert pixels <= max(whole, 1)


def test_a_small_region_keeps_its_size():
    assert scaled_down(Box(3, 4, 50, 60), 40, 240) == (Box(3, 4, 50, 60), (50, 60))
    assert scaled_down(Box(3, 4, 300, 210), 120, 40) == (Box(3, 4, 300, 210), (100, 70))


def test_the_root_may_be_a_relative_path(made_up_imm, monkeypatch):
    monkeypatch.chdir(made_up_imm)
    face = Face(Photo(Path("01-1m.jpg")), None, None, "01")
    assert original_of(face, Path(), {}).file == "01-1m.jpg"
