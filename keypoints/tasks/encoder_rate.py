"""Learning rate of the encoder alone, for fine-tuning; 0 freezes the encoder."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

from torch import nn

from keypoints.errors import ConfigError
from keypoints.models.layers import CoordinateConvolution, CoordinateLayer

ENCODER_RATE = "encoder_lr"
"""Setting of an optimizer's component, besides the settings of its class."""


def checked_rate(rate: Any) -> float | None:
    """Return the encoder's learning rate; ``None`` if it has none of its own.

    Args:
        rate: the setting's value.

    Raises:
        ConfigError: if it is no number from 0 up.
    """
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not (isfinite(rate) and rate >= 0):
        raise ConfigError(f"optimizer.{ENCODER_RATE} is a number from 0 up, not {rate!r}")
    return float(rate)


def encoder_layers(net: nn.Module) -> list[nn.Module]:
    """Return the modules of a network's encoder, each without its parts.

    The encoder is the network's part ``encoder``; or all of it but its part ``head``, or but the layers that
    give the coordinates.

    Args:
        net: the network.

    Raises:
        ConfigError: if the network has none of these parts.
    """
    if isinstance(encoder := getattr(net, "encoder", None), nn.Module):
        return list(encoder.modules())
    heads: Iterable[nn.Module] = [head] if isinstance(head := getattr(net, "head", None), nn.Module) else ()
    heads = heads or [
        each for each in net.modules() if isinstance(each, CoordinateLayer | CoordinateConvolution)
    ]
    rest = {part for head in heads for part in head.modules()}
    if not rest:
        raise ConfigError(
            f"optimizer.{ENCODER_RATE}: {type(net).__name__} has neither a part encoder nor a part head; "
            "name one of them, or leave this setting null"
        )
    return [each for each in net.modules() if each not in rest]


def parameters_of(layers: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the weights of modules, without those of their parts.

    Args:
        layers: the modules.
    """
    return [each for layer in layers for each in layer.parameters(recurse=False)]
