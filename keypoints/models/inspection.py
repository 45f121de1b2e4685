"""Looking into networks."""

import torch
from torch import Tensor, nn


def first_convolution(net: nn.Module) -> nn.Conv2d | None:
    """The convolution that ``net`` begins with, or ``None`` if it begins with another layer.

    The first layer is the first that has weights, in the order in which modules were registered.
    """
    for module in net.modules():
        if next(module.parameters(recurse=False), None) is not None:
            return module if isinstance(module, nn.Conv2d) else None
    return None


def feature_maps(net: nn.Module, images: Tensor) -> Tensor | None:
    """What the convolution that ``net`` begins with makes of (B, C, H, W) ``images``: (B, filters, h, w).

    ``None`` if it begins with another layer.
    """
    convolution = first_convolution(net)
    if convolution is None:
        return None
    with torch.no_grad():
        maps: Tensor = convolution(images)
    return maps
