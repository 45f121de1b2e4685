"""Functions of the verbs, called from Python."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from keypoints.commands.bench import bench_folder, bench_prediction, bench_training
from keypoints.commands.evaluate import evaluate as evaluate_typed
from keypoints.commands.predict import predict
from keypoints.commands.train import resume, train

__all__ = [
    "bench",
    "bench_folder",
    "bench_prediction",
    "evaluate",
    "interrupted_at",
    "predict",
    "resume",
    "train",
    "weights",
]


def evaluate(cfg: DictConfig) -> Any:
    """Return an evaluation's folder and its result, as plain values."""
    done = evaluate_typed(cfg)
    return done._replace(result=done.result.to_dict())  # type: ignore[arg-type]


def bench(cfg: DictConfig) -> dict[str, Any]:
    """Return the speed of a training, as plain values."""
    return asdict(bench_training(cfg))


def weights(cfg: DictConfig, which: str) -> dict[str, Any]:
    """Return the weights in a run's checkpoint, ``best`` or ``last``."""
    import torch

    return torch.load(Path(cfg.output) / f"checkpoints/{which}.ckpt", weights_only=True)["state_dict"]


@contextmanager
def interrupted_at(step: int) -> Iterator[None]:
    """Interrupt a training at a step, as by Ctrl-C."""
    from keypoints.tasks.base import Task

    before = Task.training_step

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.trainer.global_step == step:
            raise KeyboardInterrupt
        return before(self, batch, batch_idx)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "training_step", training_step)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            yield
    signal.signal(signal.SIGINT, handler)  # Lightning ignores the signal after the first one
