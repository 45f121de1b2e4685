"""Choice of the faces to evaluate on: data and split of the command, or else of the run."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from keypoints.components import find_class, package_names, trusting
from keypoints.config.compose import option
from keypoints.data.dataset_folders import dataset_in
from keypoints.data.face import Face
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.instantiate import make_data
from keypoints.runs.run_folder import RunFolder


def chosen_data(
    cfg: DictConfig,
    run: RunFolder | None,
    what: str,
    source: str | None = None,
    folder: str | None = None,
) -> FaceDataModule:
    """Return the datamodule that a command names, or else the run's, or else that of the model's data set.

    ``data.<key>=<value>`` without a choice of ``data`` changes the run's settings. With ``data.test``, it
    implies ``data=labelled`` if there is no run, or the run's data are of another kind.

    Args:
        cfg: configuration of ``keypoints evaluate``.
        run: run whose data are used if the command names none.
        what: name of the evaluated model or table, for messages.
        source: crop of labelled photos, ``"box"`` or ``"image"``; ``None`` if their settings decide.
        folder: name of the folder of the data set on which the model was trained; ``None`` if not known.

    Raises:
        ConfigError: if no data are named, or a value cannot be used.
        DataError: if the data cannot be read.
    """
    given = cfg.get("data")
    if given is not None and "_target_" in given:
        return make_data(_with_data(cfg, {}, given, source))
    changes = {} if given is None else dict(given)
    settings = None if run is None else run.setting("data")
    own = isinstance(settings, DictConfig) and ("train" in settings or "test" not in changes)
    if changes.get("test") is not None and not own:
        return make_data(_with_data(cfg, option("data", "labelled"), changes, source))
    if settings is None and run is not None:
        raise DataError(f"{run.config}: names no data; say on which data to evaluate: data=imm")
    if settings is None and (name := dataset_in(folder)) is not None:
        return make_data(_with_data(cfg, _with_split(option("data", name), cfg.split), changes, source))
    if settings is None:
        raise ConfigError(f"{what}: is not in a run's folder, so say on which data to evaluate: data=imm")
    plain = OmegaConf.to_container(settings, resolve=True) if isinstance(settings, DictConfig) else None
    if not isinstance(plain, dict):
        raise ConfigError(
            f"{run.config if run else ''}: its data are no component; say on which data to evaluate: data=imm"
        )
    recorded = _with_data(cfg, plain, changes, source)
    try:
        with trusting(*package_names(cfg.trust)):
            return make_data(OmegaConf.create({"data": OmegaConf.to_container(recorded.data)}), recorded=True)
    except ConfigError as error:
        raise ConfigError(f"{error} (as {'' if run is None else run.config} says)") from error


def _with_split(settings: dict[str, Any], split: str | None) -> dict[str, Any]:
    """Return an option's settings, changed so that the data have the split."""
    found = find_class(str(settings["_target_"]), (FaceDataModule,))
    return {**settings, **found.settings_with(split)}


def _with_data(cfg: DictConfig, settings: Any, changes: Mapping[str, Any], source: str | None) -> DictConfig:
    """Return the configuration with these data settings, overridden by ``changes``, root and ``source``."""
    changed: Any = OmegaConf.merge(cfg, {})
    OmegaConf.set_struct(changed, value=False)
    changed.data = OmegaConf.merge(settings, changes)
    if cfg.root is not None:
        changed.data.root = cfg.root
    if source is not None and "source" in changed.data:
        changed.data.source = source
    return changed  # type: ignore[no-any-return]


def chosen_split(cfg: DictConfig, data: FaceDataModule) -> str:
    """Return the split to evaluate on: the command's, or ``test`` for a test list alone, else ``val``.

    Raises:
        DataError: if the data have no such split.
    """
    given = cfg.get("data") or {}
    test_alone = given.get("test") is not None and given.get("train") is None
    split = str(cfg.split or ("test" if test_alone else "val"))
    if split not in data.splits:
        needs = "".join(f"; data.{key}={value} has it" for key, value in data.settings_with(split).items())
        raise DataError(f"there is no split {split!r}; there is {', '.join(data.splits)}{needs}")
    return split


def faces_to_measure(data: FaceDataModule, split: str) -> Sequence[Face]:
    """Return the faces of a split, after checking that all have points.

    Raises:
        DataError: if a face has no points, or the faces cannot be read.
    """
    faces = data.splits[split]
    if any(face.points is None for face in faces):
        raise DataError(
            f"the faces of {split} have no points to measure against; keypoints submit predicts them"
        )
    return faces
