"""Confidences and errors of the validation faces, collected over batches and processes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from keypoints.confidence import ConfidenceCalibration, calibrate
from keypoints.landmarks import LandmarkScheme
from keypoints.tasks.metrics import default_norm, normalized_mean_error


class ConfidenceErrors(Metric):
    """Confidence and normalised error of each face, for :func:`keypoints.confidence.calibrate`.

    Args:
        scheme: landmarks of the faces.
        kwargs: further arguments of torchmetrics' Metric.
    """

    full_state_update = False
    confidences: list[Tensor]
    errors: list[Tensor]

    def __init__(self, scheme: LandmarkScheme, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._norm = default_norm(scheme)
        self._pair = scheme.normalizing_points
        self.add_state("confidences", [], dist_reduce_fx="cat")
        self.add_state("errors", [], dist_reduce_fx="cat")

    def update(self, confidence: Tensor, points: Tensor, truth: Tensor, photo_sizes: Tensor) -> None:
        """Add a batch.

        Args:
            confidence: (B, K) from 0 to 1.
            points: (B, K, 2) pixels of the photos, predicted.
            truth: (B, K, 2) pixels of the photos; NaN without a label.
            photo_sizes: (B, 2) widths and heights in pixels.
        """
        self.confidences.append(confidence.mean(dim=1))
        self.errors.append(normalized_mean_error(points, truth, photo_sizes, self._norm, self._pair))

    def compute(self) -> Tensor:
        """Return confidence and error of each face, (N, 2)."""
        return torch.stack([dim_zero_cat(self.confidences), dim_zero_cat(self.errors)], dim=1)

    def calibration(self) -> ConfidenceCalibration | None:
        """Return the calibration by all faces; ``None`` without confidences or with too few faces."""
        if not self.update_called:
            return None
        confidence, errors = self.compute().to("cpu", torch.float32).numpy().astype(np.float64).T
        return calibrate(confidence, errors, self._norm)
