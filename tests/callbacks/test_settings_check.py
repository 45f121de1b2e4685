import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

from keypoints.callbacks.mean_shape_baseline import ConstantPredictor
from keypoints.callbacks.settings_check import SettingsCheck
from keypoints.errors import ConfigError


class Own(pl.Callback):
    """Callback of the user, which may log any metric."""


def checked(watched, *callbacks):
    by_key = {type(each).__name__: each for each in callbacks}
    check = SettingsCheck()
    check.watch(by_key)
    return watched(*callbacks, check, epochs=1)


@pytest.mark.parametrize("monitor", ["val/mse", "loss/train", "lr-Adam", "val/mse_constant"])
def test_any_logged_metric_may_be_monitored(watched, monitor):
    stopping = EarlyStopping(monitor)
    trainer, _ = checked(watched, ConstantPredictor(), LearningRateMonitor(), stopping)
    assert trainer.global_step > 0


@pytest.mark.parametrize(
    "callback", [EarlyStopping("val_loss"), ModelCheckpoint(monitor="val_loss")], ids=type
)
def test_an_unknown_metric_is_refused_before_the_first_step(watched, callback):
    with pytest.raises(
        ConfigError,
        match=r"\.monitor=val_loss is not logged; the logged metrics are: loss/train, loss/val, val/mae_px,",
    ):
        checked(watched, callback)


def test_an_unknown_metric_may_be_tolerated(watched, caplog):
    checked(watched, EarlyStopping("val_loss", strict=False))
    assert "val_loss is not logged" in caplog.text
    with pytest.raises(RuntimeError, match="val_loss"):  # raised by Lightning at the epoch's end
        checked(watched, EarlyStopping("val_loss"), Own())


@pytest.mark.parametrize(
    ("processor", "precision", "warns"),
    [("AVX2", "bf16-mixed", True), ("AVX512", "bf16-mixed", False), ("AVX2", "32-true", False)],
)
def test_a_precision_that_is_only_emulated_is_told(watched, caplog, monkeypatch, processor, precision, warns):
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: processor)
    check = SettingsCheck()
    watched(check, epochs=1, precision=precision)
    assert ("trainer.precision=32-true is the faster choice" in caplog.text) == warns


def test_key_of_returns_the_key_of_a_callback():
    own = Own()
    check = SettingsCheck()
    check.watch({"callbacks.own": own})
    assert (check.key_of(own), check.key_of(Own())) == ("callbacks.own", None)
