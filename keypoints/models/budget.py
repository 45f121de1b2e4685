"""Limit on the size of a network while it is built: a small file may describe a huge network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils import deterministic

from keypoints.formatting import counted

_SPARE = 150_000_000
"""Weights allowed on top of the file's weights: enough for the classifier of a VGG, removed later."""

_MODULES = 20_000
"""Largest number of modules, and of tensors on top of twice the file's; real networks have far fewer."""


class TooLargeError(ValueError):
    """Error: a network is much larger than the file that describes it."""


@contextmanager
def bounded(weights: int, tensors: int) -> Iterator[None]:
    """Refuse a network that is built in the block and registers far more weights than its file holds.

    The limit is twice the file's weights plus ``_SPARE``: some networks build layers and then replace them.
    Weights are registered before they are initialised, so the memory of refused weights is never used; torch
    does not fill it either, as it would in its deterministic mode.

    Args:
        weights: total number of weights in the state dict that is loaded into the network afterwards.
        tensors: number of tensors in that state dict.

    Raises:
        TooLargeError: inside the block, as soon as the network is too large.
    """
    allowed, most = 2 * weights + _SPARE, 2 * tensors + _MODULES
    made = modules = parameters = 0

    def count(module: nn.Module, name: str, value: Tensor | None) -> None:  # noqa: ARG001
        nonlocal made, parameters
        parameters += 1
        if parameters > most:
            raise TooLargeError(f"asks for a network of more than {most:,} tensors, but holds {tensors:,}")
        made += 0 if value is None else value.numel()
        if made > allowed:
            most_words = counted(f"{allowed:,}", "weight")
            raise TooLargeError(f"asks for a network of more than {most_words}, but holds {weights:,}")

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
    memory: Any = deterministic  # torch declares no type for its setting
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    try:
        yield
    finally:
        memory.fill_uninitialized_memory = filled
        for hook in hooks:
            hook.remove()
