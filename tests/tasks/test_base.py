from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    LearningRateFinder,
    StochasticWeightAveraging,
)
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.data.dataset import Batch
from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import CheckpointError, ConfigError
from keypoints.library_versions import library_versions
from keypoints.models.convnet import ConvNet
from keypoints.schemes import IMM58
from keypoints.tasks.base import load_task, usable_device
from keypoints.tasks.losses import WingLoss
from keypoints.tasks.regression import RegressionTask
from tests.conftest import change_checkpoint

NOSE = IMM58.select("nose_tip")
CROP = Crop(40, 30)
NET = configure(ConvNet, kernel_sizes=[5, 3], channels=[4, 4], hidden=8)


@pytest.fixture
def saved(made_up_imm, tmp_path):
    """Return a task that was trained for one epoch, and the path of its checkpoint."""
    task = RegressionTask(NOSE, CROP, net=NET, loss=configure(WingLoss, width=0.1, curvature=0.05))
    data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30)
    trainer = trainer_for(tmp_path)
    trainer.fit(task, datamodule=data)
    path = tmp_path / "task.ckpt"
    trainer.save_checkpoint(path)
    return task.eval(), path


def trainer_for(folder, **settings):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(
        **{"max_epochs": 1, "accelerator": "cpu", "enable_checkpointing": False, **quiet, **settings},
        default_root_dir=folder,
    )


def test_a_checkpoint_alone_restores_the_same_task(saved):
    task, path = saved
    loaded = load_task(path)
    images = torch.rand(3, 1, 30, 40) - 0.5
    assert torch.equal(loaded(images), task(images))
    assert (loaded.scheme, loaded.crop) == (task.scheme, task.crop)
    assert loaded.hparams == task.hparams
    assert not loaded.training


def test_a_checkpoint_holds_plain_values_and_lightning_can_read_it(saved):
    task, path = saved
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["keypoints"]["format"] == 1

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return value is None or isinstance(value, str | int | float | bool)

    assert plain(dict(checkpoint["hyper_parameters"]))
    images = torch.rand(1, 1, 30, 40)
    assert torch.equal(RegressionTask.load_from_checkpoint(path).eval()(images), task(images))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["keypoints"].update(task="os.system"), "os.system is outside the trusted packages"),
        (lambda c: c["keypoints"].update(task="keypoints.models.convnet.ConvNet"), "ConvNet is no Task"),
        (
            lambda c: c["hyper_parameters"]["net"].update(_target_="subprocess.Popen"),
            "Popen is outside the trusted",
        ),
        (lambda c: c["hyper_parameters"]["net"].update(hidden=9), "weights do not fit"),
        (lambda c: c["hyper_parameters"].pop("scheme"), "scheme"),
        (lambda c: c.pop("state_dict"), "lacks 'state_dict'"),
    ],
)
def test_an_invalid_checkpoint_is_refused_and_the_message_names_it(saved, change, says):
    _, path = saved
    change_checkpoint(path, change)
    with pytest.raises(CheckpointError, match=rf"task\.ckpt: .*{says}"):
        load_task(path)


def test_a_checkpoint_has_the_versions_of_the_libraries(saved):
    _, path = saved
    assert load_task(path).versions == library_versions()
    change_checkpoint(path, lambda checkpoint: checkpoint["keypoints"].pop("versions"))
    assert load_task(path).versions == {}  # an older checkpoint
    change_checkpoint(path, lambda checkpoint: checkpoint["keypoints"].update(versions=["4.14"]))
    with pytest.raises(CheckpointError, match="versions"):
        load_task(path)


def test_predictions_are_measured_in_pixels_of_the_photo(made_up_imm):
    # The photos of 160 × 120 pixels are padded to a square.
    data = IMMDataModule(made_up_imm, width=40, height=40)
    data.setup()
    batch = next(iter(data.val_dataloader()))
    task = RegressionTask(data.scheme, data.crop, net=NET)
    photo = task.to_photo(batch.targets, batch)
    expected = torch.stack([torch.tensor(face.landmarks()) for face in data.dataset("val").faces]).float()
    assert torch.allclose(photo, expected, atol=1e-3)
    # An error of a tenth of the input, 16 pixels: (16 / 160)² in x and (16 / 120)² in y.
    task.metrics.update(task.to_photo(batch.targets + 0.1, batch), photo, batch.photo_sizes)
    scores = task.metrics.compute()
    assert scores["val/mse"] == pytest.approx((0.1**2 + (16 / 120) ** 2) / 2, rel=1e-3)
    assert scores["val/mae_px"] == pytest.approx(16, rel=1e-3)


@pytest.fixture
def fit(made_up_imm, tmp_path):
    """Return a function that trains two epochs of 6 steps with a scheduler and returns the trainer."""

    def fit_with(scheduler):
        trainer = trainer_for(tmp_path, max_epochs=2)
        data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30)
        trainer.fit(RegressionTask(NOSE, CROP, net=NET, scheduler=scheduler), datamodule=data)
        return trainer

    return fit_with


SCHEDULERS = {
    "by epoch": (configure(StepLR, step_size=1, gamma=0.1), 1e-5),
    "by step": (configure(StepLR, step_size=6, gamma=0.1, interval="step"), 1e-5),
    # No improvement reaches the threshold, so the second validation lowers the rate.
    "by metric": (
        configure(ReduceLROnPlateau, patience=0, threshold=1e9, threshold_mode="abs", monitor="val/mse"),
        1e-4,
    ),
}


@pytest.mark.parametrize(("scheduler", "expected"), SCHEDULERS.values(), ids=SCHEDULERS.keys())
def test_schedulers_step_by_epoch_by_step_and_by_metric(fit, scheduler, expected):
    assert fit(scheduler).optimizers[0].param_groups[0]["lr"] == pytest.approx(expected)


def test_a_null_total_steps_becomes_the_trainings_number_of_steps(fit):
    schedule = configure(OneCycleLR, max_lr=1e-3, total_steps=None, interval="step")
    assert fit(schedule).lr_scheduler_configs[0].scheduler.total_steps == 12


def test_the_optimizer_is_built_from_its_component():
    sgd = configure(torch.optim.SGD, lr=0.5)
    assert (
        RegressionTask(NOSE, CROP, net=NET, optimizer=sgd).configure_optimizers().param_groups[0]["lr"] == 0.5
    )
    with pytest.raises(ConfigError, match="is no Optimizer"):
        RegressionTask(NOSE, CROP, net=NET, optimizer=configure(torch.nn.ReLU)).configure_optimizers()


def test_auto_takes_the_gpu_and_a_missing_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert usable_device() == "cpu"
    with pytest.raises(ConfigError, match=r"device=abacus cannot be used here \(.*\); try device=cpu"):
        usable_device("abacus")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: device)
    assert usable_device() == "cuda"
    assert usable_device("cpu") == "cpu"


def test_lightnings_learning_rate_finder_can_read_and_set_the_rate():
    task = RegressionTask(NOSE, CROP, net=NET, optimizer=configure(torch.optim.SGD, lr=0.5))
    assert task.lr == 0.5
    task.lr = 0.25
    assert task.configure_optimizers().param_groups[0]["lr"] == 0.25
    assert task.hparams["optimizer"]["lr"] == 0.25  # so that the checkpoint records the rate
    assert RegressionTask(NOSE, CROP, net=NET, optimizer={"_target_": "torch.optim.Adam"}).lr is None


def test_a_task_lists_exactly_the_metrics_that_it_logs(made_up_imm, tmp_path):
    task = RegressionTask(NOSE, CROP, net=NET)
    trainer = trainer_for(tmp_path)
    trainer.fit(task, datamodule=IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30))
    assert set(task.logged) == set(trainer.callback_metrics)


def test_losses_of_earlier_steps_do_not_count_in_the_first_epoch(made_up_imm, tmp_path):
    logged = []
    for earlier_steps in (False, True):
        torch.manual_seed(0)
        task = RegressionTask(NOSE, CROP, net=NET)
        if earlier_steps:
            task._epoch_mean.add(torch.tensor(1e9), 4)
        trainer = trainer_for(tmp_path)
        trainer.fit(task, datamodule=IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30))
        logged.append(float(trainer.callback_metrics["loss/train"]))
    assert logged[0] == logged[1]


@pytest.fixture
def small(made_up_imm):
    """Return a datamodule of the nose tip and a task for it."""
    data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30)
    return data, RegressionTask(NOSE, CROP, net=NET)


def test_testing_measures_what_validating_measures(small, tmp_path):
    data, task = small
    trainer = trainer_for(tmp_path)
    trainer.fit(task, datamodule=data)
    (validated,) = trainer.validate(task, datamodule=data, verbose=False)
    (tested,) = trainer.test(task, data.loader("val"), verbose=False)
    assert set(tested) == {"loss/test", "test/mse", "test/mae_px", "test/variance_ratio"}
    assert tested["test/mse"] == validated["val/mse"]
    assert tested["loss/test"] == validated["loss/val"]


def test_predictions_of_a_trainer_are_in_pixels_of_the_photos(small, tmp_path):
    data, task = small
    (predicted,) = trainer_for(tmp_path).predict(task, datamodule=data)
    batch = data.dataset("val").batch(range(6))
    with torch.no_grad():
        expected = task.eval().to_photo(task(batch.to_images()), batch)
    assert torch.equal(predicted.points, expected)
    assert predicted.confidence is None
    assert predicted.indices.tolist() == list(range(6))
    (ratios,) = trainer_for(tmp_path).predict(task, DataLoader(batch.to_images(), batch_size=6))
    assert torch.allclose(ratios, task(batch.to_images()).detach(), atol=1e-6)


def test_plain_loaders_of_the_datasets_train_and_validate(small, tmp_path):
    data, task = small
    trainer = trainer_for(tmp_path)
    train, val = (DataLoader(data.dataset(split), batch_size=4) for split in ("train", "val"))
    trainer.fit(task, train, val)
    assert trainer.global_step == 6
    (again,) = trainer.validate(task, data.loader("val"), verbose=False)
    assert float(trainer.callback_metrics["val/mse"]) == pytest.approx(again["val/mse"], rel=1e-5)


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_a_tuple_is_refused_with_the_parts_of_a_batch(small, tmp_path, verb):
    pairs = DataLoader(TensorDataset(torch.zeros(4, 1, 30, 40), torch.zeros(4, 1, 2)), batch_size=2)
    with pytest.raises(ConfigError, match=r"gave a list of 2 parts, not a batch; .*targets \(B, K, 2\)"):
        getattr(trainer_for(tmp_path), verb)(small[1], pairs)


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"targets": torch.zeros(4, 3, 2)},
            r"targets of shape \(4, 3, 2\), not \(4, 1, 2\): x and y of each",
        ),
        ({"pixels": torch.zeros(4, 1, 30, 40)}, r"pixels of type float32 .* not of type uint8, 0 to 255"),
        ({"pixels": torch.zeros(4, 1, 20, 40, dtype=torch.uint8)}, r"not .* shape \(B, 1, 30, 40\)"),
    ],
)
def test_a_batch_of_another_shape_is_refused(small, tmp_path, verb, change, says):
    data, task = small
    batch = next(iter(DataLoader(data.dataset("val"), batch_size=4)))._replace(**change)
    loader = DataLoader([Batch(*sample) for sample in zip(*batch, strict=True)], batch_size=4)
    with pytest.raises(ConfigError, match=says):
        getattr(trainer_for(tmp_path), verb)(task, loader)


@pytest.mark.parametrize("inputs", [torch.zeros(4, 1, 30, 40).byte(), torch.zeros(4, 1, 20, 40)])
def test_inputs_of_another_type_or_shape_are_refused(small, tmp_path, inputs):
    with pytest.raises(ConfigError, match=r"not of type float32, -0\.5 to 0\.5, and shape \(B, 1, 30, 40\)"):
        trainer_for(tmp_path).predict(small[1], DataLoader(inputs, batch_size=4))


def test_lightnings_loops_accept_the_path_of_a_checkpoint(saved, made_up_imm, tmp_path):
    task, path = saved
    data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30)
    fresh = RegressionTask(NOSE, CROP, net=NET, loss=configure(WingLoss, width=0.1, curvature=0.05))
    (tested,) = trainer_for(tmp_path).test(fresh, data.loader("val"), ckpt_path=path, verbose=False)
    (expected,) = trainer_for(tmp_path).test(task, data.loader("val"), verbose=False)
    assert tested == expected
    longer = trainer_for(tmp_path, max_epochs=3)
    longer.fit(fresh, datamodule=data, ckpt_path=path)
    assert (longer.current_epoch, longer.global_step) == (3, 18)


class MyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(40 * 30, 2)

    def forward(self, images):
        return self.layer(images.flatten(1))


class MyLoss(nn.Module):
    def forward(self, predictions, targets):
        return (predictions - targets).abs().mean()


def test_a_checkpoint_says_which_objects_it_needs(small, tmp_path):
    task = RegressionTask(NOSE, CROP, net=MyNet(), loss=MyLoss())
    trainer = trainer_for(tmp_path)
    trainer.fit(task, datamodule=small[0])
    trainer.save_checkpoint(path := tmp_path / "own.ckpt")
    with pytest.raises(CheckpointError, match=r"own\.ckpt: needs an object of .*MyNet, .* net=<network>"):
        load_task(path)
    images = torch.rand(3, 1, 30, 40) - 0.5
    loaded = load_task(path, net=MyNet())
    assert torch.equal(loaded(images), task.eval()(images))
    with pytest.raises(ConfigError, match=r"needs an object of .*MyLoss"):
        trainer.validate(loaded, small[0].loader("val"), verbose=False)
    complete = RegressionTask.load_from_checkpoint(path, net=MyNet(), loss=MyLoss())
    trainer.validate(complete, small[0].loader("val"), verbose=False)
    with pytest.raises(CheckpointError, match="weights do not fit"):
        load_task(path, net=nn.Linear(2, 2))


def test_an_object_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match=r"a component needs a _target_, .* not a str"):
        RegressionTask(NOSE, CROP, net="resnet18")


@pytest.mark.parametrize("component", [torch.optim.SGD, partial(torch.optim.SGD, lr=0.1), "sgd"])
@pytest.mark.parametrize("name", ["optimizer", "scheduler"])
def test_a_class_or_function_as_optimizer_is_refused(name, component):
    with pytest.raises(ConfigError, match=rf"^{name}: a component needs a _target_, .*configure\(<class>"):
        RegressionTask(NOSE, CROP, net=NET, **{name: component})


def test_a_name_instead_of_a_scheme_is_refused():
    with pytest.raises(ConfigError, match=r"a scheme is a LandmarkScheme, .* not 'ibug68'"):
        RegressionTask("ibug68", CROP, net=NET)


def test_several_loaders_have_metrics_of_their_own(small, tmp_path):
    data, task = small
    train, val = data.loader("train"), data.loader("val")
    trainer = trainer_for(tmp_path)
    alone = [trainer.validate(task, loader, verbose=False)[0] for loader in (train, val)]
    together = trainer.validate(task, [train, val], verbose=False)
    for number, (one, both) in enumerate(zip(alone, together, strict=True)):
        suffixes = {name: "dataloader_idx" if name == "loss/val" else "loader" for name in one}
        expected = {f"{name}/{suffixes[name]}_{number}": value for name, value in one.items()}
        assert {name: both[name] for name in expected} == pytest.approx(expected)
    assert "test/mse/loader_1" in trainer.test(task, [train, val], verbose=False)[1]
    assert [len(batches) for batches in trainer.predict(task, [train, val])] == [len(train), len(val)]
    assert trainer.validate(task, val, verbose=False)[0] == pytest.approx(alone[1])


def test_lightnings_finders_set_rate_and_batch_size(small, tmp_path):
    data, task = small
    data.batch_size = 4
    trainer_for(tmp_path, max_epochs=30, callbacks=[LearningRateFinder(num_training_steps=60)]).fit(
        task, datamodule=data
    )
    assert task.lr != 1e-3
    again = RegressionTask(NOSE, CROP, net=NET)
    finder = BatchSizeFinder(init_val=2, max_trials=2, steps_per_trial=1)
    trainer_for(tmp_path, callbacks=[finder]).fit(again, datamodule=data)
    assert data.batch_size == finder.optimal_batch_size > 2


@pytest.mark.parametrize(
    "settings",
    [
        {"callbacks": [EarlyStopping("val/mse")]},
        {"callbacks": [StochasticWeightAveraging(swa_lrs=1e-3)]},
        {"accumulate_grad_batches": 4},
        {"gradient_clip_val": 0.1},
        {"profiler": "simple"},
        {"profiler": "advanced"},
    ],
    ids=["early_stopping", "averaging", "accumulation", "clipping", "simple_profiler", "advanced_profiler"],
)
def test_lightnings_settings_and_callbacks_train_a_task(small, tmp_path, settings):
    data, task = small
    trainer = trainer_for(tmp_path, max_epochs=4, **settings)
    trainer.fit(task, datamodule=data)
    assert trainer.current_epoch > 1
    assert trainer.callback_metrics["val/mse"] > 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "loss: MSE; optimizer: Adam, lr 0.001; schedule: none"),
        (
            {
                "loss": configure(torch.nn.L1Loss),
                "optimizer": configure(torch.optim.SGD, lr=0.5),
                "scheduler": configure(torch.optim.lr_scheduler.StepLR, step_size=1),
            },
            "loss: L1; optimizer: SGD, lr 0.5; schedule: StepLR",
        ),
    ],
    ids=["default", "given"],
)
def test_a_training_says_what_it_minimises_and_how(small, tmp_path, caplog, given, says):
    caplog.set_level("INFO", "keypoints")
    trainer_for(tmp_path).fit(RegressionTask(NOSE, CROP, net=NET, **given), datamodule=small[0])
    assert says in caplog.text
