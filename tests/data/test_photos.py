import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from keypoints.data.photos import Photo, grey
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


def test_a_photo_is_read_from_disk_only_once(picture):
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
def test_a_file_that_is_no_picture_is_reported(tmp_path, contents, says):
    path = tmp_path / "face.jpg"
    if contents is not None:
        path.write_bytes(contents)
    for use in (lambda: Photo(path).size, lambda: Photo(path).decode(1)):
        with pytest.raises(DataError, match=rf"face\.jpg: {says}"):
            use()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_picture_is_reported(picture, suffix):
    path = picture[0].with_suffix(f".{suffix}")
    Image.fromarray(picture[1]).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="truncated or damaged"):
        Photo(path).decode(1)


QUARTERS = {1: 0, 8: 1, 3: 2, 6: 3}
"""Counter-clockwise quarter turns that make a picture upright, by its EXIF orientation."""


def upright(pixels, orientation):
    mirrored = {2: 1, 5: 6, 7: 8, 4: 3}
    if orientation not in mirrored:
        return np.rot90(pixels, QUARTERS[orientation])
    return np.rot90(pixels, QUARTERS[mirrored[orientation]])[:, ::-1]


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_rotated_upright(picture, suffix, orientation):
    path, exif = picture[0].with_suffix(f".{suffix}"), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(picture[1]).save(path, exif=exif, lossless=True)
    expected = upright(np.asarray(Image.open(path)) if suffix == "jpg" else picture[1], orientation)
    assert Photo(path).size == expected.shape[1::-1]
    np.testing.assert_array_equal(Photo(path).decode(3), expected)
    assert Photo(path).decode(1).shape == expected.shape[:2]


def test_an_invalid_orientation_is_ignored(picture):
    path = picture[0].with_suffix(".jpg")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 77
    Image.fromarray(picture[1]).save(path, exif=exif)
    assert Photo(path).size == (40, 30)
    assert Photo(path).decode(3).shape == (30, 40, 3)
    damaged = path.read_bytes().replace(b"Exif\0\0MM", b"Exif\0\0??").replace(b"Exif\0\0II", b"Exif\0\0??")
    path.write_bytes(damaged)
    assert Photo(path).size == (40, 30)
    assert Photo(path).decode(3).shape == (30, 40, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_plain_pictures_decode_as_in_pillow(picture, mode, suffix):
    path = picture[0].with_suffix(f".{suffix}")
    Image.fromarray(picture[1]).convert(mode).save(path)
    for channels, wanted in ((1, "L"), (3, "RGB")):
        plain = np.asarray(Image.open(path).convert(wanted))
        np.testing.assert_array_equal(Photo(path).decode(channels), plain)


def kinds(pixels):
    """Yield the same picture in other kinds of file, each with a tolerance for its colours."""
    colour = Image.fromarray(pixels)
    solid = colour.convert("RGBA")
    yield "opaque.png", solid, pixels, 0
    luma = np.asarray(colour.convert("L"))
    deep = Image.fromarray(luma.astype(np.uint16) * 257)
    as_grey = np.repeat(luma[..., None], 3, axis=2)
    yield "deep.png", deep, as_grey, 0
    yield "deep.tiff", deep, as_grey, 0
    few = colour.quantize(16)
    yield "palette.png", few, np.asarray(few.convert("RGB")), 0
    yield "palette.gif", few, np.asarray(few.convert("RGB")), 0
    yield "inks.tiff", colour.convert("CMYK"), pixels, 1
    yield "inks.jpg", Image.new("CMYK", colour.size, (0, 255, 255, 0)), np.full_like(pixels, (255, 0, 0)), 3
    yield "two.png", colour.convert("1"), np.asarray(colour.convert("1").convert("RGB")), 0
    bare = solid.copy()
    bare.putalpha(0)
    yield "transparent.png", bare, np.full_like(pixels, 255), 0
    half = solid.copy()
    half.putalpha(128)
    yield "half.png", half, np.uint8((pixels.astype(int) + 255) / 2), 2
    grey_and_alpha = colour.convert("LA")
    grey_and_alpha.putalpha(0)
    yield "grey_and_alpha.png", grey_and_alpha, np.full_like(pixels, 255), 0


def test_all_colour_modes_are_read(picture, tmp_path):
    for name, image, expected, tolerance in kinds(picture[1]):
        image.save(tmp_path / name)
        found = Photo(tmp_path / name).decode(3)
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - expected).max() <= tolerance, name
        np.testing.assert_array_equal(Photo(tmp_path / name).decode(1), grey(found), err_msg=name)


def test_floating_point_colours_are_refused(tmp_path):
    path = tmp_path / "float.tiff"
    Image.fromarray(np.zeros((4, 5), np.float32)).save(path)
    with pytest.raises(DataError, match=r"float\.tiff: .* save it with 8 or 16 bits"):
        Photo(path).decode(1)


def test_a_large_photo_is_read_without_a_warning(tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (150, 100), 7).save(path)
    code = (
        "import pathlib, sys, PIL.Image, keypoints.data.photos as photos\n"
        "from keypoints.process import configure_libraries\n"
        "configure_libraries()\n"
        "PIL.Image.MAX_IMAGE_PIXELS = 10_000\n"
        "print(photos.Photo(pathlib.Path(sys.argv[1])).decode(3).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("(100, 150, 3)\n", "")


def claiming(path, width, height):
    """Write a file whose header claims the given size."""
    Image.new("1", (1, 1)).save(path)
    header = struct.pack(">II", width, height)
    contents = bytearray(path.read_bytes())
    contents[16:24] = header
    contents[29:33] = struct.pack(">I", zlib.crc32(bytes(contents[12:29])))
    path.write_bytes(contents)
    return path


def test_a_phone_photo_of_200_megapixels_is_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 150_000_000)  # as the command line sets it
    assert Photo(claiming(tmp_path / "phone.png", 16_320, 12_240)).size == (16_320, 12_240)


def test_a_decompression_bomb_is_reported_in_one_line(tmp_path):
    path = claiming(tmp_path / "bomb.png", 50_000, 50_000)
    for use in (lambda: Photo(path).size, lambda: Photo(path).decode(1)):
        with pytest.raises(
            DataError, match=r"bomb\.png: has more than the limit of \d+.* million pixels; use fewer"
        ) as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_too_large_picture_is_refused_before_decoding(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"large.{suffix}"
    Image.new("L", (201, 100)).save(path)
    assert Photo(path, megapixels=0.0201).decode(1).shape == (100, 201)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("it was decoded"))
    with pytest.raises(
        DataError, match=rf"large\.{suffix}: has 201 × 100 pixels, more than the limit of 0\.02 million"
    ):
        Photo(path, megapixels=0.02).decode(1)


def test_a_photo_in_memory_never_opens_its_path(picture, tmp_path):
    path, pixels = picture
    photo = Photo(tmp_path / "no such folder" / "mine.png", contents=path.read_bytes())
    for _ in range(2):
        np.testing.assert_array_equal(photo.decode(3), pixels)
        assert photo.size == (40, 30)
    with pytest.raises(DataError, match=r"photo, \[1\] ø\.png: is no picture, or of a kind"):
        Photo(path, contents=b"no picture").decode(3)
    with pytest.raises(DataError, match="is no picture: the file is empty"):
        Photo(path, contents=b"").decode(3)
    with pytest.raises(DataError, match=r"has 40 × 30 pixels, more than the limit of 0\.001 million"):
        Photo(tmp_path / "mine.png", 0.001, contents=path.read_bytes()).decode(3)


@pytest.mark.parametrize("name", ["face.eps", "face.jpg"])
def test_an_eps_file_is_refused_without_running_ghostscript(picture, tmp_path, monkeypatch, name):
    Image.fromarray(picture[1]).save(tmp_path / name, "EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("Ghostscript was called"))
    for use in (lambda: Photo(tmp_path / name).size, lambda: Photo(tmp_path / name).decode(3)):
        with pytest.raises(DataError, match=rf"{name}: is an EPS file, .* save it as PNG or JPEG"):
            use()
