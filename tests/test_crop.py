import numpy as np
import pytest

from keypoints.crop import Crop, cut, warped
from keypoints.errors import ConfigError
from keypoints.geometry import Affine, Box


def blob(size, centre, radius):
    """Return a bright Gaussian spot on black."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    squares = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    return np.rint(255 * np.exp(-squares / (2 * radius**2))).astype(np.uint8)


def centroid(image):
    x, y = np.meshgrid(np.arange(image.shape[1]), np.arange(image.shape[0]))
    weight = image.astype(float)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize(
    "box",
    [
        Box(20, 10, 100, 80),
        Box(-30, -20, 160, 120),  # extends beyond the left and top edges
        Box(60.3, 30.7, 140.6, 110.2),  # extends beyond the right and bottom edges, at fractions of a pixel
        Box(-351, -82, 700, 500),  # as far outside as boxes of 300-W
        Box(40, 30, 33, 29),  # scaled up
    ],
    ids=str,
)
def test_a_crop_agrees_with_its_affine_map(box):
    size = (64, 48)
    affine = Affine.between(box, Box.of_image(size))
    left, right = max(box.left, 0), min(box.left + box.width, 160)
    top, bottom = max(box.top, 0), min(box.top + box.height, 120)
    spot = ((left + right) / 2 + 0.25, (top + bottom) / 2)  # in the middle of the overlap of box and picture
    image = blob((160, 120), spot, radius=min(right - left, bottom - top) / 10)
    np.testing.assert_allclose(centroid(cut(image, box, size)), affine(spot), atol=0.05)
    np.testing.assert_allclose(affine.inverse()(affine(spot)), spot, atol=1e-4)


def test_scaling_down_averages_and_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (480, 320))  # alternating black and white columns
    small = cut(stripes, Box.of_image((640, 480)), (80, 60))
    assert small[:, 1:-1].min() >= 125
    assert small[:, 1:-1].max() <= 130


def test_cropping_the_full_picture_at_its_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    np.testing.assert_array_equal(cut(image, Box.of_image((64, 48)), (64, 48)), image)


def test_pixels_outside_the_picture_repeat_its_border():
    image = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    larger = cut(image, Box(-16, -8, 96, 64), (96, 64))
    np.testing.assert_array_equal(larger[8:56, 16:80], image)
    np.testing.assert_array_equal(larger[8:56, 3], image[:, 0])


@pytest.mark.parametrize("box", [Box(64, 0, 10, 10), Box(0, -20, 10, 20)], ids=str)
def test_a_box_outside_the_picture_is_refused(box):
    with pytest.raises(ValueError, match="outside the picture of 64 × 48"):
        cut(np.zeros((48, 64), np.uint8), box, (10, 10))


def test_a_far_too_large_box_is_refused():
    with pytest.raises(ValueError, match="times the picture"):
        cut(np.zeros((48, 64), np.uint8), Box(0, 0, 1e6, 1e6), (10, 10))


@pytest.mark.parametrize("border", [(0, 0), (3, 5)])
def test_the_map_to_a_canvas_needs_no_pixels(border):
    crop, image = Crop(20, 30, source="box", margin=1.3), np.zeros((48, 64), np.uint8)
    box = Box(50, -4, 30, 20)
    _, affine = crop.canvas(image, box, border)
    np.testing.assert_array_equal(crop.to_canvas((64, 48), box, border).matrix, affine.matrix)
    for wrong, says in ((Box(64, 0, 10, 10), "outside the picture"), (Box(0, 0, 1e6, 1e6), "times the")):
        with pytest.raises(ValueError, match=says):
            crop.canvas(image, wrong, border)
        with pytest.raises(ValueError, match=says):
            crop.to_canvas((64, 48), wrong, border)


def test_a_crop_of_the_full_image_keeps_its_aspect_ratio():
    crop = Crop(80, 60)
    assert crop.region((640, 480), None) == Box(0, 0, 640, 480)
    assert crop.region((480, 480), None) == Box(-80, 0, 640, 480)


def test_a_crop_of_a_box_enlarges_it_around_its_centre():
    crop = Crop(100, 100, source="box", margin=1.5)
    assert crop.region((640, 480), Box(10, 20, 100, 80)) == Box(-15, -15, 150, 150)
    with pytest.raises(ValueError, match="there is none"):
        crop.region((640, 480), None)
    with pytest.raises(ValueError, match=r"the box of 100 × 80 at \(650, 20\) lies outside .* 640 × 480"):
        crop.region((640, 480), Box(650, 20, 100, 80))  # although its margin overlaps the picture


@pytest.mark.parametrize(("channels", "shape"), [(1, (120, 160)), (3, (120, 160, 3))])
def test_a_crop_has_channels_last(channels, shape):
    pixels, affine = Crop(80, 60, channels)(np.zeros(shape, np.uint8), None)
    assert pixels.shape == (60, 80, channels)
    np.testing.assert_allclose(affine([159.5, 119.5]), [79.5, 59.5])


@pytest.mark.parametrize(
    "values",
    [{"width": 0}, {"width": 8.5}, {"height": "60"}, {"channels": 2}, {"source": "face"}, {"margin": 0}],
)
def test_an_invalid_crop_convention_is_refused(values):
    with pytest.raises(ConfigError):
        Crop(**{"width": 80, "height": 60, **values})


def test_a_crop_convention_survives_a_round_trip_through_plain_values():
    crop = Crop(224, 224, 3, "box", 1.3)
    assert Crop.from_dict(crop.to_dict()) == crop
    with pytest.raises(ConfigError, match="not a crop convention"):
        Crop.from_dict({"width": 80, "height": 60, "zoom": 2})


@pytest.mark.parametrize("angle", [0, 30, 135])
@pytest.mark.parametrize("scale", [0.25, 1, 2])
def test_a_warped_image_agrees_with_its_affine_map(angle, scale):
    turn, spot = np.radians(angle), (90.0, 60.0)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = np.array((30.25, 24.5)) - linear @ spot
    affine = Affine(np.column_stack([linear, shift]))
    image = blob((160, 120), spot, radius=4 / scale)
    np.testing.assert_allclose(centroid(warped(image, affine, (64, 48))), affine(spot), atol=0.05)
    colour = warped(np.repeat(image[..., None], 3, axis=2), affine, (64, 48))
    np.testing.assert_array_equal(colour[..., 1], warped(image, affine, (64, 48)))


def test_a_warped_image_averages_what_it_shrinks():
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 255
    shrunk = warped(stripes, Affine(np.array([[0.1, 0, 0], [0, 0.1, 0]])), (40, 40))
    assert 120 < shrunk[5:-5, 5:-5].min() <= shrunk[5:-5, 5:-5].max() < 136
