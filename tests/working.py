"""The work of verbs, with the figures and pages that their commands hand in."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from keypoints.commands.evaluate import evaluate
from keypoints.commands.train import resume, train

__all__ = [
    "bench",
    "bench_prediction",
    "evaluate",
    "interrupted_at",
    "predict",
    "resume",
    "train",
    "weights",
]


def predict(cfg: DictConfig) -> Any:
    from keypoints.inference import predict as module
    from keypoints.reports.photos import PhotoReport

    return module.predict(cfg, PhotoReport)


def bench(cfg: DictConfig) -> Any:
    from keypoints.benchmark import training_speed as module
    from keypoints.reports import figures

    return module.bench(cfg, lambda result, path: figures.save(figures.speed(result), path))


def bench_prediction(cfg: DictConfig) -> Any:
    from keypoints.benchmark import prediction_speed as module
    from keypoints.reports import figures
    from keypoints.reports.prediction_speed import draw_speed

    return module.bench_prediction(cfg, lambda result, path: figures.save(draw_speed(result), path))


def weights(cfg: DictConfig, which: str) -> dict[str, Any]:
    """Return the weights in a run's checkpoint, ``best`` or ``last``."""
    import torch

    return torch.load(Path(cfg.output) / f"checkpoints/{which}.ckpt", weights_only=True)["state_dict"]


@contextmanager
def interrupted_at(step: int) -> Iterator[None]:
    """Ctrl-C in the middle of a training."""
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
    signal.signal(signal.SIGINT, handler)  # Lightning ignores the signal from its first one on
