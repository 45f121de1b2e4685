"""Inspection of networks: their first convolution and its output, and the cost of a forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """Size of a network, and the arithmetic of its forward pass."""

    parameters: int
    """Number of weights; the statistics of normalisation layers are none."""
    trainable: int
    """Number of weights that a training changes."""
    flops: int
    """Floating-point operations of a forward pass; a multiplication with an addition counts as 2."""


def cost_of(net: nn.Module, images: Tensor) -> Cost:
    """Return the cost of a network: torch's count of the operations in convolutions and matrix products.

    The network and the random numbers are the same afterwards.

    Args:
        net: the network.
        images: (B, C, H, W) images; for a batch of 1 the operations are those for one face.
    """
    weights = [(each.numel(), each.requires_grad) for each in net.parameters()]
    counter = FlopCounterMode(display=False)
    with _evaluating(net), torch.random.fork_rng(devices=[]), torch.no_grad(), counter:
        net(images)
    trainable = sum(count for count, is_trained in weights if is_trained)
    return Cost(sum(count for count, _ in weights), trainable, int(counter.get_total_flops()))


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Switch a network and its parts to evaluation mode during the block."""
    before = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, was_training in before:
            module.training = was_training


def first_convolution(net: nn.Module) -> nn.Conv2d | None:
    """Return the first layer of ``net`` if it is a convolution, else ``None``.

    The first layer is the first one with weights, in the order in which the modules were registered.
    """
    for module in net.modules():
        if next(module.parameters(recurse=False), None) is not None:
            return module if isinstance(module, nn.Conv2d) else None
    return None


def feature_maps(net: nn.Module, images: Tensor) -> Tensor | None:
    """Return the first convolution's output, (B, filters, h, w), for (B, C, H, W) ``images``.

    Return ``None`` if the first layer is no convolution. Steps that precede it in the network are applied.
    """
    convolution = first_convolution(net)
    if convolution is None:
        return None

    def stop(_module: nn.Module, _inputs: object, maps: Tensor) -> None:
        raise _FirstOutput(maps)  # stop here, so that the statistics of later layers do not change

    handle = convolution.register_forward_hook(stop)
    try:
        with torch.no_grad():
            net(images.to(convolution.weight.dtype))
    except _FirstOutput as seen:
        return seen.maps
    finally:
        handle.remove()
    return None


class _FirstOutput(Exception):  # noqa: N818  no error
    """Signal that carries the output of the first convolution."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps
