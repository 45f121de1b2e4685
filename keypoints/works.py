"""What each verb does, and what it prints.

To add a verb: a function here, a primary file in ``conf/``, and a line in ``VERBS`` of ``cli.py``. Heavy
libraries are imported only within the functions, so that the command line answers at once.
"""

import logging
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Literal

from omegaconf import DictConfig, open_dict

from keypoints.components import package_names, trusting
from keypoints.configuration import check_complete
from keypoints.errors import DataError, KeypointsError, TrainingError, one_line, printable, some_of

if TYPE_CHECKING:
    from keypoints.runs import RunFolder

log = logging.getLogger(__name__)

_NAMED = 6
"""Runs that a message names."""

_LOOK_AGAIN = 0.2
"""Seconds from look to look whether another job has ended."""

OBJECTIVE = "best/mse"
"""The metric that a search makes small."""


def synthesize(cfg: DictConfig) -> None:
    """Make up faces."""
    from keypoints.synthesize import synthesize

    folder = synthesize(cfg)
    log.info("the made-up faces are in %s: train on them with paths.data=%s", folder, folder)


def verify(cfg: DictConfig) -> None:
    """Look at every file of a data set.

    Raises:
        DataError: if one is wrong.
    """
    from keypoints.reports.findings import print_findings
    from keypoints.verify import verify

    found = verify(cfg)
    print_findings(*found)
    if found.wrong:
        raise DataError(f"{found.root}: wrong entries: {found.wrong}, see above")


def shrink(cfg: DictConfig) -> None:
    """Make a compact copy of a data set."""
    from keypoints.shrink import shrink

    copy = shrink(cfg)
    log.info("%s: %d pictures, side %d, %.1f MB", copy.root, copy.pictures, copy.side, copy.megabytes)


def report(cfg: DictConfig) -> None:
    """Make the report of a run or a sweep again."""
    from keypoints.report import report

    log.info("look at it: %s", report(cfg))


def download(cfg: DictConfig) -> None:
    """Download a data set, and look at every file of it."""
    from keypoints.download import download
    from keypoints.reports.findings import print_findings
    from keypoints.verify import verify_folder

    folder = download(cfg)
    log.info("it is in %s", folder)
    found = verify_folder(cfg.dataset, folder)
    print_findings(*found)
    if found.wrong:
        log.warning("%s: wrong entries: %d, see above", folder, found.wrong)


def convert(cfg: DictConfig) -> None:
    """Write a list of labelled photos in another format."""
    from keypoints.convert import convert

    convert(cfg)


def evaluate(cfg: DictConfig) -> None:
    """Measure a checkpoint on a split."""
    from keypoints.evaluate import evaluate
    from keypoints.reports.terminal import print_evaluation

    done = evaluate(cfg, shlex.join([*sys.argv[0].split(), *sys.argv[1:]]))
    print_evaluation(done.result)
    log.info("look at it: %s", done.folder / "report.html")


def preview(cfg: DictConfig) -> None:
    """Draw what the network gets."""
    from keypoints.preview import preview

    log.info("look at it: %s", preview(cfg))


def bench(cfg: DictConfig) -> None:
    """Measure how fast a training is, or a model's prediction."""
    if cfg.checkpoint is not None:
        from keypoints.bench_prediction import bench_prediction
        from keypoints.reports.prediction_speed import print_speed

        speed = bench_prediction(cfg)
        print_speed(speed.result)
        log.info("look at it: %s", speed.folder / "bench.png")
        return
    check_complete(cfg)
    from keypoints.bench import bench
    from keypoints.reports.terminal import print_bench

    print_bench(bench(cfg))
    log.info("look at it: %s", Path(cfg.output) / "bench.png")


def submit(cfg: DictConfig) -> None:
    """Write a submission, or check one."""
    from keypoints.submit import check, submit

    if cfg.check is not None:
        log.info("%s: is valid, for %d images", cfg.check, check(cfg))
    else:
        log.info("%s: is valid, and can be submitted", submit(cfg))


def predict(cfg: DictConfig) -> None:
    """Find the landmarks of photos.

    Raises:
        DataError: if a photo has no face, or not all of its own could be predicted.
    """
    from keypoints.predict import predict

    done = predict(cfg)
    log.info("%d faces of %d photos are in %s", done.faces, done.photos, done.folder)
    if done.page is not None:
        log.info("look at it: %s", done.page)
    if done.with_problems:
        raise DataError(
            f"{done.with_problems} of {done.photos} photos have no face, or not all of theirs; see above"
        )


def demo(cfg: DictConfig) -> None:
    """Serve a page to try a model."""
    from keypoints.demo import demo

    demo(cfg)


def export(cfg: DictConfig) -> None:
    """Write a checkpoint as an ONNX file."""
    from keypoints.export import export

    done = export(cfg)
    log.info("%s: %s, %.2f MB, checked against the checkpoint", done.path, done.precision, done.megabytes)
    log.info(
        "on %d crops its points lie %.2g px of the %d × %d input from the checkpoint's, %.2g at most",
        done.crops,
        done.mean_shift,
        *done.input_size,
        done.largest_shift,
    )
    if done.nme is not None:
        log.info(
            "measured on their landmarks, NME is %.3g %% by the checkpoint and %.3g %% by this file",
            *(100 * nme for nme in done.nme),
        )


def train(cfg: DictConfig, *, resumed: bool) -> float | None:
    """Train a run by itself or of a sweep, in the folder that Hydra has for it; return a search's objective.

    Args:
        cfg: the configuration of ``conf/train.yaml``.
        resumed: do what is left of the run in that folder; ``cfg`` may be anybody's then, see
            :mod:`keypoints.building`.

    Raises:
        KeypointsError: for what the user can mend.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    with open_dict(cfg):
        cfg.output = hydra.runtime.output_dir  # a multirun gives each job a folder of its own
    overrides = list(hydra.overrides.task)
    try:
        check_complete(cfg)
        with trusting(*package_names(cfg.trust)):
            if not in_sweep:
                return _train(cfg, overrides, 0, resumed)
            with _alone_in_run(Path(cfg.output)):
                if not resumed and (before := _same_before(Path(cfg.output), overrides)) is not None:
                    return before
                return _train(cfg, overrides, hydra.job.num, resumed)
    except Exception as error:
        if in_sweep:  # it is told of where it happens; of a run by itself, at the end
            known = isinstance(error, KeypointsError)
            log.log(logging.ERROR, "failed: %s", one_line(error), exc_info=None if known else error)
        raise


@contextmanager
def _alone_in_run(folder: Path) -> Iterator[None]:
    """Wait until no other job of a sweep trains the run in ``folder``, as one of the same setting may."""
    from keypoints.files import alone

    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(alone(folder, beside=True))
            except DataError:
                sleep(_LOOK_AGAIN)
            else:
                break
        yield


def _same_before(folder: Path, overrides: list[str]) -> float | None:
    """Return the objective of the run that an earlier job of the same sweep trained, if one had this setting.

    Raises:
        TrainingError: if that run did not end.
    """
    from keypoints.runs import RunFolder
    from keypoints.sweeps import same_overrides

    run = RunFolder(folder)
    if not run.status_file.exists() or not same_overrides(run.status().get("overrides", []), overrides):
        return None
    status = run.status()
    if status["status"] != "finished":
        raise TrainingError(
            f"is the setting of an earlier job again, which {status['status']} ({folder.name})"
        )
    log.info("%s: is asked for again; it keeps the result that it has", folder.name)
    return _objective(run)


def _train(cfg: DictConfig, overrides: list[str], job: int, resumed: bool) -> float | None:
    from keypoints.runs import RunFolder

    left = _left(Path(cfg.output)) if resumed else "all"
    if left == "nothing":
        return _objective(RunFolder(Path(cfg.output)))
    from keypoints.train import resume, train

    if left == "some":
        return resume(Path(cfg.output)).get(OBJECTIVE)
    return train(cfg, overrides, job, recorded=resumed).get(OBJECTIVE)


def _objective(run: "RunFolder") -> float:
    """Return what a search makes small, of a run that is finished.

    Raises:
        DataError: if its status does not say it.
    """
    metrics = run.status().get("metrics", {})
    if OBJECTIVE not in metrics:
        raise DataError(
            f"{run.status_file}: is finished, but lacks the metric {OBJECTIVE}; delete the run's folder"
        )
    return math.nan if metrics[OBJECTIVE] is None else float(metrics[OBJECTIVE])


def _left(folder: Path) -> Literal["all", "some", "nothing"]:
    """What is left to do of a run to be resumed; what there is of one that cannot be is cleared away.

    Raises:
        ConfigError: if it is running at this moment.
    """
    from keypoints.runs import RunFolder, is_sweep

    run = RunFolder(folder)
    if not run.status_file.exists():
        return "all"
    if run.resumable() or not is_sweep(folder.parent):
        return "some"  # or a run by itself, of which resuming will say why it cannot
    if run.status()["status"] == "finished":
        log.info("%s: finished before", folder.name)
        return "nothing"
    if run.other_checkpoints():
        return "some"  # resuming will name them: clearing would delete them
    run.clear()
    run.status_file.unlink()
    return "all"


def kept_of_sweep(folder: Path) -> str:
    """Return what a sweep that was stopped has kept, and how it is resumed."""
    from keypoints.sweeps import SweepFolder

    sweep, kept = SweepFolder(folder), "no run had begun"
    if sweep.begun():
        rows = sweep.table()["status"]
        kept = f"{(rows == 'finished').sum()} of {len(rows)} runs are finished"
    return f"{kept}; go on with: keypoints train {shlex.quote(f'resume={folder}')}"


def killed_workers(folder: Path | None) -> TrainingError:
    """Return the error of a sweep of which a worker process was killed, and write and print its summary.

    Args:
        folder: the sweep's, if it has begun.
    """
    from keypoints.sweeps import SweepFolder

    why = "a process of launch=cores was killed, perhaps for lack of memory (try hydra.launcher.n_jobs=1)"
    if folder is None or not SweepFolder(folder).begun():
        return TrainingError(f"{why} before the first run began")
    end_sweep(folder, stopped=True)
    table = SweepFolder(folder).table()
    left = table.loc[table["status"] != "finished", "run"].tolist()
    return TrainingError(f"{why}; unfinished: {some_of(left, _NAMED)}; {kept_of_sweep(folder)}")


def end_sweep(folder: Path, *, stopped: bool) -> int:
    """Write and print the summary of a sweep; return how many of its runs did not finish.

    Args:
        folder: the sweep's.
        stopped: whether it was stopped, so that its end is told elsewhere.
    """
    from keypoints.reports.sweep import report_sweep
    from keypoints.reports.terminal import print_sweep
    from keypoints.sweeps import SweepFolder
    from keypoints.workers import end_workers

    end_workers()
    sweep = SweepFolder(folder)
    if not sweep.begun():
        return 0
    table = report_sweep(sweep)
    print_sweep(table)
    print(printable(f"The report: {sweep.report}"))
    failed = int((table["status"] != "finished").sum())
    if failed and not stopped:
        print(printable(f"Once what is wrong is mended, go on with: keypoints train resume={folder}"))
    return failed
