"""Checkpoints in the folders of runs. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from keypoints.errors import CheckpointError, ConfigError, some_of
from keypoints.runs.run_folder import RunFolder

_NAMED = 3
"""Checkpoints that a message names."""


def other_checkpoints(run: RunFolder) -> list[Path]:
    """Return the checkpoints of another name or place than ``best.ckpt`` and ``last.ckpt``.

    They lie in the run's folder, or where its configuration lets a callback write.

    Raises:
        DataError: if the configuration is there and damaged.
    """
    found = list(run.path.rglob("[!.]*.ckpt"))
    for callback in (run.setting("callbacks") or {}).values():
        if isinstance(callback, Mapping | DictConfig) and (place := callback.get("dirpath")):
            found += Path(str(place)).glob("[!.]*.ckpt")
    ours = {path.resolve() for path in (run.best_checkpoint, run.last_checkpoint)}
    others = {path.resolve(): path for path in found if path.resolve() not in ours}
    return sorted(others.values())


def find_checkpoint(given: str | None, which: str) -> tuple[Path, RunFolder | None]:
    """Return the checkpoint's file, and the run that it is of, if it lies in a run's folder.

    Args:
        given: a file, or a run's folder.
        which: ``"best"`` or ``"last"``, of a run's folder.

    Raises:
        ConfigError: if nothing is given, or ``which`` is neither.
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
    """Return what to name of a folder that lacks the checkpoint that was asked for."""
    if others := other_checkpoints(run):
        return f"name one of the checkpoints that it wrote: {some_of(list(map(str, others)), _NAMED)}"
    if not run.status_file.is_file():
        return "is it a run's folder?"
    if run.last_checkpoint.is_file():
        return f"it keeps its last epoch alone: name {run.last_checkpoint}"
    if run.best_checkpoint.is_file():
        return f"it keeps its best epoch alone: name {run.best_checkpoint}"
    return "the run was told to keep none, or ended before it wrote one"
