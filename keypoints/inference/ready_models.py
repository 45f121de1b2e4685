"""Ready models: trained models that are known by a name. Imports no torch."""

import hashlib
import logging
import os
from pathlib import Path
from typing import NamedTuple

from keypoints.data.dataset_folders import HOMES
from keypoints.errors import CheckpointError, ConfigError
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.run_folder import RunFolder

log = logging.getLogger(__name__)

PLACE = "KEYPOINTS_MODELS"
"""Environment variable: folder, or http(s) address, of the ready models' files, ``<name>.onnx``."""

_CHECKOUT = Path(__file__).parents[2]
_MOST_BYTES = 100_000_000


class ReadyModel(NamedTuple):
    """Description of a ready model."""

    file: str
    """Path in a checkout."""
    sha256: str
    """SHA-256 sum of the file."""
    terms: str
    """Terms of use of its training data, as a sentence."""


READY = {
    "ibug300w": ReadyModel(
        "results/ibug300w_best/model.onnx",
        "7d51c3a09d32eac0d7dcf2fe436ec361b3941fc729ac9e07ad66996e7ee8fdf8",
        HOMES["ibug300w"].terms,
    )
}
"""Ready models by their names."""


def find_model(given: str | None, which: str = "best") -> tuple[Path, RunFolder | None]:
    """Return a model's file, and its run if the file lies in a run's folder.

    Args:
        given: checkpoint, run's folder or ONNX file; or the name of a ready model, unless a file or folder of
            this name exists.
        which: checkpoint to take from a run's folder, ``"best"`` or ``"last"``.

    Raises:
        ConfigError: if nothing is given, or ``which`` is another word.
        CheckpointError: if there is no such file, or a ready model is not at hand or another file.
    """
    if given in READY and not Path(given).exists():
        return ready_model(given), None
    try:
        return find_checkpoint(given, which)
    except CheckpointError as error:
        if given not in READY:
            raise
        raise CheckpointError(
            f"{error}; the ready model of this name is hidden by this folder: rename it, or name the "
            "model's file"
        ) from error


def ready_model(name: str, source: str | Path | None = None) -> Path:
    """Return the file of a ready model, and log its conditions of use.

    Args:
        name: one of :data:`READY`.
        source: file, or http(s) address, of the model, or the folder of ``<name>.onnx``. If ``None``, the
            folder or address of the environment variable ``KEYPOINTS_MODELS``; without it, the file of the
            checkout. A downloaded file is kept in the user's cache folder.

    Raises:
        ConfigError: if there is no ready model of this name.
        CheckpointError: if the file is not at hand, or is another one by its checksum.
        DataError: if it cannot be downloaded.
    """
    if name not in READY:
        raise ConfigError(f"there is no ready model {name!r}; there is {', '.join(READY)}")
    model = READY[name]
    log.warning("%s: %s, of this model too", name, model.terms)
    place = os.environ.get(PLACE)
    if source is None and place:
        source = f"{place.rstrip('/')}/{name}.onnx"
    if str(source).startswith(("http://", "https://")):
        return _downloaded(name, model, str(source))
    if source is None:
        path = _CHECKOUT / model.file
    else:
        path = Path(source)
        path = path / f"{name}.onnx" if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; the model {name} lies in a checkout of keypoints ({model.file}); "
            f"elsewhere set {PLACE} to the folder, or the address, of {name}.onnx"
        )
    if (found := _sha256(path)) != model.sha256:
        raise CheckpointError(
            f"{path}: is not the model {name} of this version: its SHA-256 is {found}, not {model.sha256}; "
            "if you trust it, name the file instead"
        )
    return path


def _downloaded(name: str, model: ReadyModel, url: str) -> Path:
    """Return the file in the user's cache folder, downloaded if it is not there or damaged."""
    from keypoints.datatools.fetch import fetch

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keypoints"
    path = cache / f"{name}-{model.sha256[:8]}.onnx"
    if not path.is_file() or _sha256(path) != model.sha256:
        cache.mkdir(parents=True, exist_ok=True)
        fetch([url], path, most_bytes=_MOST_BYTES, sha256=model.sha256)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
