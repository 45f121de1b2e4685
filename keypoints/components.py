"""Components: a class and its settings as plain values, ``{"_target_": "torch.nn.L1Loss", …}``.

A task keeps its network, loss, optimizer and scheduler in this form, so that a checkpoint is complete, holds
only plain values, and loads with ``weights_only=True``.

:func:`build` instantiates all objects that a configuration or a checkpoint names, under one rule of trust:
only classes of trusted packages are instantiated, and only of the expected kind, so that an untrusted file
runs no code. Trust is given by the command line (``trust=mypackage``), by the environment variable
``KEYPOINTS_TRUST`` or in Python (:func:`trust`, :func:`trusting`), never by a checkpoint or a run's folder.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from inspect import isroutine
from types import ModuleType
from typing import Any, TypeVar

from keypoints.errors import ConfigError, KeypointsError, one_line
from keypoints.older_names import current, current_class

T = TypeVar("T")

Component = Mapping[str, Any]
"""Mapping with the name of the class, ``_target_``, and its keyword arguments, all plain values."""

OBJECT = "_object_"
"""Key of the mark that stands for an object made in Python: the name of its class."""

TRUST = "KEYPOINTS_TRUST"
"""Environment variable with the names of trusted packages, separated by commas."""

_OURS = frozenset({"keypoints", "torch.nn", "torch.optim", "torchvision.models"})
_TRAINING = frozenset({"albumentations", "lightning_fabric", "pytorch_lightning", "torchvision.ops"})
"""Packages that a training needs in addition to those that a checkpoint needs."""
_by_user: set[str] = set()
_in_block: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


class UntrustedError(ConfigError):
    """Error for a component of a package that is not trusted."""


def package_names(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the package names in the user's value: a list, or a string with commas.

    >>> package_names("mine, yours.nets")
    ('mine', 'yours.nets')

    Args:
        given: the user's value; ``None`` for no packages.

    Raises:
        ConfigError: if one of them cannot be the name of a package.
    """
    listed = given.strip("[] ").split(",") if isinstance(given, str) else given or ()
    names = tuple(name for each in listed if (name := str(each).strip(" '\"")))
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"trust is the name of a package, or a list of names, not {name!r}")
    return names


def trust(*packages: str) -> None:
    """Trust packages, so that components may use their classes, until this process ends.

    Args:
        packages: names of packages.

    Raises:
        ConfigError: if one of them cannot be the name of a package.
    """
    _by_user.update(package_names(packages))


@contextmanager
def trusting(*packages: str) -> Iterator[None]:
    """Trust packages during the block.

    Args:
        packages: names of packages.

    Returns:
        A context manager.

    Raises:
        ConfigError: if one of them cannot be the name of a package.
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
    """Return the packages that the user trusts now, without those that are always trusted."""
    return _in_block.get().union(_by_user, package_names(os.environ.get(TRUST)))


def configure(target: type, **settings: Any) -> dict[str, Any]:
    """Return the component of a class with these settings.

    >>> from torch.nn import SmoothL1Loss
    >>> configure(SmoothL1Loss, beta=0.01)
    {'_target_': 'torch.nn.SmoothL1Loss', 'beta': 0.01}

    Args:
        target: the class.
        settings: keyword arguments of the class, as plain values.

    Returns:
        The settings, with the public name of the class as ``_target_``.
    """
    return {"_target_": public_name(target), **settings}


def recorded(part: Component | object | None) -> Mapping[str, Any] | None:
    """Return what a checkpoint stores of a part: a component as it is, for an object the name of its class.

    Args:
        part: a component, or an object made in Python; ``None`` for neither.
    """
    if part is None or isinstance(part, Mapping):
        return part
    return {OBJECT: public_name(type(part))}


def public_name(named: type) -> str:
    """Return the shortest name under which a class can be imported, since modules change and files stay.

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


def build(
    component: Component | object,
    kind: type[T],
    *args: Any,
    _key: str = "",
    _nested: tuple[type, ...] = (),
    **extra: Any,
) -> T:
    """Instantiate a component; return an object that was made in Python as it is.

    Args:
        component: the class and its settings, or an object of type ``kind``.
        kind: required class of the object.
        args: positional arguments, besides the component's own settings.
        _key: dotted key of the component in a configuration, for messages.
        _nested: classes; if given, components among the settings are instantiated too, each of one of these
            classes or from a package that the user trusts. If empty, they stay plain values.
        extra: keyword arguments, which add to the component's own settings or replace them.

    Raises:
        UntrustedError: if a target is not trusted.
        ConfigError: if a target is missing, of another class, or does not accept its settings.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    if not isinstance(component, Mapping) and isinstance(component, kind):
        return component
    target = current_class(target_of(component))
    settings = {name: value for name, value in current(component).items() if name not in {"_target_", *extra}}
    if not _nested:  # Hydra copies and resolves the settings, but not the arguments of the later call
        settings, extra = {}, {**settings, **extra}
    known = Exception if _nested else (TypeError, ValueError, InstantiationException)
    settings["_target_"] = target
    try:
        if _nested:
            _check_nested(settings, _key, _nested)
        else:
            find_class(target, (kind,))
        made = instantiate(settings, _partial_=True, _convert_="all")(*args, **extra)
    except KeypointsError:
        raise
    except known as error:
        cause = (isinstance(error, InstantiationException) and error.__cause__) or error
        if isinstance(cause, KeypointsError):
            raise cause from error
        name = "" if isinstance(cause, TypeError | ValueError) else f"{type(cause).__name__}: "
        raise ConfigError(f"{_key or target}: {name}{one_line(cause)}") from error
    if not isinstance(made, kind):
        raise ConfigError(f"{_key or target}: {target} is no {kind.__name__}{_of_other_package(type(made))}")
    return made


def _check_nested(settings: Mapping[str, Any], key: str, kinds: tuple[type, ...]) -> None:
    """Check that all targets are trusted and of these classes, and that no text could become a target later.

    Raises:
        ConfigError: if a value violates this; the message names its key.
    """
    for where, value in walk(settings, key):
        if isinstance(value, str) and "${" in value:
            raise ConfigError(f"{where}: {one_line(value)[:80]!r} refers to other values")
        if isinstance(value, Mapping) and "_target_" in value:
            try:
                find_class(target_of(value), kinds, nested=True)
            except ConfigError as error:
                raise type(error)(f"{where}: {error}") from error


def walk(plain: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all nested plain values and names of settings, each with its dotted key."""
    yield key, plain
    if isinstance(plain, Mapping):
        for name, each in plain.items():
            yield key, str(name)
            yield from walk(each, f"{key}.{name}")
    elif isinstance(plain, list | tuple):
        for number, each in enumerate(plain):
            yield from walk(each, f"{key}.{number}")


def target_of(component: object) -> str:
    """Return the name of a component's class.

    Raises:
        ConfigError: if the component has no ``_target_``.
    """
    target = component.get("_target_") if isinstance(component, Mapping) else None
    if target is None and isinstance(component, Mapping) and OBJECT in component:
        raise UntrustedError(
            f"needs an object of {component[OBJECT]}, which was made in Python; give one with the same layers"
            ": load_task(path, net=<network>), or loss=<loss>"
        )
    if not isinstance(target, str):
        raise ConfigError(
            f"a component needs a _target_, the name of its class, not a {type(component).__name__}; in "
            "Python keypoints.configure(<class>, <settings>) makes one"
        )
    return target


def find_class(target: str, kinds: tuple[type, ...], *, nested: bool = False) -> Any:
    """Return the class that ``target`` names, if it is trusted and derives from one of ``kinds``.

    Args:
        target: dotted name, ``package.module.Class``.
        kinds: classes; the result derives from at least one of them.
        nested: also accept classes of the packages that a training needs, and any class or function of a
            package that the user trusts.

    Raises:
        UntrustedError: if its package is not trusted; the message names the setting ``trust``.
        ConfigError: if there is no such class, or it derives from none of ``kinds``.
    """
    _check_trusted(target, nested)
    found = _import(current_class(target))
    if nested and _within(target, trusted_by_user()):
        wanted, fits = "class or function", isinstance(found, type) or isroutine(found)
    else:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        fits = isinstance(found, type) and issubclass(found, kinds)
    if not fits:
        raise ConfigError(f"{target} is no {wanted}{_of_other_package(found)}")
    _check_trusted(f"{found.__module__}.{found.__qualname__}", nested)
    return found


def _of_other_package(found: object) -> str:
    """Return the end of a message about a class that derives from a class of the package ``lightning``."""
    bases = found.__mro__ if isinstance(found, type) else ()
    other = any(base.__module__.startswith("lightning.") for base in bases)
    return (
        " of pytorch_lightning, which trains here; derive it from there, not from lightning" if other else ""
    )


def _check_trusted(target: str, nested: bool) -> None:
    if not _within(target, (*_OURS, *(_TRAINING if nested else ()), *trusted_by_user())):
        package = target.partition(".")[0]
        raise UntrustedError(
            f"{target} is outside the trusted packages; if you trust the code of {package!r}, say "
            f"trust={package}, or set {TRUST}={package}"
        )


def _within(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _import(target: str) -> Any:
    """Return the object that Hydra finds under a name, so that the checked object is the instantiated one.

    Raises:
        ConfigError: if there is no such object, or the name passes through a module that another one only
            imports.
    """
    package, *between = target.rpartition(".")[0].split(".")
    try:
        found: Any = import_module(package)
        for number, part in enumerate(between, 1):
            if isinstance(getattr(found, part, found), ModuleType):
                import_module(".".join([package, *between[:number]]))
            found = getattr(found, part)
        return getattr(found, target.rpartition(".")[2])
    except (ImportError, AttributeError, ValueError) as error:
        hint = ""
        if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] == package:
            hint = "; install the package, or put its folder on PYTHONPATH"
        raise ConfigError(f"there is no {target}: {one_line(error)}{hint}") from error
