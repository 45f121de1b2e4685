"""The loss of a task, and its stand-in where a checkpoint's loss is not trusted: predicting needs none."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import nn

from keypoints.components import Component, UntrustedError, build, find_class, is_trusted, target_of
from keypoints.errors import ConfigError

_OF_TORCH = ("torch.nn.modules.loss", "torch.nn.modules.distance")
"""Modules of torch that hold losses."""

_spared = ContextVar("spared", default=False)


@contextmanager
def losses_spared() -> Iterator[None]:
    """Build tasks in the block even if their losses are not trusted; those raise once they are asked."""
    token = _spared.set(True)
    try:
        yield
    finally:
        _spared.reset(token)


def build_loss(component: Component) -> nn.Module:
    """Build a loss, or within :func:`losses_spared` a :class:`RefusedLoss` for one that is not trusted.

    Raises:
        ConfigError: as :func:`keypoints.components.build`.
    """
    try:
        loss = _class_of_loss(component)
        return build(component, loss)
    except UntrustedError as error:
        if not _spared.get():
            raise
        return RefusedLoss(target_of(component), str(error))


def _class_of_loss(component: Component) -> type[nn.Module]:
    """Return the class of a loss. In torch and torchvision any other module passes for one, and may be huge.

    Raises:
        ConfigError: as :func:`keypoints.components.find_class`, or if it is no loss of torch's.
    """
    target = target_of(component)
    loss: type[nn.Module] = find_class(target, (nn.Module,))
    package = loss.__module__.partition(".")[0]
    if package in ("torch", "torchvision") and loss.__module__ not in _OF_TORCH and not is_trusted(package):
        raise ConfigError(f"{target} is no loss")
    return loss


class RefusedLoss(nn.Module):
    """Stand-in for a loss that is not trusted.

    Args:
        target: the name of the loss's class.
        why: why it was not built; the message of the error that asking it raises.
    """

    def __init__(self, target: str, why: str) -> None:
        super().__init__()
        self.name = target.rpartition(".")[2]
        self._why = why

    def forward(self, *_: Any) -> None:
        """Raise a :class:`~keypoints.errors.ConfigError` that names the switch."""
        raise ConfigError(self._why)


def loss_name(loss: nn.Module) -> str:
    """Return the name of a loss's class."""
    return loss.name if isinstance(loss, RefusedLoss) else type(loss).__name__
