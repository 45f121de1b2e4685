import os
import subprocess
import sys
import warnings

import cv2
import pytest
from PIL import Image

from keypoints.process import configure_libraries, configure_worker


@pytest.fixture
def settings(monkeypatch):
    """Give the libraries known settings, and restore the former ones afterwards."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    for name in ("OPENCV_FOR_THREADS_NUM", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    with warnings.catch_warnings():
        yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize("configure", [configure_libraries, lambda: configure_worker(0)])
def test_large_photos_and_one_thread_are_set(settings, configure):
    configure()
    assert Image.MAX_IMAGE_PIXELS == 150_000_000
    assert cv2.getNumThreads() == 1
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_settings_of_the_user_are_kept(settings, monkeypatch):
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "2")
    for limit in (None, 10**12):
        Image.MAX_IMAGE_PIXELS = limit
        configure_libraries()
        assert limit == Image.MAX_IMAGE_PIXELS
        assert cv2.getNumThreads() == 2


def test_a_value_that_is_no_number_is_left_to_opencv(settings, monkeypatch):
    for value in ("abc", ""):
        monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", value)
        configure_libraries()
        assert cv2.getNumThreads() == 2


def test_imports_and_constructors_leave_the_process_as_it_is():
    code = (
        "import cv2, signal, sys, warnings, logging, torch\n"
        "from PIL import Image\n"
        "def state():\n"
        "    ours = [each for each in warnings.filters if each[2] is Image.DecompressionBombWarning]\n"
        "    return (Image.MAX_IMAGE_PIXELS, cv2.getNumThreads(), torch.get_num_threads(), ours,\n"
        "            signal.getsignal(signal.SIGINT), logging.getLogRecordFactory())\n"
        "before = state()\n"
        "import keypoints, pkgutil, importlib\n"
        "for each in pkgutil.walk_packages(keypoints.__path__, 'keypoints.'):\n"
        "    if not each.name.endswith('__main__'):\n"
        "        importlib.import_module(each.name)\n"
        "import albumentations\n"
        "keypoints.Augmentation({'turn': albumentations.Affine(rotate=(-5, 5))})\n"
        "print(state() == before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True", done.stderr
