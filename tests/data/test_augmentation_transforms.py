import numpy as np
import pytest

from keypoints.data.augmentation import Augmentation
from keypoints.data.augmentation_transforms import LowResolution
from tests.test_crop import blob, centroid


@pytest.mark.parametrize("scale", [0.2, 0.37, 0.8, 1.0])
def test_low_resolution_does_not_shift_the_image(scale):
    augmentation = Augmentation({"it": LowResolution((scale, scale), p=1)})
    picture = blob((256, 192), (100.25, 80.0), radius=8)[:, :, None]
    drawn = augmentation([picture], np.zeros((1, 1, 2)), [[0]])
    np.testing.assert_allclose(centroid(drawn.pixels[0, :, :, 0]), (100.25, 80.0), atol=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_low_resolution_removes_fine_detail(channels):
    fine = np.random.default_rng(0).integers(0, 256, (96, 128, channels), np.uint8)
    augmentation = Augmentation({"it": LowResolution((0.25, 0.25), p=1)})
    coarse = augmentation([fine], np.zeros((1, 1, 2)), [[0]]).pixels[0]
    assert coarse.shape == fine.shape
    assert coarse.std() < fine.std() / 2


@pytest.mark.parametrize("scale_range", [(0, 0.5), (0.8, 0.4), (0.5, 2)])
def test_an_invalid_scale_range_is_refused(scale_range):
    with pytest.raises(ValueError, match="range within 0 and 1"):
        LowResolution(scale_range)
