"""Figures of faces: a batch, augmented samples, best and worst faces, and their values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from keypoints.data.photos import Photo
from keypoints.evaluation.face_tables import hidden_of, points_of
from keypoints.formatting import fixed
from keypoints.geometry import ByteArray, FlagArray, FloatArray
from keypoints.reports.closeups import CloseUp, draw_closeup, region_around
from keypoints.reports.figures import Lines, new_figure

_TRUTH, _PREDICTION = "#2bdc46", "#f52d2d"
HOLLOW = "hollow: hidden"
"""Legend of hidden points, in the titles of figures that show some."""
COLOURS = "Green: truth, red: prediction, yellow: the error of each point."
"""Legend of close-ups."""


def batch(
    images: Sequence[ByteArray],
    ratios: FloatArray,
    lines: Lines,
    title: str,
    hidden: FlagArray | None = None,
) -> Figure:
    """Show the inputs of a batch with their points.

    Args:
        images: B inputs of the network, (H, W) or (H, W, 3) each.
        ratios: (B, K, 2) ratios of the input.
        lines: skeleton of the landmarks: pairs of points to join.
        title: title of the figure.
        hidden: (B, K) flags of the hidden points; ``None``: none.
    """
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    figure = new_figure(3.2 * columns, 3.2 * height / width * rows + 0.5)
    flags = [None] * len(images) if hidden is None else hidden
    for axes, image, points, hollow in zip(_grid(figure, rows, columns), images, ratios, flags, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        _points(axes, points * (width, height) - 0.5, lines, _TRUTH, "truth", hollow)
    figure.suptitle(_with_legend(title, flags))
    return figure


def samples(
    rows: Mapping[str, Sequence[ByteArray]],
    ratios: Mapping[str, FloatArray],
    lines: Lines,
    title: str,
    hidden: Mapping[str, FlagArray | None] | None = None,
) -> Figure:
    """Show one row per face: the face without augmentation, then augmented samples, with their points.

    Args:
        rows: inputs of the network, (H, W) or (H, W, 3) each, by the face's name.
        ratios: (B, K, 2) ratios of the input, by the face's name.
        lines: skeleton of the landmarks.
        title: title of the figure.
        hidden: (B, K) flags of the hidden points, by the face's name; ``None``: none.
    """
    columns = max(map(len, rows.values()))
    height, width = next(iter(rows.values()))[0].shape[:2]
    figure = new_figure(2.9 * columns, 2.9 * height / width * len(rows) + 0.9)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    shown: list[FlagArray | None] = []
    for line, (name, images) in zip(grid, rows.items(), strict=True):
        flags = None if hidden is None else hidden[name]
        shown.append(flags)
        for place, (axes, image, points) in enumerate(zip(line, images, ratios[name], strict=True)):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            hollow = None if flags is None else flags[place]
            _points(axes, points * (width, height) - 0.5, lines, _TRUTH, "truth", hollow)
            axes.set_xlim(-0.5, width - 0.5)
            axes.set_ylim(height - 0.5, -0.5)
            axes.set_xticks([])
            axes.set_yticks([])
            if line is grid[0]:
                axes.set_title(f"sample {place}" if place else "not augmented", fontsize=10)
        line[0].set_ylabel(name, fontsize=9)
    figure.suptitle(_with_legend(title, shown))
    return figure


def mirrored(pictures: Mapping[str, "NumberedFace"], labels: Sequence[str], title: str, note: str) -> Figure:
    """Show pictures of a face side by side, each point with its label and in a colour of its own.

    Colours follow the places of the points in the first picture from left to right, so that an exchange of
    points is visible as a wrong colour.

    Args:
        pictures: input and points of each picture, by its title.
        labels: K labels of the points.
        title: title of the figure.
        note: second line of the title.
    """
    figure = new_figure(8.5 * len(pictures), 9.4)
    grid = figure.subplots(1, len(pictures), squeeze=False)[0]
    from_left = next(iter(pictures.values())).points[:, 0].argsort().argsort()
    colours = colormaps["turbo"](from_left / len(from_left))
    for axes, (name, face) in zip(grid, pictures.items(), strict=True):
        axes.imshow(face.image, cmap="gray", vmin=0, vmax=255, interpolation="bicubic", alpha=0.75)
        for (x, y), label, colour, hollow in zip(face.points, labels, colours, face.hidden, strict=True):
            if np.isnan(x):
                continue
            filling = "none" if hollow else colour
            axes.plot(
                x, y, "o", ms=7, mfc=filling, mec=colour if hollow else "black", mew=1.5 if hollow else 0.7
            )
            text = axes.annotate(label, (x, y), (5, 3), textcoords="offset points", fontsize=9, color="white")
            text.set_path_effects([withStroke(linewidth=2, foreground="black")])
        _show_around(axes, face.points, face.image.shape[:2])
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name)
    figure.suptitle(_with_legend(title, [face.hidden for face in pictures.values()]) + f"\n{note}")
    return figure


def _show_around(axes: Axes, points: FloatArray, shape: tuple[int, int]) -> None:
    """Show a square around the points, at least half as high as the picture of the shape (height, width)."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    half = max(0.65 * float((high - low).max()), shape[0] / 4)
    x, y = (low + high) / 2
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y + half, y - half)


@dataclass
class NumberedFace:
    """Face with its points, for :func:`mirrored`.

    Args:
        image: input of the network, (H, W) or (H, W, 3).
        points: (K, 2) pixels of the input; NaN without a label.
        hidden: (K,) flags of the hidden points.
    """

    image: ByteArray
    points: FloatArray
    hidden: FlagArray


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
    """Show rows of faces with truth (green), prediction (red) and a caption below each.

    Each face is shown in a square around its points. A missing photo is shown as an empty frame with its
    caption. Hidden points of the truth are hollow.
    """
    columns = max(map(len, rows.values()))
    figure = new_figure(4.0 * columns, 4.3 * len(rows) + 0.4)
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
            _points(axes, face.truth, lines, _TRUTH, "truth", face.hidden)
            _points(axes, face.predicted, lines, _PREDICTION, "prediction")
            _show_face(axes, face)
        line[0].set_ylabel(label)
    between = "\n" if columns == 1 else " · "  # one photo is narrower than the title
    flags = [face.hidden for drawn in rows.values() for face in drawn if face.photo is not None]
    figure.suptitle(_with_legend(f"{title}{between}green: truth, red: prediction", flags))
    return figure


def _show_face(axes: Axes, face: "DrawnFace") -> None:
    """Limit the view to a face; it ends at the photo."""
    assert face.photo is not None
    height, width = face.photo.shape[:2]
    region = region_around(face.truth, (width, height), face.predicted)
    axes.set_xlim(max(region.left, 0) - 0.5, min(region.left + region.width, width) - 0.5)
    axes.set_ylim(min(region.top + region.height, height) - 0.5, max(region.top, 0) - 0.5)


@dataclass
class DrawnFace:
    """Photo with its points, for :func:`faces` and :func:`close_ups`.

    Args:
        photo: (H, W) grey pixels; ``None`` if the file is missing.
        truth: (K, 2) pixels of the photo.
        predicted: (K, 2) pixels of the photo.
        caption: text below the photo.
        hidden: (K,) flags of the hidden points; ``None``: none.
    """

    photo: ByteArray | None
    truth: FloatArray
    predicted: FloatArray
    caption: str
    hidden: FlagArray | None = None


def in_rows(ranked: Mapping[str, Sequence["DrawnFace"]], across: int) -> dict[str, Sequence["DrawnFace"]]:
    """Return ranked faces in rows for :func:`faces`, such as ``worst 1 to 3``.

    Args:
        ranked: faces of each group, by the group's name.
        across: largest number of faces in a row.
    """
    return {
        f"{label} {start + 1} to {min(start + across, len(drawn))}": drawn[start : start + across]
        for label, drawn in ranked.items()
        for start in range(0, len(drawn), across)
    }


def close_ups(faces: Iterable[DrawnFace], lines: Lines) -> list[CloseUp]:
    """Return a close-up of each face whose photo is not missing, drawn at the photo's own resolution.

    Truth is green, the prediction red, and yellow lines join the two. Hidden points of the truth are hollow.

    Args:
        faces: the faces.
        lines: skeleton of the landmarks.
    """
    return [
        CloseUp(
            draw_closeup(
                face.photo,
                region_around(face.truth, (face.photo.shape[1], face.photo.shape[0]), face.predicted),
                truth=face.truth,
                prediction=face.predicted,
                hidden=face.hidden,
                skeleton=lines,
            ),
            f"close-up with truth and prediction, {face.caption}",
            face.caption,
        )
        for face in faces
        if face.photo is not None
    ]


def read_face(
    path: Path, truth: FloatArray, predicted: FloatArray, caption: str, hidden: FlagArray | None = None
) -> DrawnFace:
    """Read a photo for :func:`faces`.

    Args:
        path: file of the photo, which may be missing.
        truth: (K, 2) pixels of the photo.
        predicted: (K, 2) pixels of the photo.
        caption: text below the photo.
        hidden: (K,) flags of the hidden points; ``None``: none.
    """
    photo = Photo(path).decode(1) if path.is_file() else None
    return DrawnFace(photo, truth, predicted, caption, hidden)


def _with_legend(title: str, hidden: Iterable[FlagArray | None]) -> str:
    """Return a title, followed by the legend of hidden points if the flags have any."""
    return f"{title}, {HOLLOW}" if any(flags is not None and flags.any() for flags in hidden) else title


def _grid(figure: Figure, rows: int, columns: int) -> list[Axes]:
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.axis("off")
    return grid


def _points(
    axes: Axes,
    points: FloatArray,
    lines: Lines,
    colour: str,
    label: str,
    hidden: FlagArray | None = None,
) -> None:
    for start, end in lines:
        axes.plot(*points[[start, end]].T, color=colour, lw=0.9, alpha=0.8)
    size = 70 if len(points) == 1 else 14
    filled = points if hidden is None else points[~hidden]
    axes.scatter(
        filled[:, 0],
        filled[:, 1],
        s=size,
        c=colour,
        edgecolors="black",
        linewidths=0.7,
        label=label,
        zorder=3,
    )
    if hidden is not None and hidden.any():
        x, y = points[hidden].T
        for edge, width in (("black", 1.8), (colour, 1.1)):  # a coloured ring with a dark edge
            axes.scatter(x, y, s=1.8 * size, facecolors="none", edgecolors=edge, linewidths=width, zorder=3)


def drawn_faces(table: pd.DataFrame, label: str = "") -> list[DrawnFace]:
    """Return the faces of a table of :func:`keypoints.evaluation.per_face.measure_faces`, with errors."""
    truth, predicted, hidden = points_of(table, "truth"), points_of(table, "predicted"), hidden_of(table)
    columns = table["photo"], truth, predicted, table["error_px"], hidden
    return [
        read_face(Path(photo), true, found, f"{label}{Path(photo).stem}: {fixed(error, 1)} px", hollow)
        for photo, true, found, error, hollow in zip(*columns, strict=True)
    ]
