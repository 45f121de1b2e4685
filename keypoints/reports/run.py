"""Figures and page of one run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities.model_summary.model_summary import ModelSummary

from keypoints.data.dataset import Batch, full_batch, pixels_of
from keypoints.datamodules.base import FaceDataModule
from keypoints.evaluation.face_tables import by_error, read_faces
from keypoints.files import atomic_folder
from keypoints.formatting import shown
from keypoints.mean_face import collapse
from keypoints.models.inspection import feature_maps, first_convolution
from keypoints.reports import face_figures, figures, filter_figures, training_figures
from keypoints.reports.page import Picture, write_page
from keypoints.runs.history import best_epoch, by_epoch, read_logged
from keypoints.runs.run_folder import DEV_RUN, RunFolder
from keypoints.runs.status import Status, command_of, is_alive, read_status
from keypoints.structured_files import read_text
from keypoints.tasks.base import Task, load_task

log = logging.getLogger(__name__)

_MOST_INPUTS = 16
"""Largest number of inputs in the figure of a batch."""
_SHOWN = 4
_ACROSS = 2
"""Faces per row of the figure: few, so that points are visible on a phone too."""


def draw_batch(run: RunFolder, data: FaceDataModule) -> None:
    """Write the figure of a training batch into the run's folder; later reports reuse it.

    Args:
        run: folder of the run.
        data: datamodule of the training.
    """
    batch: Batch = next(iter(data.train_dataloader()))
    title = f"{run.name}: a training batch as the network receives it"
    figure = face_figures.batch(
        pixels_of(batch, _MOST_INPUTS),
        batch.targets.numpy()[:_MOST_INPUTS],
        data.scheme.skeleton,
        title,
        None if batch.hidden_points is None else batch.hidden_points[:_MOST_INPUTS],
    )
    figures.save(figure, run.figure("batch"))


def draw_feature_maps(run: RunFolder, data: FaceDataModule, task: Task) -> None:
    """Write the figure of the first layer's feature maps of a validation face; later reports reuse it.

    Args:
        run: folder of the run.
        data: datamodule of the training.
        task: the trained network.
    """
    batch = full_batch(data.dataset("val"), [0])
    maps = feature_maps(task, batch.to_images()[:1])
    if maps is not None:
        title = f"{run.name}: first-layer feature maps, {_epoch_shown(run)}"
        figure = filter_figures.feature_maps(pixels_of(batch, 1)[0], maps[0].double().numpy(), title)
        figures.save(figure, run.figure("feature_maps"))


def _epoch_shown(run: RunFolder) -> str:
    """Return the epoch whose weights the report shows: the best if it has a checkpoint, else the last."""
    return "best epoch" if run.best_checkpoint.is_file() else "last epoch"


def report_run(run: RunFolder, best: Task | None = None, trust: str | Sequence[str] | None = None) -> Path:
    """Make the figures and ``report.html`` of a run from the files in its folder.

    The page of a run that failed or still runs says so and shows the results so far.

    Args:
        run: folder of the run.
        best: task of the best checkpoint, if it is loaded already.
        trust: packages of the user whose classes the checkpoint may name.

    Returns:
        The path of the page.

    Raises:
        DataError: if the folder holds no run, or a file in it is damaged.
        CheckpointError: if the best checkpoint cannot be used; the old report is kept in this case.
    """
    with atomic_folder(run.path, last=run.report.name) as part:
        _write(run, RunFolder(part), best, trust)
    return run.report


def _write(run: RunFolder, new: RunFolder, best: Task | None, trust: str | Sequence[str] | None) -> None:
    """Write the files of a report into the folder ``new``."""
    status = read_status(run)
    metrics = {name: value for name, value in status.metrics.items() if value is not None}
    path = run.best_checkpoint
    task = load_task(path, trust=trust) if best is None and path.is_file() else best
    pictures = [
        *_curves(run, new, task),
        *_faces(run, new, task),
        *_filters(run, new, task),
        *_existing_figure(
            run.figure("feature_maps"),
            "Feature maps",
            "Response of each filter above to one validation face.",
        ),
        *_existing_figure(
            run.figure("batch"),
            "Sample batch",
            "Training faces as the network receives them; truth in green.",
        ),
    ]
    write_page(
        new.report,
        "run.html",
        title=run.name,
        about=_about(status),
        notes=[*_state_notes(run, status), *_mean_face_warning(metrics)],
        numbers=_numbers(metrics, _mean_distance(run)),
        pictures=pictures,
        layers=[] if task is None else _layers(task),
        tree="" if task is None else str(task),
        command=command_of(run),
        config=read_text(run.config) if run.config.exists() else "",
    )


def _about(status: Status) -> str:
    parts = [f"started {status.started}"]
    if status.seconds is not None:
        parts.append(f"{status.seconds:g} s")
    return " · ".join([*parts, f"keypoints {status.version}", *status.overrides])


def _state_notes(run: RunFolder, status: Status) -> list[tuple[str, str]]:
    if status.state == "finished":
        batches = run.setting("trainer.fast_dev_run")
        return [("warn", f"trainer.fast_dev_run={batches}: {DEV_RUN}.")] if batches else []
    if status.state == "running":
        if is_alive(run):
            return [("warn", "This run is still running; the page shows what it has done so far.")]
        return [("bad", "This run stopped without an error message: its process is gone.")]
    how = "failed" if status.state == "failed" else "was interrupted"
    return [("bad", f"This run {how}: {status.error}")]


def _mean_face_warning(metrics: dict[str, float]) -> list[tuple[str, str]]:
    warning = collapse(*(metrics.get(name) for name in ("best/variance_ratio", "best/mse", "constant/mse")))
    return [("warn", warning)] if warning else []


def _mean_distance(run: RunFolder) -> float | None:
    """Return the mean distance of a point over the validation faces, in pixels of the best checkpoint."""
    return float(read_faces(run.faces)["error_px"].mean()) if run.faces.exists() else None


def _numbers(metrics: dict[str, float], distance: float | None) -> list[dict[str, str]]:
    rows = [
        {
            "": f"{when} epoch ({metrics[f'{when}/epoch']:.0f})",
            "MSE (ratio²)": shown(metrics.get(f"{when}/mse"), 4),
            **({"NME (%)": shown(100 * metrics[f"{when}/nme"])} if f"{when}/nme" in metrics else {}),
            "MAE per coordinate (px)": shown(metrics.get(f"{when}/mae_px"), 4),
            "mean distance (px)": shown(distance if when == "best" else None, 4),
            "variance ratio": shown(metrics.get(f"{when}/variance_ratio"), 2),
        }
        for when in ("best", "last")
        if f"{when}/epoch" in metrics
    ]
    if rows and "constant/mse" in metrics:
        known = {
            "": figures.BASELINE,
            "MSE (ratio²)": shown(metrics["constant/mse"], 4),
            "variance ratio": "0",
        }
        rows.append({name: known.get(name, "–") for name in rows[0]})
    return rows


def _curves(run: RunFolder, new: RunFolder, task: Task | None) -> list[Picture]:
    if not run.metrics.exists():  # the run ended before anything was logged
        return []
    history = by_epoch(read_logged(run))  # empty if the run ended in its first epoch
    if history.empty or not {"loss/train", "loss/val"} & set(history):
        return []
    words = ("loss", "its own unit") if task is None else task.loss_words
    path = figures.save(
        training_figures.loss_curves(
            history,
            f"{run.name}: loss over epochs\n{_settings(run)}",
            *words,
            best_epoch(history, run.monitor),
        ),
        new.figure("curves"),
    )
    caption = (
        "Log axis. Dashed: the mean-shape baseline, which predicts the mean training face for every photo."
    )
    return [Picture(path, "Loss curves", caption)]


def _settings(run: RunFolder) -> str:
    """Return the settings that the title of the curves shows."""
    optimizer = str(run.setting("optimizer._target_")).rpartition(".")[2]
    values = {
        "lr": "optimizer.lr",
        "batch": "data.batch_size",
        "kernels": "model.net.kernel_sizes",
        "seed": "seed",
    }
    known = [f"{label} {value}" for label, key in values.items() if (value := run.setting(key)) is not None]
    return ", ".join([optimizer, *known])


def _faces(run: RunFolder, new: RunFolder, task: Task | None) -> list[Picture]:
    if not run.faces.exists():
        return []
    table = by_error(read_faces(run.faces))
    count = min(_SHOWN, len(table) // 2 or 1)
    ranked = {"worst": table.tail(count).iloc[::-1], "best": table.head(count)}
    lines = () if task is None else task.scheme.skeleton
    path = run.figure("faces")
    drawn: dict[str, list[face_figures.DrawnFace]] = {}
    if path.is_file() and not any(
        Path(photo).is_file() for part in ranked.values() for photo in part["photo"]
    ):
        log.warning("%s is kept, because its photos are missing", path)
    else:
        drawn = {label: face_figures.drawn_faces(part) for label, part in ranked.items()}
        rows = face_figures.in_rows(drawn, _ACROSS)
        path = figures.save(
            face_figures.faces(rows, lines, f"{run.name}: validation faces"), new.figure("faces")
        )
    caption = (
        "Validation faces with the largest and the smallest mean distance of a point; weights of the "
        f"{_epoch_shown(run)}. {face_figures.COLOURS}"
    )
    closeups = {f"The {label} faces": face_figures.close_ups(each, lines) for label, each in drawn.items()}
    return [Picture(path, "Good and bad faces", caption, closeups)]


def _filters(run: RunFolder, new: RunFolder, task: Task | None) -> list[Picture]:
    caption = "One colour scale for all filters: blue below zero, red above."
    if task is None:  # the run has no checkpoint
        return _existing_figure(run.figure("filters"), "First-layer filters", caption)
    convolution = first_convolution(task)
    if convolution is None:
        return []
    weight = convolution.weight.detach().float().numpy().astype(np.float64)
    title = f"{run.name}: first-layer filters, {_epoch_shown(run)}"
    path = figures.save(filter_figures.filters(weight, title), new.figure("filters"))
    with new.filters.open("wb") as file:
        np.save(file, weight.astype(np.float32), allow_pickle=False)
    return [Picture(path, "First-layer filters", caption)]


def _existing_figure(path: Path, title: str, caption: str) -> list[Picture]:
    return [Picture(path, title, caption)] if path.is_file() else []


def _layers(task: Task) -> list[dict[str, str]]:
    with torch.no_grad():
        summary = ModelSummary(task, max_depth=-1)
    rows = zip(summary.layer_names, summary.layer_types, summary.out_sizes, summary.param_nums, strict=True)
    leaves = {name for name, module in task.named_modules() if not list(module.children())}
    layers = [
        {"layer": name, "kind": kind, "output shape": _shape(size), "parameters": f"{count:,}"}
        for name, kind, size, count in rows
        if name in leaves and name.partition(".")[0] not in ("loss", "metrics") and not name.startswith("_")
    ]
    total = sum(parameter.numel() for parameter in task.parameters())
    return [*layers, {"layer": "all", "kind": "", "output shape": "", "parameters": f"{total:,}"}]


def _shape(size: Any) -> str:
    return (
        " × ".join(map(str, size[1:]))
        if isinstance(size, list) and size and isinstance(size[0], int)
        else "?"
    )
