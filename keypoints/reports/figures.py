"""Figures made from plain data, by matplotlib without a display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from keypoints.data.photos import Photo
from keypoints.errors import printable
from keypoints.evaluation.face_tables import points_of
from keypoints.files import replaced
from keypoints.formatting import fixed, shown
from keypoints.geometry import ByteArray, FloatArray

MSE_UNIT = "MSE (ratio² of the photo)"
_TRUTH, _PREDICTION = "#2bdc46", "#f52d2d"
_DPI = 100
_DASHES = ("-", "--", "-.", ":")

Lines = Sequence[tuple[int, int]]

BASELINE = "mean-shape baseline"
"""Name of the baseline in tables and figures; it predicts the mean training face for every photo."""


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, atomically. Its texts are literal: a ``$`` in a name starts no formula."""
    _make_literal(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, format="png")
    return path


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def _make_literal(figure: Figure) -> None:
    """Make all texts literal: without formulas, and with control characters escaped.

    Numbers at the axes are not changed, because powers of ten are formulas.
    """
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis)]
    numbers = {label for axis in axes for label in axis.get_ticklabels(which="both")}
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in numbers:
            text.set_parse_math(False)
            text.set_text(printable(text.get_text(), lines=True))


def _label(name: str) -> str:
    """Return a name that a legend shows; matplotlib leaves out names that begin with ``_``."""
    return f" {name}" if name.startswith("_") else name


def loss_curves(history: pd.DataFrame, title: str, loss: str, unit: str) -> Figure:
    """Plot training and validation loss over epochs on a log axis, with the mean-shape baseline as a line.

    If the loss is not the MSE, the validation MSE has axes of its own.

    Args:
        history: one row per epoch, as :func:`keypoints.runs.history.by_epoch` returns it.
        title: title of the figure, with the name of the run.
        loss: name of the loss, for the axis.
        unit: unit of the loss, for the axis.
    """
    own_mse = "val/mse" in history and not (
        "loss/val" in history
        and np.allclose(history["val/mse"], history["loss/val"], rtol=1e-3, equal_nan=True)
    )
    figure = new_figure(8, 8 if own_mse else 4.8)
    axes = figure.subplots(1 + own_mse, 1, squeeze=False, sharex=True)[:, 0]
    figure.suptitle(title)
    _curve(axes[0], history, "loss/train", f"training {loss}", color="tab:blue")
    _curve(axes[0], history, "loss/val", f"validation {loss}", color="tab:orange")
    _constant(axes[0], history, "loss/constant")
    _finish(axes[0], f"{loss} ({unit})")
    if own_mse:
        _curve(axes[1], history, "val/mse", "validation MSE", color="tab:orange")
        _constant(axes[1], history, "val/mse_constant")
        _finish(axes[1], MSE_UNIT)
    if (best := _best(history)) is not None:
        epoch, column = best[0], "val/mse" if own_mse else "loss/val"
        axes[-1].plot(
            epoch, history[column][epoch], "*", ms=15, color="tab:red", label=f"best epoch: {epoch}"
        )
        axes[-1].legend(fontsize=9)
    axes[-1].set_xlabel("epoch")
    return figure


def comparison(histories: Mapping[str, pd.DataFrame], groups: Mapping[str, str], title: str) -> Figure:
    """Plot the validation curves of several runs on one log axis.

    Args:
        histories: validated epochs of each run, by the run's name.
        groups: setting of each run, by the run's name; runs of one setting (seeds) share a colour.
        title: title of the figure.
    """
    figure = new_figure(10, 5.6)
    axes = figure.subplots()
    settings = list(dict.fromkeys(groups[name] for name in histories))
    colours = mpl.colormaps["tab10" if len(settings) <= 10 else "turbo"]
    labelled: set[str] = set()
    for name, history in histories.items():
        if (best_point := _best(history)) is None:
            continue
        best_epoch, best = best_point
        place = settings.index(groups[name])
        colour = colours(place if len(settings) <= 10 else place / (len(settings) - 1))
        many = list(groups.values()).count(groups[name]) > 1
        label = groups[name] if many else f"{name}: best {shown(best, 2)}"
        axes.plot(
            history.index,
            history["val/mse"],
            _DASHES[place // 10 % len(_DASHES)],
            color=colour,
            alpha=0.75 if many else 1,
            label=None if label in labelled else _label(label),
        )
        labelled.add(label)
        axes.plot(best_epoch, best, "*", ms=9, color=colour)
    for history in histories.values():
        _constant(axes, history, "val/mse_constant")
        break
    axes.set_title(title)
    axes.set_xlabel("epoch (★ best)")
    _finish(axes, f"validation {MSE_UNIT}", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _best(history: pd.DataFrame) -> tuple[int, float] | None:
    """Return the epoch of the smallest validation MSE and this MSE; ``None`` if it was never a number."""
    if "val/mse" not in history or history["val/mse"].isna().all():
        return None
    values = history["val/mse"].to_numpy(np.float64)
    place = int(np.nanargmin(values))
    return int(history.index.to_numpy()[place]), float(values[place])


def _curve(axes: Axes, history: pd.DataFrame, column: str, label: str, color: str) -> None:
    if column in history and not (values := history[column].dropna()).empty:
        axes.plot(values.index, values, label=f"{label}: last {shown(values.iloc[-1])}", color=color)


def _constant(axes: Axes, history: pd.DataFrame, column: str) -> None:
    if column in history and not (values := history[column].dropna()).empty:
        value = values.iloc[0]
        line = axes.axhline(value, color="0.35", ls="--", lw=1.2, label=f"{BASELINE}: {shown(value)}")
        line.set_visible(0 < value < np.inf)  # a log axis cannot show other values


def _finish(axes: Axes, unit: str, **legend: Any) -> None:
    """Set the log scale, labels and legend of axes with curves, as far as there is anything to show."""
    drawn = [np.asarray(line.get_ydata(), np.float64) for line in axes.lines]
    if any(((values > 0) & (values < np.inf)).any() for values in drawn):
        axes.set_yscale("log")
    axes.set_ylabel(unit)
    axes.grid(visible=True, which="both", alpha=0.25)
    if drawn:
        axes.legend(fontsize=9, **legend)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def filters(weight: FloatArray, title: str) -> Figure:
    """Show the filters of a weight, (filters, channels, height, width), on one common colour scale."""
    planes = weight.mean(axis=1)
    columns = min(8, len(planes))
    rows = -(-len(planes) // columns)
    figure = new_figure(1.1 * columns + 1.2, 1.15 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    top = float(np.abs(planes).max()) or 1.0
    for place, axes in enumerate(grid.flat):
        axes.axis("off")
        if place < len(planes):
            image = axes.imshow(planes[place], cmap="RdBu_r", vmin=-top, vmax=top)
            axes.set_title(str(place), fontsize=8)
    colourbar = figure.colorbar(image, ax=grid, shrink=0.9)
    colourbar.set_label("weight" if weight.shape[1] == 1 else "weight, mean over input channels")
    figure.suptitle(title)
    return figure


def feature_maps(image: ByteArray, maps: FloatArray, title: str) -> Figure:
    """Show a face and the response of each filter of the first layer, in standard deviations of its map.

    Args:
        image: (H, W) or (H, W, 3) input of the network.
        maps: (filters, h, w) feature maps.
        title: title of the figure.
    """
    columns = 4
    rows = 1 + -(-len(maps) // columns)
    height, width = maps.shape[1:]
    figure = new_figure(2.5 * columns + 1.2, (2.5 * height / width + 0.25) * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    centred = maps - maps.mean(axis=(1, 2), keepdims=True)
    scaled = centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-9)
    for axes in grid.flat:
        axes.axis("off")
    grid[0, 0].imshow(image, cmap="gray", vmin=0, vmax=255)
    grid[0, 0].set_title("the input", fontsize=9)
    for place, axes in zip(range(len(maps)), grid[1:].flat, strict=False):
        drawn = axes.imshow(scaled[place], cmap="RdBu_r", vmin=-3, vmax=3)
        axes.set_title(str(place), fontsize=8)
    figure.colorbar(drawn, ax=grid, shrink=0.6).set_label("response, in standard deviations of the map")
    figure.suptitle(title)
    return figure


def batch(images: Sequence[ByteArray], ratios: FloatArray, lines: Lines, title: str) -> Figure:
    """Show the inputs of a batch with their points.

    Args:
        images: B inputs of the network, (H, W) or (H, W, 3) each.
        ratios: (B, K, 2) ratios of the input.
        lines: skeleton of the landmarks: pairs of points to join.
        title: title of the figure.
    """
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    figure = new_figure(3.2 * columns, 3.2 * height / width * rows + 0.5)
    for axes, image, points in zip(_grid(figure, rows, columns), images, ratios, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        _points(axes, points * (width, height) - 0.5, lines, _TRUTH, "truth")
    figure.suptitle(title)
    return figure


def samples(
    rows: Mapping[str, Sequence[ByteArray]], ratios: Mapping[str, FloatArray], lines: Lines, title: str
) -> Figure:
    """Show one row per face: without augmentation, then its augmented samples, with their points.

    Args:
        rows: inputs of the network, (H, W) or (H, W, 3) each, by the face's name.
        ratios: (B, K, 2) ratios of the input, by the face's name.
        lines: skeleton of the landmarks.
        title: title of the figure.
    """
    columns = max(map(len, rows.values()))
    height, width = next(iter(rows.values()))[0].shape[:2]
    figure = new_figure(2.9 * columns, 2.9 * height / width * len(rows) + 0.9)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images) in zip(grid, rows.items(), strict=True):
        for place, (axes, image, points) in enumerate(zip(line, images, ratios[name], strict=True)):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            _points(axes, points * (width, height) - 0.5, lines, _TRUTH, "truth")
            axes.set_xlim(-0.5, width - 0.5)
            axes.set_ylim(height - 0.5, -0.5)
            axes.set_xticks([])
            axes.set_yticks([])
            if line is grid[0]:
                axes.set_title(f"sample {place}" if place else "not augmented", fontsize=10)
        line[0].set_ylabel(name, fontsize=9)
    figure.suptitle(title)
    return figure


def histogram(images: FloatArray, title: str) -> Figure:
    """Plot the histogram of the pixels of (B, C, H, W) inputs, with range, mean and standard deviation."""
    figure = new_figure(8, 4)
    axes = figure.subplots()
    values = images.ravel()
    axes.hist(values, bins=np.linspace(-0.5, 0.5, 65).tolist(), color="tab:blue", density=True)
    mean, deviation = float(values.mean()), float(values.std())
    axes.axvline(mean, color="tab:red", label=f"mean {mean:.3f}")
    axes.axvspan(
        mean - deviation,
        mean + deviation,
        color="tab:red",
        alpha=0.12,
        label=f"± standard deviation {deviation:.3f}",
    )
    axes.set_xlabel(f"pixel value of the input, {values.min():.2f} to {values.max():.2f}")
    axes.set_ylabel("density")
    axes.legend()
    axes.set_title(title)
    return figure


def faces(rows: Mapping[str, Sequence["DrawnFace"]], lines: Lines, title: str) -> Figure:
    """Show rows of photos with truth (green), prediction (red) and a caption below each.

    A missing photo is shown as an empty frame with its caption.
    """
    columns = max(map(len, rows.values()))
    figure = new_figure(4.0 * columns, 3.45 * len(rows) + 0.4)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, drawn) in zip(grid, rows.items(), strict=True):
        for axes in line[len(drawn) :]:
            axes.axis("off")
        for axes, face in zip(line, drawn, strict=False):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(face.caption)
            if face.photo is None:
                axes.text(0.5, 0.5, "photo not found", ha="center", transform=axes.transAxes)
                continue
            axes.imshow(face.photo, cmap="gray", vmin=0, vmax=255)
            _points(axes, face.truth, lines, _TRUTH, "truth")
            _points(axes, face.predicted, lines, _PREDICTION, "prediction")
            # The view ends at the photo, so that a point far outside does not shrink the face.
            height, width = face.photo.shape[:2]
            axes.set_xlim(-0.5, width - 0.5)
            axes.set_ylim(height - 0.5, -0.5)
        line[0].set_ylabel(label)
    between = "\n" if columns == 1 else " · "  # one photo is narrower than the title
    figure.suptitle(f"{title}{between}green: truth, red: prediction")
    return figure


@dataclass
class DrawnFace:
    """Photo with its points, for :func:`faces`.

    Args:
        photo: (H, W) grey pixels; ``None`` if the file is missing.
        truth: (K, 2) pixels of the photo.
        predicted: (K, 2) pixels of the photo.
        caption: text below the photo.
    """

    photo: ByteArray | None
    truth: FloatArray
    predicted: FloatArray
    caption: str


def read_face(path: Path, truth: FloatArray, predicted: FloatArray, caption: str) -> DrawnFace:
    """Read a photo for :func:`faces`.

    Args:
        path: file of the photo, which may be missing.
        truth: (K, 2) pixels of the photo.
        predicted: (K, 2) pixels of the photo.
        caption: text below the photo.
    """
    photo = Photo(path).decode(1) if path.is_file() else None
    return DrawnFace(photo, truth, predicted, caption)


def _grid(figure: Figure, rows: int, columns: int) -> list[Axes]:
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.axis("off")
    return grid


def _points(axes: Axes, points: FloatArray, lines: Lines, colour: str, label: str) -> None:
    for start, end in lines:
        axes.plot(*points[[start, end]].T, color=colour, lw=0.9, alpha=0.8)
    size = 70 if len(points) == 1 else 14
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=size,
        c=colour,
        edgecolors="black",
        linewidths=0.7,
        label=label,
        zorder=3,
    )


def drawn_faces(table: pd.DataFrame, label: str = "") -> list[DrawnFace]:
    """Return the faces of a table of :func:`keypoints.evaluation.per_face.measure_faces`, with errors."""
    truth, predicted = points_of(table, "truth"), points_of(table, "predicted")
    return [
        read_face(Path(photo), true, found, f"{label}{Path(photo).stem}: {fixed(error, 1)} px")
        for photo, true, found, error in zip(table["photo"], truth, predicted, table["error_px"], strict=True)
    ]
