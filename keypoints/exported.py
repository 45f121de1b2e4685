"""Models as ONNX files: what their metadata say, and how they are run. Imports no torch, onnxruntime late.

A file is whole: beside the network it holds the landmark scheme, the crop convention and how pixels become
numbers, so nothing else is needed to use it. ``keypoints export`` writes them.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from keypoints import __version__
from keypoints.checkpoints import about_ours
from keypoints.errors import CheckpointError, ConfigError, one_line
from keypoints.geometry import Crop, FloatArray
from keypoints.landmarks import LandmarkScheme

EXPORT_FORMAT = 1
"""Raised when a file of before could no longer be read."""

INPUT, OUTPUT, CONFIDENCE = "images", "points", "confidence"
"""What the network's input and outputs are called; not every model has the last."""

_ABOUT = "keypoints"
_DIGEST = "keypoints.sha256"
_WORDS = {
    INPUT: "float32 (batch, channels, height, width): pixels of the upright crop / 255 - 0.5, RGB or grey",
    OUTPUT: "float32 (batch, landmarks, 2): x and y as ratios of the crop, (pixel + 0.5) / side",
    CONFIDENCE: "float32 (batch, landmarks): from 0 to 1, where the network gives it",
}


class Located(NamedTuple):
    """What a network makes of B images."""

    points: FloatArray
    """(B, K, 2) ratios of the input."""
    confidence: FloatArray | None
    """(B, K) from 0 to 1, of models that give it."""


def metadata(
    scheme: LandmarkScheme,
    crop: Crop,
    precision: str,
    support: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, str]:
    """The metadata of a file: what it is, in JSON, and a digest by which a change is seen.

    Args:
        scheme, crop, precision: as :class:`ExportedModel` has them.
        support: the training's, of :mod:`keypoints.support`, where the checkpoint has it.
    """
    about = json.dumps(
        {
            "format": EXPORT_FORMAT,
            "version": __version__,
            "precision": precision,
            "scheme": scheme.to_dict(),
            "crop": crop.to_dict(),
            "support": support,
            **_WORDS,
        }
    )
    return {_ABOUT: about, _DIGEST: _digest(about)}


def _digest(about: str) -> str:
    return hashlib.sha256(about.encode()).hexdigest()


class ExportedModel:
    """A network in an ONNX file, run by onnxruntime on the CPU.

    Attributes:
        scheme, crop, support: as of the task that was exported.
        precision: of its weights: ``float32``, ``fp16`` or ``int8``.
        mean_shape: ``None``: the file does not keep it.
        groups: ``None``: it does not say what it was trained on.

    Raises:
        CheckpointError: if the file is missing, damaged, of other origin, was changed, or is of a format
            that this version does not know.
        ConfigError: if onnxruntime is not installed.
    """

    mean_shape: FloatArray | None = None
    groups: int | None = None

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such model")
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "an ONNX file needs onnxruntime, which is not installed: in the checkout, "
                "pip install -c constraints.txt '.[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdigit():  # which torch heeds by itself
            options.intra_op_num_threads = int(threads)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise CheckpointError(f"{path}: truncated, damaged, or no ONNX file at all") from error
        about = _about(path, self._session.get_modelmeta().custom_metadata_map)
        try:
            self.scheme = LandmarkScheme.from_dict(about["scheme"])
            self.crop = Crop.from_dict(about["crop"])
            self.precision = str(about["precision"])
            self.support: Mapping[str, tuple[float, float]] | None = _ranges(about.get("support"))
        except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path}: its metadata cannot be used ({one_line(error)[:200]})") from error
        wanted = {
            INPUT: [self.crop.channels, self.crop.height, self.crop.width],
            OUTPUT: [len(self.scheme), 2],
            CONFIDENCE: [len(self.scheme)],
        }
        ends = {
            end.name: end.shape[1:] for end in (*self._session.get_inputs(), *self._session.get_outputs())
        }
        self._outputs = [OUTPUT, CONFIDENCE] if CONFIDENCE in ends else [OUTPUT]
        if ends != {end: wanted[end] for end in (INPUT, *self._outputs)}:
            raise CheckpointError(f"{path}: its network takes and gives {ends}, its metadata say {wanted}")

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        """(B, C, H, W) images in [-0.5, 0.5] to their points."""
        points, *confidence = self._session.run(self._outputs, {INPUT: images})
        return Located(
            np.asarray(points, np.float64), np.asarray(confidence[0], np.float64) if confidence else None
        )


def _ranges(support: Mapping[str, Any] | None) -> dict[str, tuple[float, float]] | None:
    if support is None:
        return None
    return {name: (float(low), float(high)) for name, (low, high) in support.items()}


def _about(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the file says of itself, if that is as it was written."""
    text = metadata.get(_ABOUT, "")
    try:
        about = json.loads(text)
    except ValueError:
        about = None
    own = about_ours(path, about, "model", "export", EXPORT_FORMAT, "export it again from its checkpoint")
    if metadata.get(_DIGEST) != _digest(text):
        raise CheckpointError(
            f"{path}: its metadata were changed after it was written; export it again from its checkpoint"
        )
    return own
