"""``keypoints export``: export of a checkpoint as one ONNX file, which needs no torch."""

import logging
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.verb import PLAIN, Flipping, OfModel, Verb
from keypoints.config.settings import FilePath, OutputFile, defaults_list, setting
from keypoints.formatting import counted

log = logging.getLogger(__name__)


@dataclass
class Export(Flipping, OfModel):
    """Settings of ``keypoints export``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    output: OutputFile = setting("model.onnx", "File to write.")
    precision: str = setting(
        "float32",
        "Precision of the weights. fp16 halves the file; int8 makes it a third or less, and predicts faster. "
        "Both cost accuracy, which is measured.",
        choices=("float32", "fp16", "int8"),
    )
    calibration: FilePath | None = setting(
        None, "Photos (folder, pattern or list) to calibrate int8 and to compare on; null: made-up faces."
    )


def run(cfg: DictConfig) -> None:
    """Write a checkpoint as an ONNX file, and log how far its predictions differ from the checkpoint's."""
    from keypoints.inference.onnx_export import export

    done = export(cfg)
    log.info("%s: %s, %.2f MB, checked against the checkpoint", done.path, done.precision, done.megabytes)
    log.info(
        "on %s its points differ from the checkpoint's by %.2g px of the %d × %d input on average, "
        "%.2g px at most",
        counted(done.crops, "crop"),
        done.mean_shift,
        *done.input_size,
        done.largest_shift,
    )
    log.info("its model card: %s", done.card)
    if done.nme is not None:
        log.info(
            "against these crops' labels, NME is %.3g %% with the checkpoint and %.3g %% with this file",
            *(100 * nme for nme in done.nme),
        )


VERB = Verb(
    name="export",
    what="write a checkpoint as one ONNX file",
    doing="exporting",
    schema=Export,
    run=run,
    positional="checkpoint",
    examples=(
        "export outputs/nose_tip/2026-01-31_12-00-00",
        "export best.ckpt output=face.onnx flip_test=true",
        "export best.ckpt precision=int8 calibration=photos output=small.onnx",
    ),
    writes="output, once its predictions agree with the checkpoint's, and a model card beside it (.card.md)",
)
