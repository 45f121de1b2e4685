import pytest
import torch

from keypoints.callbacks.mean_shape_baseline import ConstantPredictor


def test_the_baseline_is_logged_with_each_validation(watched):
    trainer, events = watched(ConstantPredictor())
    data = trainer.datamodule
    truth = data.dataset("val").targets
    # The crop has the photo's proportions, so ratios of the input are ratios of the photo.
    expected = (truth - data.dataset("train").targets.mean(dim=0)).square().mean().item()
    for tag in ("val/mse_constant", "loss/constant"):
        assert [event.value for event in events.Scalars(tag)] == pytest.approx([expected] * 2, rel=1e-4)


def test_the_baseline_works_without_a_logger(watched):
    trainer, _ = watched(ConstantPredictor(), logger=False)
    assert trainer.callback_metrics["val/mse_constant"] > 0


def test_the_baseline_on_imm_scores_the_published_values(real_imm):
    from keypoints.callbacks.mean_shape_baseline import constant_scores
    from keypoints.datamodules.imm import IMMDataModule
    from keypoints.tasks.regression import RegressionTask

    for landmarks, published in (("nose_tip", 0.005085), (None, 0.004087)):
        data = IMMDataModule(real_imm, landmarks=landmarks)
        data.setup()
        with torch.no_grad():
            scores = constant_scores(RegressionTask(data.scheme, data.crop), data)
        assert scores["val/mse_constant"] == pytest.approx(published, abs=1e-6)
