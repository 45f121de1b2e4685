import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keypoints.geometry import Affine, Box, pixels_to_ratio, ratio_to_pixels

offsets = st.floats(-400, 1200)
sides = st.floats(8, 2000)
boxes = st.builds(Box, offsets, offsets, sides, sides)
points = st.lists(st.tuples(st.floats(-500, 1500), st.floats(-500, 1500)), min_size=1, max_size=68)


@given(boxes, boxes, points)
def test_an_affine_followed_by_its_inverse_returns_the_points(source, target, there):
    affine = Affine.between(source, target)
    np.testing.assert_allclose(affine.inverse()(affine(there)), there, atol=1e-4)


@given(boxes, boxes, boxes, points)
def test_affine_maps_compose(first, second, third, there):
    one_by_one = Affine.between(second, third)(Affine.between(first, second)(there))
    at_once = Affine.between(first, second).then(Affine.between(second, third))(there)
    np.testing.assert_allclose(at_once, one_by_one, atol=1e-4 * (1 + abs(one_by_one).max()))


@given(points, st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
def test_ratios_and_pixels_convert_back_and_forth(there, size):
    np.testing.assert_allclose(ratio_to_pixels(pixels_to_ratio(there, size), size), there, atol=1e-6)


def test_ratios_are_0_and_1_at_the_edges_of_the_picture():
    np.testing.assert_allclose(pixels_to_ratio([[-0.5, -0.5], [79.5, 59.5]], (80, 60)), [[0, 0], [1, 1]])


def test_an_affine_maps_edges_to_edges():
    halved = Affine.between(Box.of_image((640, 480)), Box.of_image((320, 240)))
    np.testing.assert_allclose(halved([[-0.5, -0.5], [639.5, 479.5]]), [[-0.5, -0.5], [319.5, 239.5]])
    np.testing.assert_allclose(halved([0.5, 0.5]), [0, 0])  # the centre of the first four pixels


def test_a_batch_of_affines_equals_its_single_maps():
    first, second = np.random.default_rng(0).normal(size=(2, 4, 2, 3))
    there = np.random.default_rng(1).normal(size=(4, 5, 2))
    for other in (Affine(second), Affine(second[0])):
        together = Affine(first).then(other)
        back = together.inverse()
        for place in range(4):
            alone = Affine(first[place]).then(Affine(np.broadcast_to(other.matrix, first.shape)[place]))
            np.testing.assert_allclose(together.matrix[place], alone.matrix)
            np.testing.assert_allclose(together(there)[place], alone(there[place]))
            np.testing.assert_allclose(together(there[0])[place], alone(there[0]))
            np.testing.assert_allclose(back.matrix[place], alone.inverse().matrix)


def test_inverting_a_singular_affine_is_an_error():
    with pytest.raises(ValueError, match="no inverse"):
        Affine(np.zeros((2, 3))).inverse()


@pytest.mark.parametrize("sides", [(0, 5), (5, -1), (float("nan"), 5), (float("inf"), 5)])
def test_a_box_with_invalid_sides_is_refused(sides):
    with pytest.raises(ValueError, match="box needs"):
        Box(0, 0, *sides)


def test_geometry_and_readers_import_neither_torch_nor_albumentations():
    code = (
        "import sys, keypoints, keypoints.geometry, keypoints.data.readers.imm, keypoints.drawing\n"
        "print(sorted({'torch', 'albumentations', 'pytorch_lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ((0, 0, 10, 10), 1),
        ((5, 0, 10, 10), 1 / 3),
        ((2, 2, 5, 4), 0.2),
        ((10, 0, 3, 3), 0),
        ((0, -20, 9, 9), 0),
    ],
)
def test_overlap_is_intersection_over_union(other, overlap):
    assert Box(0, 0, 10, 10).overlap(Box(*other)) == pytest.approx(overlap)
    assert Box(*other).overlap(Box(0, 0, 10, 10)) == pytest.approx(overlap)
