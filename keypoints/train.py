"""Training: configuration in, a run's folder and its metrics out."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import CSVLogger, Logger

from keypoints.augmentation import Augmentation
from keypoints.callbacks.description import HyperParameters
from keypoints.callbacks.reproducible import SeedEachEpoch
from keypoints.components import build, trust
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, KeypointsError, one_line
from keypoints.measure import measure_faces
from keypoints.reports.run import draw_batch, report_run
from keypoints.runs import RunFolder, describe, predicts_the_mean, write_whole
from keypoints.tasks.base import Task, load_task, read_checkpoint

log = logging.getLogger(__name__)
T = TypeVar("T")


def train(
    cfg: DictConfig, overrides: Sequence[str] = (), job: int = 0, *, resumed: bool = False
) -> dict[str, float]:
    """One run, in the folder ``cfg.output``.

    Args:
        cfg: the configuration of ``conf/train.yaml``.
        overrides: how it came to be, for the record.
        job: which of its sweep's runs it is.
        resumed: go on from the folder's last checkpoint; see :func:`resume`.

    Returns:
        The best and the last epoch's validation metrics, and the constant predictor's MSE.

    Raises:
        KeypointsError: for what the user can mend; the run's status is then ``failed``.
    """
    run = RunFolder(Path(cfg.output))
    with run.recorded(overrides, job, resumed=resumed) as metrics, _without_idle_warnings():
        if not resumed:
            write_whole(run.config, OmegaConf.to_yaml(cfg, resolve=True))
        _seed(cfg)
        data = make_data(cfg)
        data.setup("fit")
        task = make_task(cfg, data)
        step = int(read_checkpoint(run.last_checkpoint)["global_step"]) if resumed else None
        logged = None if step is None else run.logged().query("step < @step")
        trainer = make_trainer(cfg, purge_step=step)
        if logged is not None:
            _log_again(trainer, logged)
        draw_batch(run, next(iter(data.train_dataloader())), data.scheme)
        _fit(trainer, task, data, run.last_checkpoint if resumed else None)
        metrics.update(summarise(run))
        best = load_task(run.best_checkpoint)
        write_whole(run.faces, measure_faces(best, data.dataset("val")).to_csv(index=False))
        _tell(run, metrics)
    report_run(run)
    return metrics


def resume(folder: Path) -> dict[str, float]:
    """Go on with the run in ``folder`` from the last epoch that it finished.

    It ends with the metrics of a run that was never stopped: order, augmentation and dropout are
    functions of seed and epoch, and the checkpoint has all else.

    Raises:
        DataError: if the folder holds no run.
        ConfigError: if the run is finished, failed, still running, has no checkpoint yet, or lies
            elsewhere than when it began.
        CheckpointError: if its checkpoint is damaged.
    """
    run = RunFolder(folder)
    status = run.status()
    if not run.resumable():
        raise ConfigError(_not_resumable(run, status))
    cfg = OmegaConf.load(run.config)
    assert isinstance(cfg, DictConfig)
    if Path(cfg.output).resolve() != folder.resolve():
        raise ConfigError(
            f"{folder}: began as {cfg.output}, and its files name that folder; move it back, or start there "
            "from where the command was given first"
        )
    log.info("going on with %s", folder)
    return train(cfg, status.get("overrides", ()), int(status.get("job", 0)), resumed=True)


def _not_resumable(run: RunFolder, status: Mapping[str, Any]) -> str:
    if status["status"] == "finished":
        return f"{run.path}: is finished; there is nothing to resume"
    if status["status"] == "failed":
        return f"{run.path}: failed ({status.get('error')}) and would fail again; mend that and train anew"
    return f"{run.path}: stopped before its first epoch ended; delete the folder and train anew"


def _log_again(trainer: pl.Trainer, logged: pd.DataFrame) -> None:
    """Let the CSV logger, which begins its file anew, have what was logged up to the checkpoint."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            for row in logged.to_dict("records"):
                known = {str(name): value for name, value in row.items() if value == value and name != "step"}  # noqa: PLR0124
                logger.log_metrics(known, step=int(row["step"]))
            logger.save()


def _seed(cfg: DictConfig) -> None:
    try:
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"seed is a whole number from 0 up, not {cfg.seed!r}") from error


def make_data(cfg: DictConfig) -> FaceDataModule:
    """The datamodule of ``cfg``, with its augmentation.

    Raises:
        ConfigError: if a part of it cannot be built.
    """
    return _make(cfg, "data", FaceDataModule, augmentation=_augmentation(cfg))


def _augmentation(cfg: DictConfig) -> Augmentation | None:
    if not cfg.get("augmentation"):
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Argument.* not valid"
        )  # refused as soon as they are composed
        names = cfg.augmentation.get("transforms") or {}
        transforms = {name: _make(cfg, f"augmentation.transforms.{name}", object) for name in names}
    return _make(cfg, "augmentation", Augmentation, transforms=transforms)


def make_task(cfg: DictConfig, data: FaceDataModule) -> Task:
    """The task of ``cfg`` for the landmarks and the crop of ``data``.

    Raises:
        ConfigError: if a part of it cannot be built.
    """
    parts = {name: _plain(cfg, name) for name in ("model", "loss", "optimizer", "scheduler")}
    model = parts.pop("model")
    if model is None:
        raise ConfigError("there is no model; choose one: model=convnet")
    trust(*_packages(model), *_packages(parts))  # it is the user's own configuration
    return build(model, Task, scheme=data.scheme, crop=data.crop, **parts)


def make_trainer(cfg: DictConfig, purge_step: int | None = None) -> pl.Trainer:
    """The trainer of ``cfg``, with its callbacks and loggers.

    Args:
        purge_step: of a resumed run: TensorBoard hides what was logged from this step on.

    Raises:
        ConfigError: if a part of it cannot be built.
    """
    epochs = cfg.trainer.get("max_epochs")
    if epochs is not None and not isinstance(epochs, int):
        raise ConfigError(f"trainer.max_epochs is a whole number, not {epochs!r}")
    callbacks = [_make(cfg, f"callbacks.{name}", pl.Callback) for name in cfg.get("callbacks") or {}]
    loggers = [_logger(cfg, f"logger.{name}", purge_step) for name in cfg.get("logger") or {}]
    callbacks += [SeedEachEpoch(cfg.seed), HyperParameters(_flat(cfg))]
    return _make(cfg, "trainer", pl.Trainer, callbacks=callbacks, logger=loggers)


def _logger(cfg: DictConfig, key: str, purge_step: int | None) -> Logger:
    is_tensorboard = OmegaConf.select(cfg, f"{key}._target_") == "pytorch_lightning.loggers.TensorBoardLogger"
    return _make(cfg, key, Logger, **({"purge_step": purge_step} if is_tensorboard and purge_step else {}))


def summarise(run: RunFolder) -> dict[str, float]:
    """Best and last epoch of a run, from what it logged."""
    history = run.history() if run.metrics.is_file() else None
    if history is None or "val/mse" not in history or (history := history.dropna(subset=["val/mse"])).empty:
        raise ConfigError(
            f"{run.path}: no epoch was validated and logged; look at trainer.max_epochs, "
            "trainer.limit_val_batches and logger.csv"
        )
    metrics = {}
    for when, place in (("best", int(history["val/mse"].to_numpy().argmin())), ("last", -1)):
        row = history.iloc[place]
        metrics[f"{when}/epoch"] = float(history.index[place])
        for name in ("mse", "mae_px", "variance_ratio"):
            metrics[f"{when}/{name}"] = float(row[f"val/{name}"])
    if "val/mse_constant" in history:
        metrics["constant/mse"] = float(history["val/mse_constant"].iloc[-1])
    return metrics


def _fit(trainer: pl.Trainer, task: Task, data: FaceDataModule, checkpoint: Path | None) -> None:
    try:
        trainer.fit(task, datamodule=data, ckpt_path=checkpoint)
    except MisconfigurationException as error:
        raise ConfigError(one_line(error)) from error
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _without_idle_warnings() -> Iterator[None]:
    """Keep back what libraries warn of and what is meant here."""
    with warnings.catch_warnings():
        # The crops are in memory: more workers would only hand them from process to process.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Epochs are logged, not steps.
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        # Hydra's log file is in the run's folder before the metrics are; a resumed run has them already.
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning's own
        yield


def _tell(run: RunFolder, metrics: Mapping[str, float]) -> None:
    """Say what came of it."""
    constant = metrics.get("constant/mse")
    for when in ("best", "last"):
        log.info(
            "%s epoch (%d): validation MSE %.6f, MAE %.2f px, variance ratio %.2f",
            when,
            metrics[f"{when}/epoch"],
            metrics[f"{when}/mse"],
            metrics[f"{when}/mae_px"],
            metrics[f"{when}/variance_ratio"],
        )
    if constant is not None:
        log.info("the constant predictor's validation MSE: %.6f", constant)
    if warning := predicts_the_mean(metrics["best/variance_ratio"]):
        log.warning("%s", warning)
    log.info("look at it: %s", run.report)


def _make(cfg: DictConfig, key: str, kind: type[T], **extra: Any) -> T:
    """The object of kind ``kind`` that ``cfg`` describes under ``key``."""
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(f"{key} names no class (_target_); choose an option of its group: {key}=…")
    try:
        made = instantiate(node, _convert_="all", **extra)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, KeypointsError):
            raise cause from error
        raise ConfigError(f"{key}: {describe(cause)}") from error
    if not isinstance(made, kind):
        raise ConfigError(f"{key}: {node._target_} is no {kind.__name__}")
    return made


def _plain(cfg: DictConfig, key: str) -> dict[str, Any] | None:
    """A part of the configuration as plain values, or ``None`` where there is nothing."""
    node = cfg.get(key)
    plain: Any = OmegaConf.to_container(node, resolve=True) if node is not None else None
    return plain or None


def _packages(config: Any) -> set[str]:
    """The top-level packages of all targets in ``config``."""
    if isinstance(config, Mapping):
        own = {str(config["_target_"]).split(".")[0]} if "_target_" in config else set()
        return own.union(*map(_packages, config.values()))
    return set().union(*map(_packages, config)) if isinstance(config, list | tuple) else set()


def _flat(cfg: DictConfig) -> dict[str, bool | int | float | str]:
    """What HPARAMS compares: the run's values under dotted names."""
    parts = {name: _plain(cfg, name) for name in ("model", "loss", "optimizer", "scheduler", "data")}
    parts["trainer"] = {"max_epochs": cfg.trainer.max_epochs}
    flat: dict[str, bool | int | float | str] = {"name": cfg.name, "seed": cfg.seed}

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                visit(f"{prefix}.{name}", inner)
        elif value is not None and prefix != "data.root":
            flat[prefix] = value if isinstance(value, bool | int | float | str) else str(value)

    for name, part in parts.items():
        visit(name, part)
    return flat
