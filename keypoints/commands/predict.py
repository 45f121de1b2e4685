"""``keypoints predict``: the landmarks of your own photos."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig

from keypoints.commands.verb import PLAIN, Flipping, OfModel, Verb
from keypoints.config.settings import FilePath, OutputFolder, defaults_list, setting
from keypoints.errors import DataError

log = logging.getLogger(__name__)


@dataclass
class Predict(Flipping, OfModel):
    """Settings of ``keypoints predict``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    input: FilePath = setting(
        MISSING, "Photo, folder, pattern (photos/*.jpg), or list (.csv, .xml), which may have boxes."
    )
    output: OutputFolder = setting(MISSING, "Folder for the results; one that holds predictions is refused.")
    root: FilePath | None = setting(None, "Folder that a list's names start from; null: the list's own.")
    report: bool = setting(False, "Write report.html too: each photo with what was measured of its faces.")


def run(cfg: DictConfig) -> None:
    """Predict the landmarks of photos.

    Raises:
        DataError: if a photo has no face, or not all of its own could be predicted.
    """
    from keypoints.inference.predict import predict
    from keypoints.reports.photos import PhotoReport

    done = predict(cfg, PhotoReport)
    log.info("%d faces of %d photos are in %s", done.faces, done.photos, done.folder)
    if done.page is not None:
        log.info("look at it: %s", done.page)
    if done.with_problems:
        raise DataError(
            f"{done.with_problems} of {done.photos} photos have no face, or not all of theirs; see above"
        )


VERB = Verb(
    name="predict",
    what="predict the landmarks of your own photos",
    schema=Predict,
    run=run,
    positional="checkpoint",
    examples=(
        "predict outputs/mine/2026-01-31_12-00-00 input=photos output=found",
        "predict model.onnx 'input=photos/*.jpg' output=found report=true",
        "predict best.ckpt input=boxes.csv root=photos output=found",
    ),
    writes="output/overlays/ (the photos with points), output/predictions.csv and predictions.json; with "
    "report=true output/report.html",
)
