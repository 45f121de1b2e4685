import cv2
import torch

from keypoints._version import __version__
from keypoints.library_versions import library_versions, opencv_changed


def test_versions_are_those_of_the_imported_libraries():
    versions = library_versions()
    assert versions["keypoints"] == __version__
    assert versions["opencv"] == cv2.__version__
    assert versions["torch"] == torch.__version__.partition("+")[0] or versions["torch"] == torch.__version__
    assert {"albumentations", "numpy", "pillow", "pytorch-lightning", "torchvision"} <= set(versions)
    assert all(isinstance(each, str) for each in versions.values())


def test_only_another_major_version_of_opencv_is_told():
    now = cv2.__version__
    assert opencv_changed({"opencv": now}) is None
    assert opencv_changed({"opencv": f"{now.partition('.')[0]}.999"}) is None
    assert opencv_changed({}) is None
    said = opencv_changed({"opencv": "3.4.18"})
    assert said.startswith(f"trained with OpenCV 3.4.18, and this is OpenCV {now}: ")
    assert said.endswith("install OpenCV 3")
