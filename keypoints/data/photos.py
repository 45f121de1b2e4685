"""Reading of picture files from cameras, phones and the web.

Pictures are rotated upright according to their EXIF orientation: sizes, boxes and points all refer to the
upright picture. 16-bit colours are scaled to 8 bits. Transparent areas are shown on white.
"""

import io
import math
import struct
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from keypoints.errors import DataError, one_line
from keypoints.geometry import ByteArray, FloatArray
from keypoints.input_files import MOST_PHOTO, read_bytes

_MODES = {1: "L", 3: "RGB"}
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
"""Exceptions that Pillow raises for files that are truncated, damaged, or of another format."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that makes a picture upright, by its EXIF orientation."""

_ON_THEIR_SIDE = (5, 6, 7, 8)


class Photo:
    """One picture file, read from disk at most once until it is decoded.

    The compressed bytes are kept between the first access to :attr:`size` and :meth:`decode`.

    Args:
        path: the file.
        megapixels: limit in millions of pixels; a larger picture is an error and is not decoded. ``None``:
            only Pillow's limit holds, see :func:`keypoints.process.configure_libraries`.
        contents: the file's bytes, if they are in memory; ``path`` is then only used in messages, and
            never opened.
    """

    def __init__(self, path: Path, megapixels: float | None = None, *, contents: bytes | None = None) -> None:
        self.path = path
        self._megapixels = math.inf if megapixels is None else megapixels
        self._contents = contents

    def __repr__(self) -> str:
        return f"Photo({str(self.path)!r})"

    @property
    def is_in_memory(self) -> bool:
        """Flag: the file's bytes were given, so that :attr:`path` need not tell one picture from another."""
        return self._contents is not None

    @cached_property
    def _bytes(self) -> bytes:
        if self._contents is not None:
            return self._contents
        return read_bytes(self.path, MOST_PHOTO)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture, from the file's header.

        Raises:
            DataError: if the file cannot be read or is no picture.
        """
        with self._open() as image:
            width, height = image.size
            return (height, width) if _orientation(image) in _ON_THEIR_SIDE else (width, height)

    def decode(self, channels: int) -> ByteArray:
        """Return the pixels of the upright picture: (H, W) grey for 1 channel, (H, W, 3) RGB for 3.

        Raises:
            DataError: if the file cannot be read, is no picture, or is truncated.
        """
        with self._open() as image:
            orientation = _orientation(image)
            try:
                decoded = _in_bytes(image)
                if orientation in _TURNS:
                    decoded = decoded.transpose(_TURNS[orientation])
                pixels = np.asarray(decoded.convert(_MODES[channels]))
            except _BROKEN as error:
                raise DataError(f"{self.path}: truncated or damaged ({one_line(error)})") from error
        self.size = (pixels.shape[1], pixels.shape[0])
        del self._bytes
        return pixels

    def _open(self) -> Image.Image:
        if not self._bytes:
            raise DataError(f"{self.path}: is no picture: the file is empty")
        try:
            image = Image.open(io.BytesIO(self._bytes))
            if image.format == "EPS":  # Pillow would run Ghostscript, and a file must not start a program
                raise DataError(f"{self.path}: is an EPS file, which is not read; save it as PNG or JPEG")
            if image.width * image.height > 1e6 * self._megapixels:
                raise DataError(
                    f"{self.path}: has {image.width} × {image.height} pixels, more than the "
                    f"limit of {self._megapixels:g} million"
                )
            if image.format == "TIFF":  # Pillow rotates these itself, but only when they are decoded
                image.load()
        except Image.DecompressionBombError as error:
            most = min(self._megapixels, 2e-6 * (Image.MAX_IMAGE_PIXELS or math.inf))
            own = math.isfinite(self._megapixels)
            way_out = "" if own else ", or in Python raise PIL.Image.MAX_IMAGE_PIXELS"
            raise DataError(
                f"{self.path}: has more than the limit of {most:g} million pixels; use fewer{way_out}"
            ) from error
        except UnidentifiedImageError as error:
            raise DataError(f"{self.path}: is no picture, or of a kind that cannot be read") from error
        except _BROKEN as error:
            raise DataError(f"{self.path}: cannot be opened ({one_line(error)})") from error
        return image


def grey(pixels: ByteArray) -> ByteArray:
    """Convert (H, W, 3) RGB pixels to (H, W) grey, as decoding to one channel does."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation in the header, 1 to 8; 1 (upright) if it has none."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the full picture to search for EXIF data after it
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (*_BROKEN, TypeError, KeyError):  # a picture with damaged metadata is still usable
        return 1


def _in_bytes(image: Image.Image) -> Image.Image:
    """Convert a picture to 8-bit grey or RGB, before it is rotated."""
    if image.mode in _MODES.values() and not image.has_transparency_data:
        return image
    if image.mode.startswith("I"):  # I;16 and its variants, and I, which holds 16 bits in 32
        return Image.fromarray(_eight_bits(np.asarray(image, np.float64)))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of no known range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: FloatArray) -> ByteArray:
    """Scale numbers from 0…65535 to bytes."""
    return np.rint(values.clip(0, 65535) / 257).astype(np.uint8)
