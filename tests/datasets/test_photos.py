import numpy as np
import pytest
from PIL import Image

from keypoints.datasets.photos import Photo
from keypoints.errors import DataError


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a photo, [1] ø.png"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path, pixels


def test_a_photo_decodes_to_colour_and_to_grey(picture):
    path, pixels = picture
    np.testing.assert_array_equal(Photo(path).decode(3), pixels)
    luma = pixels @ [0.299, 0.587, 0.114]
    assert np.abs(Photo(path).decode(1) - luma).max() <= 1


def test_a_photo_is_read_from_disk_once_for_its_size_and_its_pixels(picture):
    path, _ = picture
    photo = Photo(path)
    assert photo.size == (40, 30)
    path.unlink()
    assert photo.decode(1).shape == (30, 40)
    assert photo.size == (40, 30)


@pytest.mark.parametrize(
    ("contents", "says"),
    [(b"", "is no picture"), (b"not a picture", "is no picture"), (None, "cannot be read")],
    ids=["empty", "text", "missing"],
)
def test_a_file_that_is_no_picture_is_named(tmp_path, contents, says):
    path = tmp_path / "face.jpg"
    if contents is not None:
        path.write_bytes(contents)
    for use in (lambda: Photo(path).size, lambda: Photo(path).decode(1)):
        with pytest.raises(DataError, match=rf"face\.jpg: {says}"):
            use()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_picture_is_named(picture, suffix):
    path = picture[0].with_suffix(f".{suffix}")
    Image.fromarray(picture[1]).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="truncated or damaged"):
        Photo(path).decode(1)
