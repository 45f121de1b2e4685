"""``keypoints bench``: how fast a training is and what its time goes to, or how fast a model predicts."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.train import Train
from keypoints.commands.verb import Choosing, Flipping, Verb
from keypoints.config.missing import check_complete
from keypoints.config.settings import FilePath, OutputFolder, defaults_list, setting

log = logging.getLogger(__name__)


@dataclass
class Bench(Flipping, Choosing, Train):
    """Settings of ``keypoints bench``: those of a training, and how it is measured."""

    defaults: list[Any] = defaults_list("train", {"override hydra": "plain"}, "_self_")
    output: OutputFolder = setting("${paths.outputs}/bench/${name}", "Folder for the results.")
    checkpoint: FilePath | None = setting(
        None, "Measure how fast this checkpoint, run's folder or ONNX file predicts, instead of a training."
    )
    rounds: int = setting(
        5, "Number of rounds; each measures all parts, and their median is reported.", at_least=1
    )
    seconds: float = setting(2, "Least time that each part is measured in a round, in seconds.", above=0)


def run(cfg: DictConfig) -> None:
    """Measure how fast a training is, or a model's prediction."""
    from keypoints.reports import figures

    if cfg.checkpoint is not None:
        from keypoints.benchmark.prediction_speed import bench_prediction
        from keypoints.reports.prediction_speed import draw_speed, print_speed

        speed = bench_prediction(cfg, lambda result, path: figures.save(draw_speed(result), path))
        print_speed(speed.result)
        log.info("look at it: %s", speed.folder / "bench.png")
        return
    check_complete(cfg)
    from keypoints.benchmark.training_speed import bench
    from keypoints.reports.terminal import print_bench

    print_bench(bench(cfg, lambda result, path: figures.save(figures.speed(result), path)))
    log.info("look at it: %s", Path(cfg.output) / "bench.png")


VERB = Verb(
    name="bench",
    what="measure how fast a training is and what its time goes to, or how fast a model predicts",
    schema=Bench,
    run=run,
    positional="checkpoint",
    examples=(
        "bench experiment=nose_tip",
        "bench experiment=ibug300w trainer=gpu rounds=3",
        "bench checkpoint=model.onnx",
    ),
    writes="bench.json and bench.png in output",
)
