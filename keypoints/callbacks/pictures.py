"""Pictures of faces for loggers, and when they are due."""

import numpy as np
import pytorch_lightning as pl

from keypoints.data.dataset import Batch, pixels_of
from keypoints.drawing import contact_sheet, draw_face
from keypoints.geometry import ByteArray
from keypoints.landmarks import LandmarkScheme


def is_due(trainer: pl.Trainer, every: int) -> bool:
    """Return whether the current epoch is a multiple of ``every``, counted from 1, or the last epoch."""
    epoch = trainer.current_epoch + 1
    return epoch % every == 0 or epoch == trainer.max_epochs


def picture_of(
    batch: Batch, scheme: LandmarkScheme, predictions: np.ndarray | None = None, faces: int = 16
) -> ByteArray:
    """Draw the first inputs of a batch with their points, as one contact sheet.

    Args:
        batch: the faces, B; its targets are drawn in green, hidden ones as rings.
        scheme: landmarks of the targets, whose skeleton is drawn.
        predictions: (B, K, 2) ratios of the input, drawn in red; ``None`` draws none.
        faces: largest number of inputs to draw.

    Returns:
        (H, W, 3) RGB picture.
    """
    targets, hidden = batch.targets.cpu().numpy(), batch.hidden_points
    drawn = [
        draw_face(
            image,
            truth=targets[place],
            prediction=None if predictions is None else predictions[place],
            hidden=None if hidden is None else hidden[place],
            skeleton=scheme.skeleton,
        )
        for place, image in enumerate(pixels_of(batch, faces))
    ]
    return contact_sheet(drawn)
