from importlib.util import find_spec

import pytest
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import open_dict
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint, ProgressBar

from keypoints.commands import compose
from keypoints.components import trusted_by_user
from keypoints.config.registry import conf_dir
from keypoints.errors import ConfigError
from keypoints.instantiate import make_data, make_task, make_trainer
from keypoints.loggers.tensorboard import TensorBoard
from keypoints.runs.metrics_table import MetricsTable
from keypoints.tasks.regression import RegressionTask
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def composed(made_up_imm):
    """Return the configuration of a small training; read-only."""
    return compose("train", [*SMALL, "augmentation=wild", f"data.root={made_up_imm}", "output=nowhere"])


@pytest.fixture
def cfg(composed, tmp_path):
    """Return a copy of this configuration, which a test may change."""
    own = composed.copy()
    own.output = str(tmp_path)
    return own


def test_datamodule_task_and_trainer_of_a_configuration_fit_together(cfg):
    data = make_data(cfg)
    data.setup()
    task = make_task(cfg, data)
    batch = next(iter(data.train_dataloader()))
    assert task(batch.to_images()).shape == batch.targets.shape
    assert make_trainer(cfg).max_epochs == 2


def test_tensorboard_of_a_resumed_run_hides_steps_after_the_checkpoint(cfg):
    (board,) = (each for each in make_trainer(cfg, purge_step=7).loggers if isinstance(each, TensorBoard))
    assert board._purge_step == 7


def test_a_missing_model_and_a_wrong_datamodule_are_refused(cfg):
    data = make_data(cfg)
    cfg.model = None
    with pytest.raises(ConfigError, match="model=convnet"):
        make_task(cfg, data)
    cfg.data = {"_target_": "torch.nn.ReLU"}
    with pytest.raises(ConfigError, match="data: "):
        make_data(cfg)


class Own(ModelCheckpoint):
    def on_train_batch_end(self, *_):
        """Differ from Lightning's method."""


def test_only_the_users_own_configuration_makes_its_packages_trusted(cfg):
    before = trusted_by_user()
    cfg.callbacks = {"own": {"_target_": f"{__name__}.Own", "filename": "own"}}
    assert "own" in [each.filename for each in make_trainer(cfg).checkpoint_callbacks]
    assert trusted_by_user() == before
    with pytest.raises(
        ConfigError, match=r"^callbacks\.own: tests\.test_instantiate\.Own is outside .* trust=tests"
    ):
        make_trainer(cfg, recorded=True)


class Counting(RegressionTask):
    steps = 0

    def on_train_batch_start(self, batch, batch_idx):
        self.steps += 1


def test_gradients_are_clipped_on_request(cfg):
    def weight_change(**settings):
        with open_dict(cfg):
            cfg.trainer.update(max_epochs=1, limit_train_batches=1, **settings)
            cfg.optimizer = {"_target_": "torch.optim.SGD", "lr": 1.0}
        data = make_data(cfg)
        torch.manual_seed(0)
        task = make_task(cfg, data)
        before = [weight.detach().clone() for weight in task.parameters()]
        make_trainer(cfg).fit(task, datamodule=data)
        changes = zip(task.parameters(), before, strict=True)
        return torch.cat([(new - old).flatten() for new, old in changes]).norm().item()

    assert weight_change() > 0.02
    assert weight_change(gradient_clip_val=0.01) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_optimizers_are_fused_unless_lightning_refuses_it(made_up_imm, tmp_path, optimizer):
    small = [*SMALL, f"data.root={made_up_imm}", f"output={tmp_path}", f"optimizer={optimizer}"]
    cfg = compose("train", [*small, "trainer.fast_dev_run=1"])
    assert cfg.optimizer.fused is None
    for given, clip, precision, fused in [
        (None, None, "32-true", True),
        (None, 1, "32-true", True),
        (False, None, "32-true", False),
        (None, None, "bf16-mixed", True),
        (None, 1, "bf16-mixed", False),
        (False, None, "bf16-mixed", False),
    ]:
        cfg.optimizer.fused = given
        cfg.trainer.update(gradient_clip_val=clip, precision=precision)
        data = make_data(cfg)
        trainer, task = make_trainer(cfg), make_task(cfg, data)
        trainer.fit(task, datamodule=data)
        assert trainer.optimizers[0].defaults["fused"] is fused


EXPERIMENTS, MODELS = (
    sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")) for group in ("experiment", "model")
)


@pytest.mark.parametrize("model", [name for name in MODELS if "timm" not in name or find_spec("timm")])
def test_every_model_works_with_experiments(model):
    """Check a third of the experiments for each model; each experiment meets a third of the models."""
    place = MODELS.index(model)
    for experiment in EXPERIMENTS[place % 3 :: 3]:
        cfg = compose("train", [f"experiment={experiment}", f"model={model}"])
        cfg.data.update(width=96, height=96)
        data = make_data(cfg)
        images = torch.zeros(2, data.crop.channels, data.crop.height, data.crop.width)
        assert make_task(cfg, data)(images).shape == (2, len(data.scheme), 2)


@pytest.mark.parametrize("recorded", [False, True])
def test_targets_of_lightnings_other_package_are_understood(cfg, recorded):
    with open_dict(cfg):
        cfg.trainer._target_ = "lightning.pytorch.Trainer"
        cfg.callbacks.stop = {"_target_": "lightning.pytorch.callbacks.EarlyStopping", "monitor": "val/mse"}
        cfg.logger.tensorboard._target_ = "lightning.pytorch.loggers.TensorBoardLogger"
    trainer = make_trainer(cfg, recorded=recorded)
    assert type(trainer) is Trainer
    assert any(type(each) is EarlyStopping for each in trainer.callbacks)


def test_a_callback_of_lightnings_other_package_is_explained(cfg, monkeypatch):
    base = type("Callback", (), {"__module__": "lightning.pytorch.callbacks.callback"})
    monkeypatch.setattr("tests.test_instantiate.Foreign", type("Foreign", (base,), {}), raising=False)
    with open_dict(cfg):
        cfg.callbacks.mine = {"_target_": "tests.test_instantiate.Foreign"}
    with pytest.raises(ConfigError, match="is no Callback of pytorch_lightning, which trains here"):
        make_trainer(cfg)


@pytest.mark.parametrize(
    ("setting", "kind"), [("enable_checkpointing", Checkpoint), ("enable_progress_bar", ProgressBar)]
)
def test_the_users_switches_for_checkpoints_and_bars_are_respected(cfg, setting, kind):
    with open_dict(cfg):
        cfg.callbacks.progress = {"_target_": "pytorch_lightning.callbacks.TQDMProgressBar"}
    assert any(isinstance(each, kind) for each in make_trainer(cfg).callbacks)
    with open_dict(cfg):
        cfg.trainer[setting] = False
    assert not any(isinstance(each, kind) for each in make_trainer(cfg).callbacks)


def test_a_trainer_without_loggers_keeps_metrics_only_in_memory(cfg):
    with open_dict(cfg):
        cfg.trainer.logger = False
    (table,) = make_trainer(cfg).loggers
    assert (type(table), table.save_dir) == (MetricsTable, None)


def test_a_further_process_has_no_loggers(cfg, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    (table,) = make_trainer(cfg).loggers
    assert (type(table), table.save_dir) == (MetricsTable, None)


@pytest.mark.parametrize("name", ["csv", "tensorboard", "none"])
def test_the_table_of_metrics_is_written_unless_there_are_no_loggers(made_up_imm, tmp_path, name):
    cfg = compose("train", [*SMALL, f"logger={name}", f"data.root={made_up_imm}", f"output={tmp_path}"])
    if name == "tensorboard":
        del cfg.logger.csv
    (table,) = (each for each in make_trainer(cfg).loggers if isinstance(each, MetricsTable))
    assert table.save_dir == (None if name == "none" else str(tmp_path))


FILTERS = {"_target_": "keypoints.callbacks.filters.FirstLayerFilters", "every_n_epochs": 0}


@pytest.mark.parametrize(
    ("group", "settings", "says"),
    [
        ("trainer", {"max_epochs": 0}, "trainer.max_epochs=0 trains nothing"),
        ("trainer", {"max_steps": 0}, "trainer.max_steps=0 trains nothing"),
        ("trainer", {"limit_train_batches": 0}, "limit_train_batches=0 trains nothing"),
        (
            "trainer",
            {"limit_val_batches": 0},
            "limit_val_batches=0 validates nothing.*check_val_every_n_epoch",
        ),
        ("trainer", {"check_val_every_n_epoch": 5}, "more than trainer.max_epochs=2"),
        ("trainer", {"accumulate_grad_batches": 0}, "accumulate_grad_batches is 1 or more"),
        ("trainer", {"fast_dev_run": "yes"}, "fast_dev_run is true, or a number of batches, not 'yes'"),
        ("callbacks", {"x": FILTERS}, "every_n_epochs is 1 or more, not 0"),
        ("trainer", {"barebones": True}, "barebones=true leaves out metrics.*keypoints bench"),
        ("trainer", {"callbacks": ["x"]}, r"\+callbacks.<name>._target_"),
        ("trainer", {"logger": "csv"}, r"\+logger.<name>._target_"),
        ("trainer", {"num_nodes": 2}, "num_nodes=2 waits for processes"),
        (
            "trainer",
            {"devices": 2, "use_distributed_sampler": True},
            "divide the faces among the processes twice",
        ),
        *(
            ("trainer", {"precision": precision}, f"precision={precision}: .*take 32-true")
            for precision in ("16-true", "bf16-true", "64-true", 64, "transformer-engine", "half")
        ),
    ],
    ids=str,
)
def test_an_impossible_trainer_setting_is_refused_with_an_alternative(
    cfg, monkeypatch, group, settings, says
):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with open_dict(cfg):
        cfg[group].update(settings)
    with pytest.raises(ConfigError, match=says):
        make_trainer(cfg)


@pytest.mark.parametrize("precision", ["32-true", 32, 16, "16-mixed", "bf16", "bf16-mixed", None])
def test_precisions_with_weights_in_32_bits_are_accepted(cfg, precision):
    cfg.trainer.precision = precision
    assert make_trainer(cfg).precision in ("32-true", "bf16-mixed")  # on a CPU, 16-mixed becomes bf16-mixed


def test_the_parts_of_a_configuration_have_public_names(cfg):
    import keypoints

    with open_dict(cfg):
        cfg.trainer.fast_dev_run = 1
    data = keypoints.make_data(cfg)
    task = keypoints.make_task(cfg, data)
    keypoints.make_trainer(cfg).fit(task, datamodule=data)
