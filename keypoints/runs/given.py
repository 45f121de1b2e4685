"""Values that were given for a run, or that vary in its sweep, and its command. Imports no torch."""

from collections.abc import Iterable

from keypoints.config.quoting import shell_command
from keypoints.config.values import chosen_groups, flat
from keypoints.runs.run_folder import RunFolder, is_sweep
from keypoints.runs.status import command_of, read_status
from keypoints.runs.sweep_folder import SweepFolder

_PLACES = ("hydra", "output", "paths", "trust")
"""First parts of keys that say where or how a run is made, and not which."""


def hyper_parameters(run: RunFolder) -> dict[str, int | float | str]:
    """Return the hyper-parameters of a run: all values of its configuration and its chosen group options.

    Args:
        run: folder of the run.
    """
    return {**flat(run.configuration()), **chosen_groups(_overrides(run))}


def varied_values(run: RunFolder) -> dict[str, int | float | str]:
    """Return the values that vary in a run's sweep; for a single run, the values that the user gave.

    Without any, as in ``keypoints train`` alone, it is the run's name.

    Args:
        run: folder of the run.

    Raises:
        DataError: if the status or the sweep's record is damaged.
    """
    values = hyper_parameters(run)
    constant = SweepFolder(run.path.parent).constant_keys() if is_sweep(run.path.parent) else ()
    given = {key: text for key, text in _pairs(_overrides(run)) if key not in constant}
    found = {key: values.get(key, text) for key, text in given.items()}
    return found or {"name": values.get("name", run.path.name)}


def commands_of(run: RunFolder) -> str:
    """Return the command that trains a run by itself, and its sweep's, to be pasted into a shell.

    Args:
        run: folder of the run.

    Raises:
        DataError: if the status is damaged.
    """
    own = command_of(run)
    if not is_sweep(run.path.parent):
        return own
    typed = shell_command(["keypoints", *read_status(run).command[1:]])
    return f"# this run\n{own}\n\n# its sweep\n{typed}"


def _overrides(run: RunFolder) -> list[str]:
    return list(read_status(run).overrides) if run.status_file.is_file() else []


def _pairs(overrides: Iterable[str]) -> list[tuple[str, str]]:
    """Return key and value of the overrides that set one, without the keys of places."""
    pairs = [each.lstrip("+").partition("=")[::2] for each in overrides if not each.startswith("~")]
    return [(key, value) for key, value in pairs if key.replace("/", ".").partition(".")[0] not in _PLACES]
