"""Models as ONNX files: their metadata, and how they are run. Imports no torch, and onnxruntime late.

A file is self-contained: besides the network it stores the landmark scheme, the crop convention and how
pixels are converted to numbers. ``keypoints export`` writes such files.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from keypoints._version import __version__
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.data.provenance import TrainingFaces
from keypoints.errors import CheckpointError, ConfigError, one_line
from keypoints.file_kinds import ONNX, TORCH, describe_file, mistaken
from keypoints.geometry import FloatArray
from keypoints.inference.onnx_graph import check_network
from keypoints.landmarks import LandmarkScheme
from keypoints.structured_files import COUNT, TEXT, TEXTS, VALUES, check_kinds, is_pair, or_none
from keypoints.tasks.checkpoint import about_ours
from keypoints.threads import threads_of_process

EXPORT_FORMAT = 1
"""Version of the format. Incremented when older files can no longer be read."""

INPUT, OUTPUT, CONFIDENCE = "images", "points", "confidence"
"""Names of the network's input and outputs; not every model has the confidence."""

_CPU = "CPUExecutionProvider"
_ABOUT = "keypoints"
_DIGEST = "keypoints.sha256"
_DESCRIPTIONS = {
    INPUT: "float32 (batch, channels, height, width): pixels of the upright crop / 255 - 0.5, RGB or grey",
    OUTPUT: "float32 (batch, landmarks, 2): x and y as ratios of the crop, (pixel + 0.5) / side",
    CONFIDENCE: "float32 (batch, landmarks): from 0 to 1, where the network gives it",
}


class Located(NamedTuple):
    """Predictions of a network for B images."""

    points: FloatArray
    """(B, K, 2) ratios of the input."""
    confidence: FloatArray | None
    """(B, K) from 0 to 1; ``None`` if the model gives none."""
    spread: FloatArray | None = None
    """(B, K, 2) standard deviation of an ensemble's models, ratios of the input; ``None`` for one model."""


def metadata(
    scheme: LandmarkScheme,
    crop: Crop,
    precision: str,
    support: Mapping[str, tuple[float, float]] | None = None,
    trained_on: TrainingFaces | None = None,
    network: bytes | None = None,
    confidence: ConfidenceCalibration | None = None,
) -> dict[str, str]:
    """Return the metadata of a file: its description in JSON, and a digest that reveals changes.

    Args:
        scheme: landmarks that the model predicts.
        crop: crop convention, from photo to network input.
        precision: see :class:`ExportedModel`.
        support: training-data statistics, if the checkpoint stores them.
        trained_on: provenance of the training faces, if the checkpoint stores it.
        network: bytes of the file before its metadata, for a digest of the network.
        confidence: calibration of the confidences, if the checkpoint stores it.
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
            "confidence_calibration": None if confidence is None else confidence.to_dict(),
            **_DESCRIPTIONS,
        }
    )
    return {_ABOUT: about, _DIGEST: _digest(about)}


def _digest(about: str) -> str:
    return _sha256(about.encode())


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


class ExportedModel:
    """A network in an ONNX file, run by onnxruntime.

    Attributes:
        scheme: landmarks that the model predicts.
        crop: crop convention, from photo to network input.
        support: training-data statistics; ``None`` if the file does not store them.
        precision: precision of the weights: ``float32``, ``fp16`` or ``int8``.
        trained_on: provenance of the training faces; ``None`` if the file does not store it.
        versions: versions of the libraries of the training; empty, because the file does not store them.
        confidence_calibration: errors of the validation faces by their confidence; ``None`` if the file does
            not store them.
        at_once: largest number of faces in one batch.
        runtime: name of the runtime and device, for reports.
        mean_shape: mean of the training faces, (K, 2) ratios of the crop; ``None`` without ``trained_on``.

    Args:
        path: the file.
        provider: what runs it: a provider that onnxruntime lists here, such as ``"cuda"`` or
            ``"CUDAExecutionProvider"``; the CPU if ``None``.
        threads: number of threads of the network on the CPU; ``None`` for ``OMP_NUM_THREADS``, or one per
            allowed core.

    Raises:
        CheckpointError: if the file is missing, damaged, changed, not an export of keypoints, or in a format
            that this version does not know.
        ConfigError: if onnxruntime is not installed, or has no such provider.
    """

    versions: Mapping[str, str] = MappingProxyType({})

    def __init__(self, path: Path, provider: str | None = None, threads: int | None = None) -> None:
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
        runs_on = _provider(provider, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        # Sums of 8-bit products overflow on x86 processors without VNNI; of two ways, this one is exact.
        options.add_session_config_entry("session.x64quantprecision", "1")
        options.intra_op_num_threads = threads or threads_of_process()
        # A thread that waits actively takes a busy core from the one for which it waits.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                contents, options, providers=list(dict.fromkeys([runs_on, _CPU]))
            )
        except Exception as error:
            raise CheckpointError(f"{path}: {mistaken(path, 'ONNX file', ONNX)}") from error
        if self._session.get_providers()[0] != runs_on:
            raise ConfigError(f"provider={provider}: onnxruntime lists {runs_on}, but it does not work here")
        about = _about(path, self._session.get_modelmeta().custom_metadata_map)
        try:
            _check_unchanged(about.get("network"), contents)
            check_kinds(
                about,
                {
                    "precision": TEXT,
                    "scheme": VALUES,
                    "crop": VALUES,
                    "trained_on": or_none(VALUES),
                    "confidence_calibration": or_none(VALUES),
                },
            )
            self.scheme = LandmarkScheme.from_dict(about["scheme"])
            self.crop = Crop.from_dict(about["crop"])
            self.precision = str(about["precision"])
            self.runtime = f"onnxruntime on {_short(runs_on)}, {self.precision}"
            self.support: Mapping[str, tuple[float, float]] | None = _ranges(about.get("support"))
            self.trained_on = _training_faces(about.get("trained_on"), len(self.scheme))
            calibration = about.get("confidence_calibration")
            self.confidence_calibration = (
                None if calibration is None else ConfidenceCalibration.from_dict(calibration)
            )
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
            raise CheckpointError(
                f"{path}: its network has inputs and outputs {ends}, but its metadata say {wanted}"
            )

    def __call__(self, images: npt.NDArray[np.float32]) -> Located:
        """Predict the points of (B, C, H, W) images in [-0.5, 0.5]."""
        try:
            points, *confidence = self._session.run(self._outputs, {INPUT: images})
        except Exception as error:
            raise CheckpointError(f"{self._path}: its network fails ({one_line(error)[:200]})") from error
        return Located(
            np.asarray(points, np.float64), np.asarray(confidence[0], np.float64) if confidence else None
        )


def _provider(wanted: str | None, known: Sequence[str]) -> str:
    """Return the full name of a provider of onnxruntime.

    Raises:
        ConfigError: if onnxruntime does not list it here.
    """
    if wanted is None:
        return _CPU
    for name in known:
        if wanted.lower() in (name.lower(), _short(name)):
            return name
    raise ConfigError(
        f"provider={wanted}: onnxruntime has {', '.join(map(_short, known))} here; others come with other "
        "packages of it, such as onnxruntime-gpu"
    )


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider").lower()


def _ranges(support: Mapping[str, Any] | None) -> dict[str, tuple[float, float]] | None:
    if support is None:
        return None
    if not VALUES.fits(support) or not all(map(is_pair, support.values())):
        raise ValueError("its support is not a set of named ranges")
    return {name: (float(low), float(high)) for name, (low, high) in support.items()}


def _training_faces(kept: Mapping[str, Any] | None, landmarks: int) -> TrainingFaces | None:
    """Return the provenance of the training faces that a file stores, if it is valid.

    Raises:
        ValueError, TypeError, KeyError: if it is not valid.
    """
    if kept is None:
        return None
    faces = TrainingFaces(**kept)
    check_kinds(faces._asdict(), {"groups": TEXTS, "validated": TEXTS, "data": or_none(TEXT)})
    if not isinstance(faces.mean, list) or len(faces.mean) != landmarks or not all(map(is_pair, faces.mean)):
        raise ValueError("the mean of its training faces is not a pair of numbers for each landmark")
    return faces


def _check_unchanged(written: Any, contents: bytes) -> None:
    """Check that the network was not changed; older files store no digest of it.

    Args:
        written: entry of the metadata about the network: its size in bytes and its SHA-256.
        contents: bytes of the file.

    Raises:
        ValueError: if the network was changed.
    """
    if written is None:
        return
    check_kinds({"network": written}, {"network": VALUES})
    check_kinds(written, {"bytes": COUNT, "sha256": TEXT}, needed=("bytes", "sha256"))
    if _sha256(contents[: written["bytes"]]) != written["sha256"]:
        raise ValueError("its network was changed after it was written, or the file is damaged")


def _about(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the description in a file's metadata, if it was not changed."""
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
