"""Bound the size of a network while it is built: what a file describes may be larger than the file."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

_SPARE = 150_000_000
"""Numbers that a network may make besides those of its file: the classifier of a VGG, which it leaves out."""

_MODULES = 20_000
"""Far more than any network has; one without weights could go on for ever."""


class TooLargeError(ValueError):
    """A network that is larger than the file that describes it."""


@contextmanager
def bounded(weights: int, tensors: int) -> Iterator[None]:
    """Refuse networks that register far more than their file holds while they are built in the block.

    The twofold is allowed: a network may replace its last layers after it has built them. Weights are
    registered before they are filled, so that the memory of those that are refused is never touched.

    Args:
        weights: numbers in the state dict that is to fill the network.
        tensors: tensors in it.

    Raises:
        TooLargeError: in the block, as soon as the network is too large.
    """
    allowed, most = 2 * weights + _SPARE, 2 * tensors + _MODULES
    made = modules = parameters = 0

    def count(module: nn.Module, name: str, value: Tensor | None) -> None:  # noqa: ARG001
        nonlocal made, parameters
        parameters += 1
        if parameters > most:
            raise TooLargeError(f"asks for a network of more than {most:,} tensors, and holds {tensors:,}")
        made += 0 if value is None else value.numel()
        if made > allowed:
            raise TooLargeError(f"asks for a network of more than {allowed:,} weights, and holds {weights:,}")

    def count_module(module: nn.Module, name: str, value: nn.Module | None) -> None:  # noqa: ARG001
        nonlocal modules
        modules += 1
        if modules > _MODULES:
            raise TooLargeError(f"asks for a network of more than {_MODULES:,} layers")

    hooks = (
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
        register_module_module_registration_hook(count_module),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
