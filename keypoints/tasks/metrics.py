"""Metrics, as torchmetrics classes. Their inputs are in pixels of the original photo.

Each metric is updated with ``predictions`` (B, K, 2), ``truth`` (B, K, 2) and ``photo_sizes`` (B, 2; width,
height), and accumulates over batches and processes. ``points`` restricts a metric to some landmarks; errors
are still normalised by the scale of the full face. Points without a label have NaN as their truth, and do not
count; a face whose normalising points are not labelled does not count in the metrics of normalised errors.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from keypoints.errors import ConfigError
from keypoints.landmarks import LandmarkScheme

NORMS = {
    "pair": "the distance of the outer eye corners",
    "box": "the square root of the area of the points' box",
    "diagonal": "the photo's diagonal",
}
"""Lengths that errors can be divided by, with their descriptions; see :func:`face_scale`."""

SCORED_BY_RMSE = ("kaggle15",)
"""Names of the landmark schemes whose evaluations have the root mean squared error in pixels too."""

_NO_SPREAD = 1e-12
"""Variance (ratio²) of the true faces below which it counts as 0: the square of a millionth of the photo."""


def default_norm(scheme: LandmarkScheme) -> str:
    """Return ``"pair"`` if the scheme has normalising points, as usual for 300-W, else ``"diagonal"``."""
    return "diagonal" if scheme.normalizing_points is None else "pair"


def face_scale(truth: Tensor, photo_sizes: Tensor, norm: str, pair: tuple[int, int] | None) -> Tensor:
    """Return the length that normalises each face's errors, (B,) pixels.

    ``"pair"``: the distance of two landmarks, for 300-W the outer eye corners (C. Sagonas et al.,
    300 faces in-the-wild challenge, ICCV workshops 2013). ``"box"``: the square root of the area of
    the true points' bounding box (A. Bulat, G. Tzimiropoulos, How far are we from solving the 2D & 3D
    face alignment problem?, ICCV 2017); NaN if labels are missing and the others span no box. ``"diagonal"``:
    the photo's diagonal, if a face has neither.
    """
    if norm == "pair" and pair is not None:
        return (truth[:, pair[0]] - truth[:, pair[1]]).square().sum(dim=-1).sqrt()
    if norm == "box":
        known = truth.isfinite()
        high, low = truth.where(known, -math.inf).amax(dim=1), truth.where(known, math.inf).amin(dim=1)
        sides = high - low
        scale = (sides[:, 0] * sides[:, 1]).sqrt()
        return scale.where((scale > 0) | known.all(dim=2).all(dim=1), math.nan)
    return photo_sizes.square().sum(dim=-1).sqrt()


def normalized_mean_error(
    predictions: Tensor,
    truth: Tensor,
    photo_sizes: Tensor,
    norm: str,
    pair: tuple[int, int] | None,
    points: Sequence[int] | None = None,
) -> Tensor:
    """Return each face's mean distance between predicted and true points, divided by its scale, (B,).

    The mean is over the labelled points; NaN for a face without any, or without labelled normalising points.
    """
    distances = (predictions - truth).square().sum(dim=-1).sqrt()
    chosen, known = distances, truth.isfinite().all(dim=-1)
    if points is not None:
        chosen, known = distances[:, list(points)], known[:, list(points)]
    mean = chosen.mean(dim=-1) if known.all() else chosen.where(known, 0.0).sum(dim=-1) / known.sum(dim=-1)
    return mean / face_scale(truth, photo_sizes, norm, pair)


class FaceMetric(Metric, ABC):
    """Metric that is the mean of :meth:`values` over all batches.

    Args:
        points: indices of the landmarks to include; all if ``None``.
        kwargs: further arguments of torchmetrics' Metric.
    """

    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, points: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.points = None if points is None else list(points)
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return the values to average, of any shape."""

    @abstractmethod
    def counted(self, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return which values count, bool of their shape: those whose truth is known."""

    def update(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> None:
        """Add a batch."""
        values = self.values(predictions, truth, photo_sizes)
        counted = self.counted(truth, photo_sizes)
        # Not in place: Trainer.validate resets the states to tensors that a later fit must not change.
        self.total = self.total + values.where(counted, 0.0).sum()
        self.count = self.count + counted.sum()

    def compute(self) -> Tensor:
        """Return the mean over the batches so far."""
        return self.total / self.count

    def _chosen(self, values: Tensor) -> Tensor:
        return values if self.points is None else values[:, self.points]


class CourseMSE(FaceMetric):
    """Mean squared error per coordinate in the course's units: x / width and y / height of the photo.

    The mean is over all coordinates of all faces: x and y have equal weight, and a point counts as two.
    """

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return the squared errors of all coordinates, in ratio²."""
        return self._chosen(((predictions - truth) / photo_sizes[:, None]).square())

    def counted(self, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Return which coordinates are labelled."""
        return self._chosen(truth.isfinite())


class PixelMAE(FaceMetric):
    """Mean absolute error per coordinate, in pixels of the photo: the score of the course's Kaggle task."""

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Return the absolute errors of all coordinates, in pixels."""
        return self._chosen((predictions - truth).abs())

    def counted(self, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Return which coordinates are labelled."""
        return self._chosen(truth.isfinite())


class PixelDistance(FaceMetric):
    """Mean distance between predicted and true points, in pixels of the photo.

    If the errors in x and y are alike and independent, it is about 1.6 times the mean absolute error per
    coordinate.
    """

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Return the distances of all points, in pixels."""
        return self._chosen((predictions - truth).square().sum(dim=-1).sqrt())

    def counted(self, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Return which points are labelled."""
        return self._chosen(truth.isfinite().all(dim=-1))


class PixelRMSE(FaceMetric):
    """Root mean squared error per coordinate, in pixels of the photo: the score of Kaggle's 15 points.

    The mean is over all labelled coordinates of all faces.
    """

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Return the squared errors of all coordinates, in pixels²."""
        return self._chosen((predictions - truth).square())

    def counted(self, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Return which coordinates are labelled."""
        return self._chosen(truth.isfinite())

    def compute(self) -> Tensor:
        """Return the root of the mean over the batches so far, in pixels."""
        return super().compute().sqrt()


class NME(FaceMetric):
    """Normalised mean error: :func:`normalized_mean_error`, averaged over faces; a ratio, not per cent.

    Args:
        norm: one of :data:`NORMS`.
        pair: indices of the two normalising points, for the norm ``"pair"``.
        points: indices of the landmarks to include; all if ``None``.
        kwargs: further arguments of torchmetrics' Metric.

    Raises:
        ConfigError: if the norm is unknown, or it is ``"pair"`` and there are no normalising points.
    """

    def __init__(
        self,
        norm: str = "pair",
        pair: tuple[int, int] | None = None,
        points: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(points, **kwargs)
        if norm not in NORMS:
            raise ConfigError(f"the norm is one of {', '.join(NORMS)}, not {norm!r}")
        if norm == "pair" and pair is None:
            raise ConfigError("these landmarks have no normalising points; take norm=diagonal or norm=box")
        self.norm = norm
        self.pair = pair

    def errors(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return the normalised mean error of each face, (B,)."""
        return normalized_mean_error(predictions, truth, photo_sizes, self.norm, self.pair, self.points)

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return the faces' errors, (B,)."""
        return self.errors(predictions, truth, photo_sizes)

    def counted(self, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return which faces have a labelled point and labelled normalising points, (B,)."""
        labelled = self._chosen(truth.isfinite().all(dim=-1)).any(dim=-1)
        return labelled & face_scale(truth, photo_sizes, self.norm, self.pair).isfinite()


class _Threshold(NME):
    """Metric that compares the faces' normalised mean errors with a threshold."""

    def __init__(self, threshold: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (isinstance(threshold, int | float) and 0 < threshold < math.inf):
            raise ConfigError(f"the threshold is a positive ratio such as 0.08, not {threshold!r}")
        self.threshold = threshold


class FailureRate(_Threshold):
    """Share of faces whose normalised mean error is above ``threshold``.

    300-W is reported at 0.08 (C. Sagonas et al., 300 faces in-the-wild challenge: database and
    results, Image and Vision Computing 47, 2016), other data sets at 0.05 or 0.10; state the threshold.
    """

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return 1 for each face that fails, else 0, (B,)."""
        # Written as "not <=", so that NaN is a failure too.
        return (~(self.errors(predictions, truth, photo_sizes) <= self.threshold)).float()


class AUC(_Threshold):
    """Area under the cumulative error curve up to ``threshold``, divided by ``threshold``: from 0 to 1.

    It is exact, without bins: a face with error e adds a step whose integral is threshold - e. The curve is
    defined by C. Sagonas et al., Image and Vision Computing 47, 2016.
    """

    higher_is_better = True

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Return each face's share of the area, (B,) from 0 to 1."""
        return (1 - self.errors(predictions, truth, photo_sizes) / self.threshold).clamp(min=0)


class VarianceRatio(Metric):
    """Variance of the predictions over faces, divided by the truth's variance.

    Both are variances of coordinates as ratios of the photo, summed over coordinates. A network that predicts
    the same face every time has a ratio of 0; a network that follows the faces, about 1. The ratio is
    NaN if the true faces do not vary, such as for a single face.

    Args:
        points: indices of the landmarks to include; all if ``None``.
        kwargs: further arguments of torchmetrics' Metric.
    """

    higher_is_better = True
    full_state_update = False
    predictions: list[Tensor]
    truth: list[Tensor]

    def __init__(self, points: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.points = None if points is None else list(points)
        self.add_state("predictions", [], dist_reduce_fx="cat")
        self.add_state("truth", [], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> None:
        """Add a batch."""
        points = slice(None) if self.points is None else self.points
        self.predictions.append((predictions / photo_sizes[:, None])[:, points])
        self.truth.append((truth / photo_sizes[:, None])[:, points])

    def compute(self) -> Tensor:
        """Return the ratio over the batches so far."""
        predictions, truth = _joined(self.predictions), _joined(self.truth)
        known = truth.isfinite()
        spread = _spread(truth, known)
        if spread < _NO_SPREAD:  # only rounding errors: the true faces are equal
            return torch.full_like(spread, math.nan)
        return _spread(predictions, known) / spread


def _joined(parts: list[Tensor] | Tensor) -> Tensor:
    """Return (N, K, 2) of (B, K, 2) of each batch, or of one tensor once torchmetrics has gathered them."""
    return torch.cat(list(parts)) if isinstance(parts, list) else parts


def _spread(points: Tensor, known: Tensor) -> Tensor:
    """Return the variance over faces, summed over coordinates.

    Args:
        points: (N, K, 2) points.
        known: (N, K, 2) bool, which are labelled; the variance of a coordinate is over these.
    """
    if known.all():
        return points.var(dim=0, correction=0).sum()
    count = known.sum(dim=0).clamp(min=1)
    mean = points.where(known, 0.0).sum(dim=0) / count
    return ((points - mean).where(known, 0.0).square().sum(dim=0) / count).sum()


def validation_metrics(scheme: LandmarkScheme) -> MetricCollection:
    """Return the metrics of each epoch's validation."""
    metrics: dict[str, Metric] = {"mse": CourseMSE(), "mae_px": PixelMAE(), "variance_ratio": VarianceRatio()}
    if scheme.normalizing_points is not None:
        metrics["nme"] = NME("pair", scheme.normalizing_points)
    return MetricCollection(metrics, prefix="val/", compute_groups=False)  # type: ignore[arg-type]


def evaluation_metrics(
    scheme: LandmarkScheme, norm: str, threshold: float, points: Sequence[int] | None = None
) -> MetricCollection:
    """Return the metrics of an evaluation, on all landmarks or some of them.

    Args:
        scheme: landmarks of the model.
        norm: one of :data:`NORMS`.
        threshold: normalised mean error above which a face fails, a ratio.
        points: indices of the landmarks to include; all if ``None``.

    Raises:
        ConfigError: if the norm or the threshold cannot be used.
    """
    scale: dict[str, Any] = {"norm": norm, "pair": scheme.normalizing_points, "points": points}
    metrics: dict[str, Metric] = {
        "mse": CourseMSE(points),
        "mae_px": PixelMAE(points),
        "distance_px": PixelDistance(points),
        "nme": NME(**scale),
        "auc": AUC(threshold, **scale),
        "failure_rate": FailureRate(threshold, **scale),
        "variance_ratio": VarianceRatio(points),
    }
    if scheme.name in SCORED_BY_RMSE:
        metrics["rmse_px"] = PixelRMSE(points)
    # Without compute_groups=False, torchmetrics would merge metrics that are equal on the first batch.
    return MetricCollection(metrics, compute_groups=False)  # type: ignore[arg-type]
