"""Average of a model's weights before and after a fine-tuning, as a small checkpoint for prediction.

``python -m keypoints.training.average <before> <after> --share 0.5 --output model.ckpt``. Between the two, a
model often keeps most of what it was good at before and gets most of what it has learnt since: M. Wortsman
et al., Robust fine-tuning of zero-shot models, CVPR 2022.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor

from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import CheckpointError, ConfigError, KeypointsError
from keypoints.files import replaced
from keypoints.instantiate import make_data
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.run_folder import RunFolder
from keypoints.tasks.base import load_task
from keypoints.tasks.checkpoint import OURS, read_checkpoint

log = logging.getLogger(__name__)

_OF_TRAINING = ("optimizer_states", "lr_schedulers", "callbacks", "loops", "MixedPrecision")
"""Entries of a checkpoint that only a training needs."""


def averaged(before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return weights between two models', in half precision.

    Args:
        before: weights of the first model, by name.
        after: weights of the second model.
        share: share of the second model, from 0 to 1.

    Raises:
        ConfigError: if the share is out of range, or the models are not of one network.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share is from 0 to 1, not {share}")
    if {name: each.shape for name, each in before.items()} != {n: e.shape for n, e in after.items()}:
        raise ConfigError("the two checkpoints are not of the same network")
    return {
        name: torch.lerp(each.float(), after[name].float(), share).half()
        if each.is_floating_point()
        else after[name]
        for name, each in before.items()
    }


def average(before: Path, after: Path, run: RunFolder, share: float, output: Path) -> dict[str, float]:
    """Write the average of two checkpoints' weights, with the confidences calibrated again.

    Args:
        before: checkpoint from which the second one was fine-tuned.
        after: checkpoint of a run.
        run: the run, on whose validation faces the average is measured.
        share: share of the second checkpoint's weights.
        output: checkpoint to write.

    Returns:
        The validation metrics.

    Raises:
        CheckpointError: if a checkpoint cannot be used.
        ConfigError: if they do not fit together.
    """
    contents: dict[str, Any] = read_checkpoint(after)
    weights = averaged(read_checkpoint(before)["state_dict"], contents["state_dict"], share)
    task = load_task(after)
    task.load_state_dict(weights)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    (metrics,) = trainer.validate(task, _data(run).loader("val"), verbose=False)
    calibration = task.confidence_calibration
    contents[OURS]["confidence_calibration"] = None if calibration is None else calibration.to_dict()
    if (trained_on := contents[OURS].get("trained_on")) is not None and trained_on.get("data") is None:
        trained_on["data"] = run.data_name  # older checkpoints do not store it
    kept = {name: each for name, each in contents.items() if name not in _OF_TRAINING}
    output.parent.mkdir(parents=True, exist_ok=True)
    with replaced(output) as temporary:
        torch.save({**kept, "state_dict": weights}, temporary)
    return {name: float(value) for name, value in metrics.items()}


def _data(run: RunFolder) -> FaceDataModule:
    """Return the data of a run, with its validation faces."""
    data = make_data(OmegaConf.create({"data": OmegaConf.to_container(run.setting("data"))}), recorded=True)
    data.setup("validate")
    return data


def main(words: Sequence[str] | None = None) -> int:
    """Write an averaged checkpoint; return the exit status.

    Args:
        words: words of the command line; ``None`` for those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m keypoints.training.average", description=__doc__)
    parser.add_argument("before", help="checkpoint or run's folder, before the fine-tuning")
    parser.add_argument("after", help="run's folder, after it")
    parser.add_argument("--share", type=float, default=0.5, help="share of the second model, from 0 to 1")
    parser.add_argument("--output", type=Path, default=Path("model.ckpt"), help="checkpoint to write")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        before, _ = find_checkpoint(given.before, "best")
        after, run = find_checkpoint(given.after, "best")
        if run is None:
            raise CheckpointError(f"{given.after}: is not in a run's folder")
        metrics = average(before, after, run, given.share, given.output)
    except KeypointsError as error:
        log.error("error: %s", error)  # noqa: TRY400
        return 1
    shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    log.info(
        "%s: %.1f MB; on the validation faces %s", given.output, given.output.stat().st_size / 1e6, shown
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
