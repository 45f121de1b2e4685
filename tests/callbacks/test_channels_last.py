import torch
from pytorch_lightning import Trainer

from keypoints.callbacks.channels_last import ChannelsLast
from keypoints.crop import Crop
from keypoints.models.inspection import first_convolution
from keypoints.schemes import IMM58
from keypoints.tasks.regression import RegressionTask


def test_the_layout_changes_and_the_outputs_do_not():
    task = RegressionTask(IMM58, Crop(80, 60, channels=3)).eval()
    images = torch.rand(2, 3, 60, 80) - 0.5
    before = task(images)
    ChannelsLast().setup(Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), task, "fit")
    assert first_convolution(task).weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(task(images), before, rtol=1e-4, atol=1e-5)
