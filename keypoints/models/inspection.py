"""Looking into networks."""

from torch import nn


def first_convolution(net: nn.Module) -> nn.Conv2d | None:
    """The convolution that ``net`` begins with, or ``None`` if it begins with another layer.

    The first layer is the first that has weights, in the order in which modules were registered.
    """
    for module in net.modules():
        if next(module.parameters(recurse=False), None) is not None:
            return module if isinstance(module, nn.Conv2d) else None
    return None
