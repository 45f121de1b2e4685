"""Checkpoints in the folders of runs. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from keypoints.errors import CheckpointError, ConfigError, some_of
from keypoints.runs.run_folder import RunFolder

_NAMED = 3
"""Largest number of checkpoints that a message names."""


def other_checkpoints(run: RunFolder) -> list[Path]:
    """Return a run's checkpoints other than ``best.ckpt`` and ``last.ckpt``, sorted.

    They lie in the run's folder, or in a folder that its configuration gives to a callback.

    Raises:
        DataError: if the configuration exists and is damaged.
    """
    found = list(run.path.rglob("[!.]*.ckpt"))
    for callback in (run.setting("callbacks") or {}).values():
        if isinstance(callback, Mapping | DictConfig) and (place := callback.get("dirpath")):
            found += Path(str(place)).glob("[!.]*.ckpt")
    ours = {path.resolve() for path in (run.best_checkpoint, run.last_checkpoint)}
    others = {path.resolve(): path for path in found if path.resolve() not in ours}
    return sorted(others.values())


def find_checkpoint(given: str | None, which: str) -> tuple[Path, RunFolder | None]:
    """Return a checkpoint's file, and its run if the file lies in a run's folder.

    Args:
        given: checkpoint file or run's folder, as the user gives it.
        which: checkpoint to take from a run's folder, ``"best"`` or ``"last"``.

    Raises:
        ConfigError: if nothing is given, or ``which`` is another word.
        CheckpointError: if there is no such file.
    """
    if given is None:
        raise ConfigError("say which checkpoint: checkpoint=<file or run's folder>")
    path = Path(given)
    if not path.is_dir():
        run = RunFolder(path.resolve().parent.parent)
        return path, run if run.checkpoints == path.resolve().parent and run.config.is_file() else None
    run = RunFolder(path)
    if which not in ("best", "last"):
        raise ConfigError(f"which is best or last, not {which!r}")
    found = run.best_checkpoint if which == "best" else run.last_checkpoint
    if not found.is_file():
        raise CheckpointError(f"{path}: holds no {found.relative_to(path)}; {_instead(run)}")
    return found, run


def _instead(run: RunFolder) -> str:
    """Return what to do about a folder that lacks the requested checkpoint."""
    if others := other_checkpoints(run):
        return f"name one of the checkpoints that it wrote: {some_of(list(map(str, others)), _NAMED)}"
    if not run.status_file.is_file():
        return "is it a run's folder?"
    if run.last_checkpoint.is_file():
        return f"it keeps only its last epoch: name {run.last_checkpoint}"
    if run.best_checkpoint.is_file():
        return f"it keeps only its best epoch: name {run.best_checkpoint}"
    return "the run's settings keep no checkpoint, or it ended before it wrote one"
