"""Settings that libraries keep for a whole process. The command line and worker processes make them.

Imports and constructors of this package do not make them: in the user's own program, the user decides.
"""

import os
import sys
import warnings

MOST_MEGAPIXELS = 300
"""Largest photo that Pillow opens. Phones take photos of 200 million pixels; Pillow's own limit is 179."""


def configure_libraries() -> None:
    """Let Pillow read large photos without a warning, and OpenCV work with one thread a process.

    A face is too small to share among threads, and loader processes work in parallel. A larger limit of
    Pillow, and a number of threads in ``OPENCV_FOR_THREADS_NUM``, are kept.
    """
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # from half of the limit on
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MOST_MEGAPIXELS * 1_000_000 // 2)
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # OpenCV reads it when it is imported
    threads = os.environ["OPENCV_FOR_THREADS_NUM"]
    if "cv2" in sys.modules and threads.isdecimal():  # OpenCV itself reports another value
        sys.modules["cv2"].setNumThreads(int(threads))


def allowed_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def configure_worker(_: int) -> None:
    """Configure the libraries of a loader's worker process; its number does not matter."""
    configure_libraries()
