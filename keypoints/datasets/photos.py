"""Reading picture files."""

import io
import struct
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from keypoints.errors import DataError, one_line
from keypoints.geometry import ByteArray

_MODES = {1: "L", 3: "RGB"}
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that are cut off, damaged, or not what they claim to be."""


class Photo:
    """One picture file, read from disk at most once until it is decoded.

    The compressed bytes are held between the first look at :attr:`size` and :meth:`decode`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Photo({str(self.path)!r})"

    @cached_property
    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror or one_line(error)})") from error

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height, from the file's header.

        Raises:
            DataError: if the file cannot be read or is no picture.
        """
        with self._open() as image:
            return image.size

    def decode(self, channels: int) -> ByteArray:
        """The pixels: (H, W) grey for one channel, (H, W, 3) RGB for three.

        Raises:
            DataError: if the file cannot be read, is no picture, or is truncated.
        """
        with self._open() as image:
            try:
                pixels = np.asarray(image.convert(_MODES[channels]))
            except _BROKEN as error:
                raise DataError(f"{self.path}: truncated or damaged ({one_line(error)})") from error
        self.size = (pixels.shape[1], pixels.shape[0])
        del self._bytes
        return pixels

    def _open(self) -> Image.Image:
        try:
            return Image.open(io.BytesIO(self._bytes))
        except UnidentifiedImageError as error:
            raise DataError(f"{self.path}: is no picture, or of a kind that cannot be read") from error
        except _BROKEN as error:
            raise DataError(f"{self.path}: cannot be opened ({one_line(error)})") from error
