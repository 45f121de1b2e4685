"""Settings that libraries keep for a whole process. The command line and worker processes make them.

Imports and constructors of this package do not make them: in the user's own program, the user decides.
"""

import os
import sys
import warnings

from keypoints.threads import wait_passively

MOST_MEGAPIXELS = 300
"""Largest photo that Pillow opens. Phones take photos of 200 million pixels; Pillow's own limit is 179."""


def configure_libraries() -> None:
    """Let Pillow read large photos without a warning, OpenCV use one thread, and threads wait passively.

    A face is too small to share among OpenCV's threads, and loader processes work in parallel. A larger limit
    of Pillow, and the user's variables for threads (``OPENCV_FOR_THREADS_NUM``, ``OMP_WAIT_POLICY``), are
    kept.
    """
    from PIL import Image

    wait_passively()

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # from half of the limit on
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MOST_MEGAPIXELS * 1_000_000 // 2)
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # OpenCV reads it when it is imported
    threads = os.environ["OPENCV_FOR_THREADS_NUM"]
    if "cv2" in sys.modules and threads.isdecimal():  # OpenCV itself reports another value
        sys.modules["cv2"].setNumThreads(int(threads))


def configure_worker(_: int) -> None:
    """Configure the libraries of a loader's worker process; its number does not matter."""
    configure_libraries()
