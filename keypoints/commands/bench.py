"""``keypoints bench``: speed of a training and of its parts, of a model, or of a folder's prediction."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from keypoints.commands.train import Train
from keypoints.commands.verb import Choosing, Detecting, Flipping, Providing, Refining, Verb
from keypoints.config.missing import check_complete
from keypoints.config.settings import FilePath, OutputFolder, defaults_list, setting
from keypoints.errors import ConfigError
from keypoints.files import atomic_folder, locked, part_folder, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keypoints.benchmark.folder_speed import FolderSpeed
    from keypoints.benchmark.prediction_speed import PredictionSpeed
    from keypoints.benchmark.training_speed import TrainingSpeed

RESULT = "bench.json"
PICTURE = "bench.png"

log = logging.getLogger(__name__)


@dataclass
class Bench(Flipping, Refining, Detecting, Providing, Choosing, Train):
    """Settings of ``keypoints bench``: the settings of a training and of the measurement."""

    defaults: list[Any] = defaults_list("train", {"override hydra": "plain"}, "_self_")
    output: OutputFolder = setting("${paths.outputs}/bench/${name}", "Folder for the results.")
    checkpoint: FilePath | None = setting(
        None, "Instead of a training: checkpoint, run's folder or ONNX file whose predictions are timed."
    )
    predict: FilePath | None = setting(
        None, "Instead of a training: model whose prediction of a folder is timed, stage by stage."
    )
    input: FilePath | None = setting(
        None, "With predict: folder of photos, pattern (photos/*.jpg), or list, which may have boxes."
    )
    rounds: int = setting(
        5, "Number of rounds; each measures all parts, and the median over rounds is reported.", at_least=1
    )
    seconds: float = setting(
        2, "Shortest time that each part is measured in a round, in seconds; not with predict.", above=0
    )


def run(cfg: DictConfig) -> None:
    """Measure the speed of a training, a model, or the prediction of a folder, and print it.

    Args:
        cfg: the configuration of ``keypoints bench``.

    Raises:
        ConfigError: if two of them are asked for, or ``input`` and ``predict`` are not given together.
        KeypointsError: as :func:`bench_training`, :func:`bench_prediction` and :func:`bench_folder`.
    """
    if cfg.predict is not None and cfg.checkpoint is not None:
        raise ConfigError("checkpoint times a model, predict the prediction of a folder: give one of them")
    if (cfg.predict is None) != (cfg.input is None):
        lacks, given = ("input", "predict") if cfg.input is None else ("predict", "input")
        way_out = {"input": "input=<folder of photos>", "predict": "predict=<model>"}[lacks]
        raise ConfigError(f"{given}={cfg[given]}: add {way_out}")
    if cfg.predict is not None:
        from keypoints.reports.folder_speed import print_folder_speed

        print_folder_speed(bench_folder(cfg))
    elif cfg.checkpoint is not None:
        from keypoints.reports.prediction_speed import print_prediction_speed

        print_prediction_speed(bench_prediction(cfg))
    else:
        check_complete(cfg)
        from keypoints.reports.training_speed import print_training_speed

        print_training_speed(bench_training(cfg))
    log.info("look at it: %s", Path(cfg.output) / PICTURE)


def bench_training(cfg: DictConfig) -> "TrainingSpeed":
    """Measure how fast a training is; write ``bench.json`` and ``bench.png`` into ``cfg.output``.

    Args:
        cfg: the configuration of ``keypoints bench``.

    Raises:
        KeypointsError: if a part of the training cannot be used, or another command writes to the folder.
    """
    from keypoints.benchmark.training_speed import measure_training
    from keypoints.instantiate import make_data
    from keypoints.reports.training_speed import draw_training_speed

    folder = Path(cfg.output)
    data = make_data(cfg)
    data.setup("fit")
    with (
        locked(folder),
        atomic_folder(folder, last=RESULT) as part,
        part_folder(folder / "scratch") as scratch,
    ):
        speed = measure_training(cfg, data, scratch)
        _write(part, speed, draw_training_speed(speed))
    return speed


def bench_prediction(cfg: DictConfig) -> "PredictionSpeed":
    """Measure how fast ``cfg.checkpoint`` predicts; write ``bench.json`` and ``bench.png``.

    Args:
        cfg: the configuration of ``keypoints bench``.

    Raises:
        CheckpointError: if the model cannot be used.
        ConfigError: if a value cannot be used.
        DataError: if another command writes to the folder.
    """
    from keypoints.benchmark.prediction_speed import measure_prediction
    from keypoints.inference.predictor import Predictor
    from keypoints.inference.ready_models import find_model
    from keypoints.reports.prediction_speed import draw_prediction_speed

    path, run = find_model(cfg.checkpoint, cfg.which)
    predictor = Predictor(path, flip_test=cfg.flip_test, refine=False, trust=cfg.trust, provider=cfg.provider)
    cfg.name = run.name if run else path.stem  # the default of output contains the name
    folder = Path(cfg.output)
    with locked(folder), atomic_folder(folder, last=RESULT) as part:
        speed = measure_prediction(predictor, cfg.name, int(cfg.rounds), float(cfg.seconds))
        _write(part, speed, draw_prediction_speed(speed))
    return speed


def bench_folder(cfg: DictConfig) -> "FolderSpeed":
    """Measure how fast ``cfg.predict`` predicts ``cfg.input``; write ``bench.json`` and ``bench.png``.

    Args:
        cfg: the configuration of ``keypoints bench``.

    Raises:
        CheckpointError: if the model cannot be used.
        ConfigError: if a value cannot be used, or the detector is not installed.
        DataError: if there is no photo that can be read, or another command writes to the folder.
    """
    from keypoints.benchmark.folder_speed import measure_folder
    from keypoints.inference.photo_inputs import find_photos
    from keypoints.inference.predictor import Predictor
    from keypoints.inference.ready_models import find_model
    from keypoints.inference.refinement import refine_of
    from keypoints.reports.folder_speed import draw_folder_speed

    inputs = find_photos(str(cfg.input))
    path, run = find_model(cfg.predict, cfg.which)
    predictor = Predictor(
        path,
        flip_test=cfg.flip_test,
        refine=refine_of(cfg.refine),
        detector=cfg.detector,
        trust=cfg.trust,
        provider=cfg.provider,
        threads=1,
    )
    cfg.name = run.name if run else path.stem  # the default of output contains the name
    folder = Path(cfg.output)
    with locked(folder), atomic_folder(folder, last=RESULT) as part:
        rounds = _numbered(int(cfg.rounds))
        speed = measure_folder(predictor, inputs, cfg.name, str(cfg.input), folder / "scratch", rounds)
        _write(part, speed, draw_folder_speed(speed))
    return speed


def _numbered(rounds: int) -> Iterator[int]:
    """Yield the number of each round, after logging its start."""
    for number in range(rounds):
        log.info("round %d of %d", number + 1, rounds)
        yield number


def _write(folder: Path, speed: "TrainingSpeed | PredictionSpeed | FolderSpeed", figure: "Figure") -> None:
    from keypoints.reports.figures import save

    write_atomically(folder / RESULT, json.dumps(asdict(speed), indent=2) + "\n")
    save(figure, folder / PICTURE)


VERB = Verb(
    name="bench",
    what="measure the speed of a training and of its parts, of a model, or of a folder's prediction",
    doing="measuring the speed of",
    schema=Bench,
    run=run,
    positional="checkpoint",
    examples=(
        "bench experiment=nose_tip",
        "bench model.onnx",
        "bench predict=model.onnx input=photos rounds=1",
    ),
    writes="bench.json and bench.png in output",
    subjects=("checkpoint", "predict", "name"),
)
