"""Inspection of networks: their first convolution and its output."""

import torch
from torch import Tensor, nn


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
