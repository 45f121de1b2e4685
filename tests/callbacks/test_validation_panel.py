import io

import numpy as np
import pytest
from PIL import Image

from keypoints.callbacks.validation_panel import ValidationPanel
from keypoints.drawing import PREDICTION, TRUTH
from keypoints.errors import ConfigError


def test_the_panel_plots_truth_and_prediction_at_each_epoch(watched):
    _, events = watched(ValidationPanel(faces=3))
    images = events.Images("validation faces")
    assert [image.step for image in images] == [6, 12]
    pictures = [np.asarray(Image.open(io.BytesIO(image.encoded_image_string))) for image in images]
    for picture in pictures:
        assert picture.shape == (240 + 12, 3 * 326 + 6, 3)
        for colour in (TRUTH, PREDICTION):
            assert (np.abs(picture.astype(int) - colour).max(axis=2) < 20).any()  # JPEG changes it a little


def test_the_panel_is_logged_every_n_epochs_and_at_the_end(watched):
    _, events = watched(ValidationPanel(faces=50, every_n_epochs=5))
    assert [image.step for image in events.Images("validation faces")] == [12]


@pytest.mark.parametrize("setting", [{"faces": 0}, {"every_n_epochs": 0}])
def test_invalid_settings_are_refused(setting):
    with pytest.raises(ConfigError, match="1 or more"):
        ValidationPanel(**setting)
