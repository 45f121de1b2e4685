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

    ``None`` if it begins with another layer. Whatever the network does to the images before is done.
    """
    convolution = first_convolution(net)
    if convolution is None:
        return None

    def stop(_module: nn.Module, _inputs: object, maps: Tensor) -> None:
        raise _Seen(maps)  # no further, so that no statistics of later layers change

    handle = convolution.register_forward_hook(stop)
    try:
        with torch.no_grad():
            net(images.to(convolution.weight.dtype))
    except _Seen as seen:
        return seen.maps
    finally:
        handle.remove()
    return None


class _Seen(Exception):  # noqa: N818  no error
    """Carries what the first convolution made of the images."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps
