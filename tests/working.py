"""The work of verbs, with the figures and pages that their commands hand in."""

from typing import Any

from omegaconf import DictConfig

from keypoints.commands.evaluate import evaluate
from keypoints.commands.train import resume, train

__all__ = ["bench", "bench_prediction", "evaluate", "predict", "resume", "train"]


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
