"""Access to TensorBoard from a callback."""

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from keypoints.data.dataset import Batch, pixels_of
from keypoints.drawing import contact_sheet, draw_face
from keypoints.geometry import ByteArray
from keypoints.landmarks import LandmarkScheme


def writers(trainer: pl.Trainer) -> list[SummaryWriter]:
    """Return the writers of the trainer's TensorBoard loggers; none on processes other than the first."""
    if not trainer.is_global_zero:
        return []
    found = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [writer for writer in found if isinstance(writer, SummaryWriter)]  # Lightning may give a dummy


def is_due(trainer: pl.Trainer, every: int) -> bool:
    """Return whether the current epoch is a multiple of ``every``, counted from 1, or the last epoch."""
    epoch = trainer.current_epoch + 1
    return epoch % every == 0 or epoch == trainer.max_epochs


def add_picture(trainer: pl.Trainer, tag: str, picture: ByteArray, step: int) -> None:
    """Log a picture in all TensorBoard loggers of a trainer.

    Args:
        trainer: the trainer.
        tag: name of the picture in TensorBoard.
        picture: (H, W, 3) RGB.
        step: number of optimizer steps so far.
    """
    for writer in writers(trainer):
        writer.add_image(tag, picture, step, dataformats="HWC")


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
