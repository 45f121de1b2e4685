import pytest
import torch

from keypoints.callbacks.first_layer_filters import FirstLayerFilters, picture_of_filters, picture_of_maps
from keypoints.components import trusting
from tests.loggers.recorder import Recorder
from tests.working import interrupted_at, resume, train


def test_the_filters_are_logged_before_training_and_after_each_epoch(watched):
    _, events = watched(FirstLayerFilters())
    images = events.Images("first-layer filters")
    assert [image.step for image in images] == [0, 6, 12]
    assert len({image.encoded_image_string for image in images}) == 3
    maps = events.Images("first-layer feature maps")
    assert [image.step for image in maps] == [0, 6, 12]
    assert len({image.encoded_image_string for image in maps}) == 3


def test_filters_are_logged_every_n_epochs_and_at_the_end(watched):
    _, events = watched(FirstLayerFilters(every_n_epochs=2), epochs=3)
    assert [image.step for image in events.Images("first-layer filters")] == [0, 12, 18]


@pytest.mark.parametrize("draw", [picture_of_filters, lambda weight: picture_of_maps(weight[:, 0])])
def test_a_picture_does_not_depend_on_its_largest_value(draw):
    weight = torch.full((2, 1, 8, 8), 0.1)
    larger = weight.clone()
    larger[1] = 0.4
    one, other = draw(weight), draw(larger)
    assert (one[6:70, 6:70] == other[6:70, 6:70]).all()
    assert (one[6:70, 90:150] != other[6:70, 90:150]).any()


def test_filters_with_three_channels_are_their_mean():
    weight = torch.zeros(1, 3, 8, 8)
    weight[0, 0] = 0.3
    mean = torch.full((1, 1, 8, 8), 0.1)
    assert (picture_of_filters(weight)[:70] == picture_of_filters(mean)[:70]).all()


def test_a_resumed_run_logs_no_filters_of_step_zero_again(configured, tmp_path):
    Recorder.made.clear()
    ours = ["callbacks.last_checkpoint.seconds=0", f"+logger.own._target_={Recorder.__module__}.Recorder"]
    with interrupted_at(8):
        train(configured(*ours))
    with trusting("tests"):
        resume(tmp_path / "run")
    steps = [
        [step for step, key, _ in each.pictures if key == "first-layer filters"] for each in Recorder.made
    ]
    assert steps == [[0], [12]]
