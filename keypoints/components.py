"""Components: a class and its settings as plain values, ``{"_target_": "torch.nn.L1Loss", …}``.

A task keeps its network, loss, optimizer and scheduler in this form, so that a checkpoint holds
plain values only, loads with ``weights_only=True``, and is whole.

One rule of trust holds for all that is read from a file, a checkpoint or a run's folder: only classes of
trusted packages are built, and only of the kind that is asked for, so that a file from elsewhere runs no
code. Trust is given by the command line (``trust=mypackage``), by the environment variable
``KEYPOINTS_TRUST`` or in Python (:func:`trust`, :func:`trusting`), never by the file.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from inspect import isroutine
from typing import Any, TypeVar

from keypoints.errors import ConfigError, one_line
from keypoints.older_names import current, current_class

T = TypeVar("T")

Component = Mapping[str, Any]
"""``_target_`` names the class; the rest are its keyword arguments, all plain values."""

TRUST = "KEYPOINTS_TRUST"
"""The environment variable that names trusted packages, separated by commas."""

_OURS = frozenset({"keypoints", "torch.nn", "torch.optim", "torchvision.models"})
_by_user: set[str] = set()
_in_block: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


class UntrustedError(ConfigError):
    """A component of a package that is not trusted."""


def package_names(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of packages in what a user gives: a list, or a string with commas.

    >>> package_names("mine, yours.nets")
    ('mine', 'yours.nets')

    Raises:
        ConfigError: if one cannot be the name of a package.
    """
    listed = given.strip("[] ").split(",") if isinstance(given, str) else given or ()
    names = tuple(name for each in listed if (name := str(each).strip(" '\"")))
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"trust is the name of a package, or a list of names, not {name!r}")
    return names


def trust(*packages: str) -> None:
    """Let components be built from ``packages`` too, for as long as this process lives.

    Raises:
        ConfigError: if one cannot be the name of a package.
    """
    _by_user.update(package_names(packages))


@contextmanager
def trusting(*packages: str) -> Iterator[None]:
    """Trust ``packages`` too while the block runs.

    Raises:
        ConfigError: if one cannot be the name of a package.
    """
    token = _in_block.set(_in_block.get().union(package_names(packages)))
    try:
        yield
    finally:
        _in_block.reset(token)


def is_trusted(package: str) -> bool:
    """Return whether the user trusts a package."""
    return package in trusted_by_user()


def trusted_by_user() -> frozenset[str]:
    """Return the packages that the user trusts here and now, besides those that need no word."""
    return _in_block.get().union(_by_user, package_names(os.environ.get(TRUST)))


def configure(target: type, **settings: Any) -> dict[str, Any]:
    """Return the component that names ``target`` with these settings.

    >>> from torch.nn import SmoothL1Loss
    >>> configure(SmoothL1Loss, beta=0.01)
    {'_target_': 'torch.nn.SmoothL1Loss', 'beta': 0.01}
    """
    return {"_target_": public_name(target), **settings}


def public_name(named: type) -> str:
    """Return the shortest name that a class can be imported by; modules change, and files stay.

    >>> from torch.nn import MSELoss
    >>> public_name(MSELoss)
    'torch.nn.MSELoss'

    Args:
        named: a class.
    """
    parts = named.__module__.split(".")
    for length in range(1, len(parts)):
        package = ".".join(parts[:length])
        if getattr(sys.modules.get(package), named.__qualname__, None) is named:
            return f"{package}.{named.__qualname__}"
    return f"{named.__module__}.{named.__qualname__}"


def build(component: Component, kind: type[T], *args: Any, **extra: Any) -> T:
    """Make the object that ``component`` describes.

    Args:
        component: the class and its settings.
        kind: the class that the object has to be of; any other is refused before it is called.
        args: positional arguments, besides the component's own settings.
        extra: keyword arguments, besides the component's own settings.

    Raises:
        ConfigError: if the target is missing, not trusted, of another kind, or does not take
            its settings.
    """
    target = current_class(target_of(component))
    made_by = find_class(target, (kind,))
    settings = {name: value for name, value in current(component).items() if name != "_target_"}
    try:
        return made_by(*args, **{**settings, **extra})  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{target}: {one_line(error)}") from error


def target_of(component: object) -> str:
    """Return the name of a component's class.

    Raises:
        ConfigError: if it has none.
    """
    target = component.get("_target_") if isinstance(component, Mapping) else None
    if not isinstance(target, str):
        raise ConfigError(
            f"a component needs a _target_, the name of its class, not a {type(component).__name__}"
        )
    return target


def find_class(target: str, kinds: tuple[type, ...], packages: frozenset[str] = frozenset()) -> Any:
    """Return the class that ``target`` names, if it is trusted and of one of these kinds.

    Args:
        target: ``package.module.Class``.
        kinds: classes that it has to derive from, one of them.
        packages: packages that need no word of the user here, besides those that never do.

    Raises:
        UntrustedError: if its package is not trusted; the message names the switch.
        ConfigError: if there is no such class, or it is of another kind.
    """
    _check_trusted(target, packages)
    found = _import(current_class(target))
    wanted = " or ".join(kind.__name__ for kind in kinds)
    if not isinstance(found, type) or not issubclass(found, kinds):
        raise ConfigError(f"{target} is no {wanted}")
    _check_trusted(f"{found.__module__}.{found.__qualname__}", packages)
    return found


def find_trusted(target: str, kinds: tuple[type, ...], packages: frozenset[str]) -> Any:
    """Return what ``target`` names: anything of a package that the user trusts, else as :func:`find_class`.

    Raises:
        ConfigError: as :func:`find_class`.
    """
    if not _within(target, trusted_by_user()):
        return find_class(target, kinds, packages)
    found = _import(target)
    if not isinstance(found, type) and not isroutine(found):
        raise ConfigError(f"{target} is neither a class nor a function")
    _check_trusted(f"{found.__module__}.{found.__qualname__}", packages)
    return found


def _check_trusted(target: str, packages: frozenset[str]) -> None:
    if not _within(target, _OURS | packages | trusted_by_user()):
        package = target.partition(".")[0]
        raise UntrustedError(
            f"{target} is outside the trusted packages; if you trust the code of {package!r}, say "
            f"trust={package}, or set {TRUST}={package}"
        )


def _within(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _import(target: str) -> Any:
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        away = str(error.name).partition(".")[0] == module.partition(".")[0]
        hint = "; install the package, or put its folder on PYTHONPATH" if away else ""
        raise ConfigError(f"there is no {target}: {one_line(error)}{hint}") from error
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"there is no {target}: {one_line(error)}") from error
