"""Settings of loggers that depend on the run: its name, the identifier to resume under, and the package.

Weights & Biases and MLflow are known by the last part of their class's name, since importing them needs
their packages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from keypoints.components import UntrustedError, is_trusted
from keypoints.errors import ConfigError
from keypoints.older_names import current_class
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status

_LOCAL = frozenset({"MetricsTable", "TensorBoard", "CSVLogger", "TensorBoardLogger"})
"""Classes that write only files, into the run's folder, and that a resumed run continues."""


_UNSENT = ("offline", "disabled")
"""Modes of Weights & Biases that send nothing."""


@dataclass(frozen=True)
class _Kind:
    """Kind of logger whose package may be missing.

    Args:
        package: the package, which is also the name of its extra.
        name: argument of the class for the run's name.
        identifier: argument of the class for the run to continue.
        plain: settings that can neither send anything nor change where it is sent.
    """

    package: str
    name: str
    identifier: str
    plain: frozenset[str]


_KINDS = {
    "WandbLogger": _Kind(
        "wandb",
        "name",
        "id",
        frozenset({"_target_", "entity", "group", "id", "job_type", "mode", "name", "notes", "offline"})
        | {"prefix", "project", "save_dir", "tags"},
    ),
    "MLFlowLogger": _Kind(
        "mlflow",
        "run_name",
        "run_id",
        frozenset({"_target_", "experiment_name", "prefix", "run_id", "run_name", "save_dir"})
        | {"synchronous", "tags", "tracking_uri"},
    ),
}


def check_package(settings: Mapping[str, Any], key: str) -> None:
    """Check that the package of a logger is installed.

    Args:
        settings: settings of the logger, with its class as ``_target_``.
        key: the logger's key, such as ``logger.wandb``.

    Raises:
        ConfigError: if it is not; the message says how to install it.
    """
    kind = _kind(settings)
    if kind is not None and find_spec(kind.package) is None:
        raise ConfigError(
            f"{key}: the package {kind.package} is not installed: pip install keypoints[{kind.package}], in "
            f"the checkout pip install -c constraints.txt -e '.[{kind.package}]'; or train without it: "
            "logger=default"
        )


def check_recorded(settings: Mapping[str, Any], key: str) -> None:
    """Check that a logger of a configuration that was read from a folder sends nothing to other machines.

    Args:
        settings: settings of the logger, with its class as ``_target_``.
        key: the logger's key.

    Raises:
        UntrustedError: if it might, and the user does not trust its package; the message says how to.
    """
    kind = _kind(settings)
    package = _target(settings).partition(".")[0] if kind is None else kind.package
    if not _is_local(settings, kind) and not is_trusted(package):
        raise UntrustedError(
            f"{key}: may send pictures and metrics to the server that the configuration names; if you agree, "
            f"say trust={package}"
        )


def _is_local(settings: Mapping[str, Any], kind: _Kind | None) -> bool:
    """Return whether a logger only writes files. A class outside of Lightning has to be trusted anyway."""
    if kind is None:
        return _class(settings) in _LOCAL or not _target(settings).startswith("pytorch_lightning.")
    if kind.package == "mlflow":
        local = not settings.get("tracking_uri")
    else:
        local = settings.get("mode", "offline" if settings.get("offline") is True else None) in _UNSENT
    return local and kind.plain.issuperset(settings)


def of_run(settings: Mapping[str, Any], run: RunFolder, identifier: str | None) -> dict[str, Any]:
    """Return the settings of a logger that follow from its run.

    Args:
        settings: settings of the logger, with its class as ``_target_``.
        run: folder of the run, whose name is the run's name unless another one is set.
        identifier: identifier under which an earlier process logged the run, if it is resumed.
    """
    kind = _kind(settings)
    if _target(settings) == "keypoints.TensorBoard":
        return {} if "baseline" in settings else {"baseline": _is_first(run)}
    if kind is None:
        return {}
    found: dict[str, Any] = {}
    if not settings.get(kind.name):
        found[kind.name] = run.path.resolve().name
    if identifier is not None and not settings.get(kind.identifier):
        found[kind.identifier] = identifier
    if kind.package == "mlflow" and not settings.get("tracking_uri") and settings.get("save_dir"):
        # Lightning would join "file:" and the folder without encoding its name.
        found["tracking_uri"] = run.path.joinpath(str(settings["save_dir"])).resolve().as_uri()
    return found


def _is_first(run: RunFolder) -> bool:
    """Return whether a run is single, or the first of its sweep; the others have the same baseline."""
    return not run.status_file.is_file() or read_status(run).job == 0


def how_resumed(settings: Mapping[str, Any], identifier: str | None) -> str | None:
    """Return a remark about how a logger continues a resumed run; ``None`` if it simply continues.

    Args:
        settings: settings of the logger, with its class as ``_target_``.
        identifier: identifier under which the earlier process logged the run, if it is known.
    """
    kind = _kind(settings)
    if _class(settings) in _LOCAL or (kind is not None and settings.get(kind.identifier)):
        return None
    if kind is None or identifier is None:
        return "cannot continue the run that it logged before, and begins another one"
    if kind.package == "wandb" and settings.get("mode") in _UNSENT:
        return (
            f"offline, the resumed part gets a folder of its own, with the same identifier {identifier}; "
            "one command sends both as one run: wandb sync <run's folder>/wandb/offline-run-*"
        )
    return None


def _target(settings: Mapping[str, Any]) -> str:
    return current_class(str(settings.get("_target_")))


def _class(settings: Mapping[str, Any]) -> str:
    return _target(settings).rpartition(".")[2]


def _kind(settings: Mapping[str, Any]) -> _Kind | None:
    return _KINDS.get(_class(settings))


def has_identifier(logger: object) -> bool:
    """Return whether the version of a logger is an identifier under which another process can continue it."""
    return type(logger).__name__ in _KINDS
