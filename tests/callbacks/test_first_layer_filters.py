import numpy as np
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


def test_all_filters_share_one_scale_about_mid_grey():
    weight = torch.zeros(2, 1, 4, 4)
    weight[0, 0, 0, 0], weight[1, 0, 0, 0] = 2.0, -1.0
    picture = picture_of_filters(weight)
    assert picture[6, 6].tolist() == [255] * 3
    assert picture[6, 6 + 64 + 6].tolist() == [64] * 3
    assert picture[6 + 32, 6 + 32].tolist() == [128] * 3


def test_filters_with_three_channels_are_in_colour():
    weight = torch.zeros(1, 3, 2, 2)
    weight[0, 0] = 1
    assert picture_of_filters(weight)[6, 6].tolist() == [255, 128, 128]
    assert not np.array_equal(picture_of_filters(weight)[..., 0], picture_of_filters(weight)[..., 1])


def test_feature_maps_share_one_scale_about_mid_grey():
    maps = torch.zeros(2, 10, 10)
    maps[0, 0, 0], maps[1, 0, 0] = 3.0, -1.5
    picture = picture_of_maps(maps)
    assert picture[6, 6].tolist() == [255] * 3
    assert picture[6, 6 + 10 + 6].tolist() == [64] * 3
    assert picture[10, 10].tolist() == [128] * 3


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
