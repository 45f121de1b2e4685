"""Reaching TensorBoard from a callback."""

import io

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from keypoints.data.dataset import Batch, pixels_of
from keypoints.drawing import contact_sheet, draw_face
from keypoints.geometry import ByteArray
from keypoints.landmarks import LandmarkScheme


def writers(trainer: pl.Trainer) -> list[SummaryWriter]:
    """The writers of the TensorBoard loggers there are, on the first process only."""
    if not trainer.is_global_zero:
        return []
    found = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [writer for writer in found if isinstance(writer, SummaryWriter)]  # or a dummy


def is_due(trainer: pl.Trainer, every: int) -> bool:
    """Whether this epoch is one of every so many, or the last."""
    epoch = trainer.current_epoch + 1
    return epoch % every == 0 or epoch == trainer.max_epochs


def add_picture(
    trainer: pl.Trainer, tag: str, picture: ByteArray, step: int, *, photos: bool = False
) -> None:
    """Log an (H, W, 3) RGB picture, packed more quickly than TensorBoard would, since the training waits.

    Args:
        photos: it shows photos, which JPEG packs in a fraction of the time; else each pixel is kept.
    """
    if not (found := writers(trainer)):
        return
    packed = io.BytesIO()
    if photos:
        Image.fromarray(picture).save(packed, "jpeg", quality=90, subsampling=0)
    else:
        grey = (picture == picture[..., :1]).all()
        Image.fromarray(picture[..., 0] if grey else picture).save(packed, "png", compress_level=1)
    height, width, _ = picture.shape
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=packed.getvalue())
    for writer in found:
        file = writer._get_file_writer()  # type: ignore[no-untyped-call]
        file.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def picture_of(
    batch: Batch, scheme: LandmarkScheme, predictions: np.ndarray | None = None, faces: int = 16
) -> ByteArray:
    """The batch's first images as the network sees them, with their points.

    Args:
        predictions: (B, K, 2) ratios of the input.
        faces: at most this many are drawn.
    """
    targets = batch.targets.cpu().numpy()
    drawn = [
        draw_face(
            image,
            truth=targets[place],
            prediction=None if predictions is None else predictions[place],
            skeleton=scheme.skeleton,
        )
        for place, image in enumerate(pixels_of(batch, faces))
    ]
    return contact_sheet(drawn)
