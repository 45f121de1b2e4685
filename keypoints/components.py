"""Components: a class and its settings as plain values, ``{"_target_": "torch.nn.L1Loss", …}``.

A task keeps its network, loss, optimizer and scheduler in this form, so that a checkpoint holds
plain values only, loads with ``weights_only=True``, and is whole. Only classes of trusted packages
are built, and only of the kind that is asked for: a checkpoint from elsewhere runs no code.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from keypoints.errors import ConfigError, one_line

T = TypeVar("T")

Component = Mapping[str, Any]
"""``_target_`` names the class; the rest are its keyword arguments, all plain values."""

_trusted = {"keypoints", "torch.nn", "torch.optim", "torchvision.models"}


def trust(*packages: str) -> None:
    """Let components be built from ``packages`` too, for as long as this process lives."""
    _trusted.update(packages)


@contextmanager
def trusting(*packages: str) -> Iterator[None]:
    """Trust ``packages``, from here on if the block succeeds, else no longer than the block."""
    added = set(packages) - _trusted
    _trusted.update(added)
    try:
        yield
    except BaseException:
        _trusted.difference_update(added)
        raise


def configure(target: type, **settings: Any) -> dict[str, Any]:
    """The component that names ``target`` with these settings.

    >>> from torch.nn import SmoothL1Loss
    >>> configure(SmoothL1Loss, beta=0.01)
    {'_target_': 'torch.nn.modules.loss.SmoothL1Loss', 'beta': 0.01}
    """
    return {"_target_": f"{target.__module__}.{target.__qualname__}", **settings}


def build(component: Component, kind: type[T], *args: Any, **extra: Any) -> T:
    """Make the object that ``component`` describes.

    Args:
        kind: what it has to be; a class of any other kind is refused before it is called.
        args, extra: passed on besides the component's own settings.

    Raises:
        ConfigError: if the target is missing, not trusted, of another kind, or does not take
            its settings.
    """
    target = component.get("_target_") if isinstance(component, Mapping) else None
    if not isinstance(target, str):
        raise ConfigError(f"a component needs a _target_, the name of its class: {one_line(component)}")
    made_by = _find(target, kind)
    settings = {name: value for name, value in component.items() if name != "_target_"}
    try:
        return made_by(*args, **{**settings, **extra})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{target}: {one_line(error)}") from error


def _find(target: str, kind: type[T]) -> type[T]:
    """The class that ``target`` names, if it is trusted and of that kind."""
    if not _is_trusted(target):
        raise ConfigError(
            f"{target} is outside the trusted packages ({', '.join(sorted(_trusted))}); "
            "if you trust it, call keypoints.components.trust with its package first"
        )
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"there is no {target}: {one_line(error)}") from error
    if not (isinstance(found, type) and issubclass(found, kind) and _is_trusted(found.__module__)):
        raise ConfigError(f"{target} is no {kind.__name__}")
    return found


def _is_trusted(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in _trusted)
