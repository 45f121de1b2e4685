"""Figures of errors: over faces, over landmarks, by confidence, under stress."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keypoints.evaluation.face_tables import are_labelled, over_labelled
from keypoints.evaluation.per_face import ConfidenceGroup
from keypoints.formatting import fixed
from keypoints.geometry import ByteArray, FloatArray
from keypoints.reports.figures import BASELINE, Lines, new_figure

_MODEL, _CONSTANT = "tab:blue", "0.45"
_ALL, _WITHIN = "tenths of all points", "tenths of each landmark's points"


def cumulative_errors(curves: Mapping[str, FloatArray], threshold: float, unit: str, title: str) -> Figure:
    """Plot the share of faces whose error is at most x, for each of ``curves``.

    Args:
        curves: (N,) normalised mean errors of the faces that have one, as ratios, by the name of their
            predictor.
        threshold: limit of failure rate and AUC, as a ratio; plotted as a line.
        unit: description of the normalising length.
        title: title of the figure.
    """
    figure = new_figure(8, 5.6)
    axes = figure.subplots()
    model = next(iter(curves.values()))
    finite = model[np.isfinite(model)]  # an error is not finite if its normalising length is 0
    widest = float(np.quantile(finite, 0.98)) if finite.size else 0.0
    reach = 100 * max(1.5 * threshold, min(widest * 1.2, 6 * threshold))
    for (name, errors), colour in zip(curves.items(), (_MODEL, _CONSTANT), strict=False):
        if not errors.size:
            axes.plot([], [], color=colour, label=f"{name}: no face has a normalised error")
            continue
        percent = np.sort(100 * errors)
        shares = np.arange(1, len(percent) + 1) / len(percent)
        inside = percent <= reach
        area = float(np.clip(1 - errors / threshold, 0, None).mean())
        failures = float((~(errors <= threshold)).mean())
        mean = fixed(100 * float(errors.mean()), 2)
        label = f"{name}: mean {mean} %, AUC {fixed(area, 3)}, failures {100 * failures:.1f} %"
        height = np.r_[0, shares[inside]]
        axes.step(
            np.r_[0, percent[inside], reach],
            np.r_[height, height[-1]],
            where="post",
            color=colour,
            label=label,
            lw=2,
        )
    axes.axvline(100 * threshold, color="tab:red", ls=":", label=f"threshold {100 * threshold:g} %")
    axes.set_xlim(0, reach)
    axes.set_ylim(0, 1)
    axes.set_xlabel(f"normalised mean error of a face, % of {unit}")
    axes.set_ylabel("share of faces")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", fontsize=9)
    axes.set_title(title)
    return figure


def by_landmark(shape: FloatArray, errors: FloatArray, lines: Lines, title: str) -> Figure:
    """Plot the mean error of each landmark, at its place on the mean face.

    Args:
        shape: (K, 2) mean true face, in pixels.
        errors: (K,) mean distances over faces, in pixels of the photos.
        lines: skeleton of the landmarks.
        title: title of the figure.
    """
    figure = new_figure(8.5, 7)
    axes = figure.subplots()
    for start, end in lines:
        axes.plot(*shape[[start, end]].T, color="0.8", lw=1.2, zorder=1)
    sizes = 30 + 320 * errors / (float(np.nanmax(errors, initial=0.0)) or 1.0)
    drawn = axes.scatter(shape[:, 0], shape[:, 1], c=errors, s=sizes, cmap="viridis_r", zorder=2)
    labelled = np.flatnonzero(~np.isnan(errors))
    for index in labelled[np.argsort(errors[labelled])[::-1][:5]]:
        axes.annotate(
            f"{index}: {fixed(float(errors[index]), 1)} px",
            shape[index],
            xytext=(9, 5),
            textcoords="offset points",
            fontsize=9,
        )
    figure.colorbar(drawn, ax=axes, label="mean distance, px of the photo", shrink=0.85)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.margins(0.12)
    axes.axis("off")
    axes.set_title(title)
    return figure


def spread(truth: FloatArray, predicted: FloatArray, title: str) -> Figure:
    """Plot the spread of predictions against the spread of the truth; equal spreads lie on the diagonal.

    Args:
        truth: (N, K, 2) pixels of the photos; NaN without a label.
        predicted: (N, K, 2) pixels of the photos.
        title: title of the figure.
    """
    figure = new_figure(11, 5.2)
    left, right = figure.subplots(1, 2)
    known = are_labelled(truth)
    has_labels = np.flatnonzero(known.any(axis=1))
    truth, predicted, known = truth[has_labels], predicted[has_labels], known[has_labels]
    for axis, (name, colour) in enumerate((("x", "tab:blue"), ("y", "tab:orange"))):
        left.scatter(
            over_labelled(truth[:, :, axis], known, 0, np.std),
            over_labelled(predicted[:, :, axis], known, 0, np.std),
            s=22,
            c=colour,
            alpha=0.8,
            label=name,
        )
        centred_truth, centred = (
            over_labelled(points[:, :, axis], known, 1) for points in (truth, predicted)
        )
        right.scatter(
            centred_truth - centred_truth.mean(),
            centred - centred_truth.mean(),
            s=22,
            c=colour,
            alpha=0.7,
            label=name,
        )
    left.set_xlabel("true standard deviation of a landmark over faces, px")
    left.set_ylabel("predicted, px")
    right.set_xlabel("true position of the face (mean of its points), px from the average")
    right.set_ylabel("predicted, px")
    for axes, zero in ((left, True), (right, False)):
        _diagonal(axes, from_zero=zero)
    figure.suptitle(
        f"{title}\non the diagonal: as varied as the truth; horizontal: the same face for everyone"
    )
    return figure


def _diagonal(axes: Axes, *, from_zero: bool) -> None:
    low, high = (min(axes.get_xlim()[0], axes.get_ylim()[0]), max(axes.get_xlim()[1], axes.get_ylim()[1]))
    low = 0 if from_zero else low
    axes.plot([low, high], [low, high], color="0.4", ls="--", lw=1)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.grid(alpha=0.3)
    axes.legend()


def by_confidence(
    groups: Sequence[ConfidenceGroup], within: Sequence[ConfidenceGroup], unit: str, title: str
) -> Figure:
    """Plot the mean error of points against the model's confidence.

    Args:
        groups: groups of points, as :func:`keypoints.evaluation.per_face.by_confidence` returns them.
        within: the same, with the points of each landmark sorted by themselves; none to leave it out.
        unit: description of the normalising length.
        title: title of the figure.
    """
    figure = new_figure(7.5, 5.2)
    axes = figure.subplots()
    errors = [100 * group.nme for group in (*groups, *within)]
    axes.plot(
        [group.confidence for group in groups], errors[: len(groups)], "o-", color=_MODEL, lw=2, label=_ALL
    )
    if within:
        sure = [group.confidence for group in within]
        axes.plot(sure, errors[len(groups) :], "s--", color=_CONSTANT, lw=1.5, label=_WITHIN)
        axes.legend()
    axes.set_ylim(0, 1.1 * max((error for error in errors if 0 < error < np.inf), default=1.0))
    axes.set_xlabel("mean confidence of the points")
    axes.set_ylabel(f"mean error, % of {unit}", fontsize=9)
    axes.grid(alpha=0.3)
    axes.set_title(title)
    return figure


def under_stress(table: pd.DataFrame, unit: str, title: str) -> Figure:
    """Plot errors against the level of each stress.

    Args:
        table: table of :func:`keypoints.evaluation.robustness.stress`.
        unit: description of the normalising length.
        title: title of the figure.
    """
    from keypoints.evaluation.robustness import STRESSES

    rows_of_axes = -(-len(STRESSES) // 3)
    figure = new_figure(12, 3.5 * rows_of_axes)
    grid = figure.subplots(rows_of_axes, 3, sharey=True, squeeze=False)
    for axes in grid.flat[len(STRESSES) :]:
        axes.axis("off")
    for axes, (name, kind) in zip(grid.flat, STRESSES.items(), strict=False):
        rows = table[table["stress"] == name].sort_values("level")
        axes.plot(rows["level"], 100 * rows["nme"], "o-", color=_MODEL, label="model")
        if "constant_nme" in rows:
            axes.plot(rows["level"], 100 * rows["constant_nme"], "--", color=_CONSTANT, label=BASELINE)
        axes.axvline(kind.levels[0], color="tab:green", ls=":", lw=1.5, label="unchanged")
        if kind.levels[0] == max(kind.levels):
            axes.invert_xaxis()  # so that stress increases to the right
        if rows["nme"].between(0, np.inf, inclusive="neither").any():
            axes.set_yscale("log")
        axes.set_title(kind.title)
        axes.set_xlabel(kind.axis)
        axes.grid(visible=True, which="both", alpha=0.25)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"NME, % of {unit}", fontsize=9)
    grid.flat[0].legend(fontsize=9)
    figure.suptitle(title)
    return figure


def at_angles(table: pd.DataFrame, unit: str, title: str) -> Figure:
    """Plot the error against the angle of the photos, with one pass and with two.

    Args:
        table: table of :class:`keypoints.evaluation.angles.AtAngles`.
        unit: description of the normalising length.
        title: title of the figure.
    """
    figure = new_figure(7.5, 5.2)
    axes = figure.subplots()
    for passes, label, style in ((1, "one pass", "o--"), (2, "with a second pass", "o-")):
        rows = table[table["passes"] == passes].sort_values("angle")
        if len(rows):
            colour = _CONSTANT if passes == 1 else _MODEL
            axes.plot(rows["angle"], 100 * rows["nme"], style, color=colour, label=label)
    if table["nme"].between(0, np.inf, inclusive="neither").any():
        axes.set_yscale("log")
    axes.set_xticks(sorted(set(table["angle"])))
    axes.set_xlabel("angle of the photo in degrees")
    axes.set_ylabel(f"NME, % of {unit}", fontsize=9)
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    axes.set_title(title)
    return figure


def stressed_faces(rows: Mapping[str, Sequence[tuple[str, ByteArray]]], title: str) -> Figure:
    """Show one face with its points at each level of each stress, one row per stress.

    Args:
        rows: captions and (H, W, 3) RGB pictures of each row, by the stress's title.
        title: title of the figure.
    """
    columns = max(map(len, rows.values()))
    height, width = next(iter(rows.values()))[0][1].shape[:2]
    figure = new_figure(2.0 * columns, (2.0 * height / width + 0.35) * len(rows) + 0.6)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes in line:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_frame_on(False)
        for axes, (caption, picture) in zip(line, pictures, strict=False):
            axes.imshow(picture)
            axes.set_xlabel(caption, fontsize=9)
        line[0].set_ylabel(name, fontsize=9)
    figure.suptitle(title)
    return figure
