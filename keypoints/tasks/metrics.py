"""Metrics, as torchmetrics classes. Their inputs are pixels of the original photo.

Each is updated with ``predictions`` (B, K, 2), ``truth`` (B, K, 2) and ``photo_sizes`` (B, 2), and
adds up over batches and processes. ``points`` restricts a metric to some of the landmarks: what
errors are divided by is then still that of the whole face.
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
"""What errors can be divided by; see :func:`face_scale`."""

_NO_SPREAD = 1e-12
"""A variance of the true faces below this, a millionth of the photo squared, is none."""


def default_norm(scheme: LandmarkScheme) -> str:
    """``"pair"`` where the scheme has one, as 300-W is scored; else the photo's diagonal."""
    return "diagonal" if scheme.normalizing_points is None else "pair"


def face_scale(truth: Tensor, photo_sizes: Tensor, norm: str, pair: tuple[int, int] | None) -> Tensor:
    """The length that a face's errors are divided by, (B,) pixels.

    ``"pair"``: the distance of two landmarks, for 300-W the outer eye corners (C. Sagonas et al.,
    300 faces in-the-wild challenge, ICCV workshops 2013). ``"box"``: the square root of the area of
    the box round the true points (A. Bulat, G. Tzimiropoulos, How far are we from solving the 2D & 3D
    face alignment problem?, ICCV 2017). ``"diagonal"``: of the photo, where a face has neither.
    """
    if norm == "pair" and pair is not None:
        return (truth[:, pair[0]] - truth[:, pair[1]]).square().sum(dim=-1).sqrt()
    if norm == "box":
        sides = truth.amax(dim=1) - truth.amin(dim=1)
        return (sides[:, 0] * sides[:, 1]).sqrt()
    return photo_sizes.square().sum(dim=-1).sqrt()


def normalized_mean_error(
    predictions: Tensor,
    truth: Tensor,
    photo_sizes: Tensor,
    norm: str,
    pair: tuple[int, int] | None,
    points: Sequence[int] | None = None,
) -> Tensor:
    """The mean distance of a face's points from the truth over the face's scale, (B,)."""
    distances = (predictions - truth).square().sum(dim=-1).sqrt()
    chosen = distances if points is None else distances[:, list(points)]
    return chosen.mean(dim=-1) / face_scale(truth, photo_sizes, norm, pair)


class FaceMetric(Metric, ABC):
    """The mean of :meth:`values` over all that was counted in.

    Args:
        points: the landmarks that count; all if none are named.
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
        """What is averaged, of any shape."""

    def update(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> None:
        """Count a batch in."""
        values = self.values(predictions, truth, photo_sizes)
        self.total += values.sum()
        self.count += values.numel()

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.count

    def _chosen(self, values: Tensor) -> Tensor:
        return values if self.points is None else values[:, self.points]


class CourseMSE(FaceMetric):
    """Mean squared error in the course's units: over x / width and y / height of the photo.

    The mean is over all coordinates of all faces, so x and y count alike and a point has two.
    """

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """Squared errors of all coordinates."""
        return self._chosen(((predictions - truth) / photo_sizes[:, None]).square())


class PixelMAE(FaceMetric):
    """Mean absolute error over all x and y, in pixels of the photo: the course's Kaggle score."""

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:  # noqa: ARG002
        """Absolute errors of all coordinates."""
        return self._chosen((predictions - truth).abs())


class NME(FaceMetric):
    """Normalised mean error: :func:`normalized_mean_error`, averaged over faces; a ratio, not per cent.

    Args:
        norm: one of :data:`NORMS`.
        pair: the two landmarks whose distance is 1, for the norm ``"pair"``.
        points: as :class:`FaceMetric`.

    Raises:
        ConfigError: if there is no such norm, or it needs a pair and there is none.
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
            raise ConfigError("these landmarks have no pair to normalise by; take norm=diagonal or norm=box")
        self.norm = norm
        self.pair = pair

    def errors(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """The normalised mean error of each face, (B,)."""
        return normalized_mean_error(predictions, truth, photo_sizes, self.norm, self.pair, self.points)

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """The faces' errors."""
        return self.errors(predictions, truth, photo_sizes)


class _Threshold(NME):
    """A metric of the faces' errors and a threshold."""

    def __init__(self, threshold: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (isinstance(threshold, int | float) and 0 < threshold < math.inf):
            raise ConfigError(f"the threshold is a positive ratio such as 0.08, not {threshold!r}")
        self.threshold = threshold


class FailureRate(_Threshold):
    """The share of faces whose normalised mean error is above ``threshold``.

    300-W is reported at 0.08 (C. Sagonas et al., 300 faces in-the-wild challenge: database and
    results, Image and Vision Computing 47, 2016), others at 0.05 or 0.10; so say which.
    """

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """1 for a failure, else 0."""
        # Not the other way round: what is no number fails too.
        return (~(self.errors(predictions, truth, photo_sizes) <= self.threshold)).float()


class AUC(_Threshold):
    """The area under the cumulative error curve up to ``threshold``, over ``threshold``: from 0 to 1.

    Exactly, without bins: the integral of a face's step from its error e on is threshold - e. The
    curve is that of C. Sagonas et al., Image and Vision Computing 47, 2016.
    """

    higher_is_better = True

    def values(self, predictions: Tensor, truth: Tensor, photo_sizes: Tensor) -> Tensor:
        """What each face adds."""
        return (1 - self.errors(predictions, truth, photo_sizes) / self.threshold).clamp(min=0)


class VarianceRatio(Metric):
    """How much the predictions vary from face to face, over how much the truth does.

    Variances of each coordinate as a ratio of the photo, summed over coordinates. A network that
    predicts the mean face for everyone has 0; one that follows the faces is near 1. NaN where the true faces
    do not vary, such as a single one.
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
        """Count a batch in."""
        points = slice(None) if self.points is None else self.points
        self.predictions.append((predictions / photo_sizes[:, None])[:, points])
        self.truth.append((truth / photo_sizes[:, None])[:, points])

    def compute(self) -> Tensor:
        """Return the ratio so far."""
        truth = _spread(self.truth)
        if truth < _NO_SPREAD:  # rounding alone: equal faces have no variance to compare with
            return torch.full_like(truth, math.nan)
        return _spread(self.predictions) / truth


def _spread(parts: list[Tensor] | Tensor) -> Tensor:
    """The variance over faces, summed over coordinates; ``parts`` is one tensor after a reduction."""
    points = torch.cat(list(parts)) if isinstance(parts, list) else parts
    return points.var(dim=0, correction=0).sum()


def validation_metrics(scheme: LandmarkScheme) -> MetricCollection:
    """What is watched while training."""
    metrics: dict[str, Metric] = {"mse": CourseMSE(), "mae_px": PixelMAE(), "variance_ratio": VarianceRatio()}
    if scheme.normalizing_points is not None:
        metrics["nme"] = NME("pair", scheme.normalizing_points)
    return MetricCollection(metrics, prefix="val/", compute_groups=False)  # type: ignore[arg-type]


def evaluation_metrics(
    scheme: LandmarkScheme, norm: str, threshold: float, points: Sequence[int] | None = None
) -> MetricCollection:
    """What a model is judged by, on all landmarks or some of them.

    Raises:
        ConfigError: if the norm or the threshold cannot be used.
    """
    scale: dict[str, Any] = {"norm": norm, "pair": scheme.normalizing_points, "points": points}
    return MetricCollection(
        {
            "mse": CourseMSE(points),
            "mae_px": PixelMAE(points),
            "nme": NME(**scale),
            "auc": AUC(threshold, **scale),
            "failure_rate": FailureRate(threshold, **scale),
            "variance_ratio": VarianceRatio(points),
        },
        compute_groups=False,  # metrics that agree on the first batch would share their sums for good
    )
