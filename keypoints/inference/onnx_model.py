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

from keypoints._version import __version__
from keypoints.data.provenance import TrainingFaces
from keypoints.errors import CheckpointError, ConfigError, one_line
from keypoints.file_kinds import ONNX, TORCH, describe_file, mistaken
from keypoints.geometry import Crop, FloatArray
from keypoints.inference.onnx_graph import check_network
from keypoints.landmarks import LandmarkScheme
from keypoints.structured_files import COUNT, TEXT, TEXTS, VALUES, check_kinds, is_pair, or_none
from keypoints.tasks.checkpoint import about_ours

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
    trained_on: TrainingFaces | None = None,
    network: bytes | None = None,
) -> dict[str, str]:
    """Return the metadata of a file: what it is, in JSON, and a digest by which a change is seen.

    Args:
        scheme, crop, precision: as :class:`ExportedModel` has them.
        support: the training's, of :mod:`keypoints.data.statistics`, where the checkpoint has it.
        trained_on: what the checkpoint keeps of the training faces, where it does.
        network: what the file holds before its metadata, byte for byte.
    """
    about = json.dumps(
        {
            "format": EXPORT_FORMAT,
            "version": __version__,
            "precision": precision,
            "scheme": scheme.to_dict(),
            "crop": crop.to_dict(),
            "support": support,
            "trained_on": None if trained_on is None else trained_on._asdict(),
            "network": None if network is None else {"bytes": len(network), "sha256": _sha256(network)},
            **_WORDS,
        }
    )
    return {_ABOUT: about, _DIGEST: _digest(about)}


def _digest(about: str) -> str:
    return _sha256(about.encode())


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


class ExportedModel:
    """A network in an ONNX file, run by onnxruntime on the CPU.

    Attributes:
        scheme, crop, support: as of the task that was exported.
        precision: of its weights: ``float32``, ``fp16`` or ``int8``.
        trained_on: what the file keeps of the training faces; ``None`` in files that do not.
        at_once: how many faces may go through the network together.
        runtime: what runs it, for reports.
        mean_shape: the mean of those faces, (K, 2) ratios of the crop, or ``None``.

    Raises:
        CheckpointError: if the file is missing, damaged, of other origin, was changed, or is of a format
            that this version does not know.
        ConfigError: if onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such model")
        self._path = path
        if (kind := describe_file(path)) not in (None, ONNX):
            way_out = "; `keypoints export` makes an ONNX file of a checkpoint" if kind == TORCH else ""
            raise CheckpointError(f"{path}: {mistaken(path, 'ONNX file', ONNX)}{way_out}")
        contents = path.read_bytes()
        try:
            import onnxruntime

            self.at_once = check_network(path, contents)
        except ImportError as error:
            raise ConfigError(
                f"an ONNX file needs {error.name}, which is not installed: in the checkout, "
                "pip install -c constraints.txt -e '.[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdigit():  # which torch heeds by itself
            options.intra_op_num_threads = int(threads)
        try:
            self._session = onnxruntime.InferenceSession(
                contents, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise CheckpointError(f"{path}: {mistaken(path, 'ONNX file', ONNX)}") from error
        about = _about(path, self._session.get_modelmeta().custom_metadata_map)
        try:
            _check_network_is(about.get("network"), contents)
            check_kinds(
                about, {"precision": TEXT, "scheme": VALUES, "crop": VALUES, "trained_on": or_none(VALUES)}
            )
            self.scheme = LandmarkScheme.from_dict(about["scheme"])
            self.crop = Crop.from_dict(about["crop"])
            self.precision = str(about["precision"])
            self.runtime = f"onnxruntime on cpu, {self.precision}"
            self.support: Mapping[str, tuple[float, float]] | None = _ranges(about.get("support"))
            self.trained_on = _training_faces(about.get("trained_on"), len(self.scheme))
            mean = None if self.trained_on is None else np.array(self.trained_on.mean, np.float64)
            self.mean_shape: FloatArray | None = mean
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
        try:
            points, *confidence = self._session.run(self._outputs, {INPUT: images})
        except Exception as error:
            raise CheckpointError(f"{self._path}: its network fails ({one_line(error)[:200]})") from error
        return Located(
            np.asarray(points, np.float64), np.asarray(confidence[0], np.float64) if confidence else None
        )


def _ranges(support: Mapping[str, Any] | None) -> dict[str, tuple[float, float]] | None:
    if support is None:
        return None
    if not VALUES.fits(support) or not all(map(is_pair, support.values())):
        raise ValueError("its support are no ranges by name")
    return {name: (float(low), float(high)) for name, (low, high) in support.items()}


def _training_faces(kept: Mapping[str, Any] | None, landmarks: int) -> TrainingFaces | None:
    """Return what a file says of the training faces, if that is what it should be.

    Raises:
        ValueError, TypeError, KeyError: if it is not.
    """
    if kept is None:
        return None
    faces = TrainingFaces(**kept)
    check_kinds(faces._asdict(), {"groups": TEXTS, "validated": TEXTS, "data": or_none(TEXT)})
    if not isinstance(faces.mean, list) or len(faces.mean) != landmarks or not all(map(is_pair, faces.mean)):
        raise ValueError("the mean of its training faces is not one of its landmarks")
    return faces


def _check_network_is(written: Any, contents: bytes) -> None:
    """See that the network is the one that was written; older files do not say it.

    Args:
        written: what the metadata say of the network.
        contents: the file's bytes.

    Raises:
        ValueError: if it is not.
    """
    if written is None:
        return
    check_kinds({"network": written}, {"network": VALUES})
    check_kinds(written, {"bytes": COUNT, "sha256": TEXT}, needed=("bytes", "sha256"))
    if _sha256(contents[: written["bytes"]]) != written["sha256"]:
        raise ValueError("its network was changed after it was written, or the file is damaged")


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
