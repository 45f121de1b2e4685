"""Loss of a task, and a placeholder for an untrusted loss of a checkpoint: prediction needs no loss."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import nn

from keypoints.components import OBJECT, Component, UntrustedError, build, find_class, is_trusted, target_of
from keypoints.errors import ConfigError

_TORCH_LOSS_MODULES = ("torch.nn.modules.loss", "torch.nn.modules.distance")
"""Modules of torch that contain losses."""

_untrusted_allowed = ContextVar("untrusted_allowed", default=False)


@contextmanager
def untrusted_losses_left_out() -> Iterator[None]:
    """Build tasks in the block even if their losses are not trusted; such a loss raises when it is called."""
    token = _untrusted_allowed.set(True)
    try:
        yield
    finally:
        _untrusted_allowed.reset(token)


def build_loss(component: Component | nn.Module) -> nn.Module:
    """Build a loss; inside :func:`untrusted_losses_left_out`, a :class:`RefusedLoss` if it is not trusted.

    Args:
        component: the loss's class and settings, or the loss itself.

    Raises:
        ConfigError: as for :func:`keypoints.components.build`.
    """
    if isinstance(component, nn.Module):
        return component
    try:
        loss = _class_of_loss(component)
        return build(component, loss)
    except UntrustedError as error:
        if not _untrusted_allowed.get():
            raise
        return RefusedLoss(str(component.get("_target_") or component[OBJECT]), str(error))


def _class_of_loss(component: Component) -> type[nn.Module]:
    """Return the class of a loss. Other modules of torch and torchvision are refused: they may be huge.

    Raises:
        ConfigError: as for :func:`keypoints.components.find_class`, or if a class of torch is no loss.
    """
    target = target_of(component)
    loss: type[nn.Module] = find_class(target, (nn.Module,))
    package = loss.__module__.partition(".")[0]
    if (
        package in ("torch", "torchvision")
        and loss.__module__ not in _TORCH_LOSS_MODULES
        and not is_trusted(package)
    ):
        raise ConfigError(f"{target} is no loss")
    return loss


class RefusedLoss(nn.Module):
    """Placeholder for a loss that is not trusted.

    Args:
        target: dotted name of the loss's class.
        why: reason, used as the message of the error that a call raises.
    """

    def __init__(self, target: str, why: str) -> None:
        super().__init__()
        self.name = target.rpartition(".")[2]
        self._why = why

    def forward(self, *_: Any) -> None:
        """Raise a :class:`~keypoints.errors.ConfigError` that names the option ``trust``."""
        raise ConfigError(self._why)


def loss_name(loss: nn.Module) -> str:
    """Return the name of a loss's class."""
    return loss.name if isinstance(loss, RefusedLoss) else type(loss).__name__
