"""Networks of timm by name, changed to regress landmark coordinates or used as encoders.

They need the extra ``timm``, which is imported when a network is built: all others work without it.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from keypoints.errors import ConfigError, one_line
from keypoints.models.budget import TooLargeError
from keypoints.models.encoders import Encoder
from keypoints.models.layers import CoordinateConvolution, CoordinateLayer, convolution
from keypoints.models.pretrained import is_blank

_GREY = 0.5
"""Value in [0, 1] that is 0 in images in [-0.5, 0.5]."""

_LITTLE = 0.01
"""Standard deviation of the last layer's weights: a transformer's features have a spread of about 1."""

_FINEST = 2
"""Encoder level up to which coarser maps, such as those of a vision transformer, are upsampled."""

_OURS = frozenset(
    {
        *("model_name", "in_chans", "num_classes", "features_only", "scriptable", "no_jit", "exportable"),
        *("pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
    }
)
"""Arguments of timm's ``create_model`` that are set here, or that would read another file."""


class TimmNet(nn.Module):
    """Network of timm whose last layer is replaced. It normalises its input as its pretrained weights expect.

    The last layer is initialised with a bias of 0.5 and small weights: before training, all points are near
    the input's centre. Transformers whose size is fixed when they are built get the size of the input.

    Args:
        input_size: width and height of the images, in pixels; for a vision transformer multiples of its
            patches' side.
        in_channels: channels of the images, 1 or 3. For one channel timm sums pretrained filters over the
            colours, and the normalisation is the mean over the colours.
        out_features: number of outputs, two for each landmark.
        name: timm's name of the network: ``"resnet18"``, ``"vit_tiny_patch16_224"``, …, if wanted with the
            name of its weights: ``"resnet18.a1_in1k"``.
        pretrained: load timm's pretrained weights, which are downloaded if needed.
        settings: further arguments of timm's ``create_model``, such as ``drop_path_rate``.

    Raises:
        ConfigError: if timm is not installed, the network or its weights cannot be had, or it does not accept
            such images.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        out_features: int,
        name: str = "resnet18",
        pretrained: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        net = timm_network(name, input_size, in_channels, pretrained, num_classes=out_features, **settings)
        self.normalization = _normalization(_timm(name), net, in_channels)
        self.net = net
        _adapt_output(net, name)
        if not is_blank():  # a network of a checkpoint was checked when it was trained
            _try(self, name, input_size, in_channels)
            _check_patches(name, input_size, [each["reduction"] for each in getattr(net, "feature_info", [])])

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, out_features)."""
        outputs: Tensor = self.net(self.normalization(images))
        return outputs


class TimmEncoder(Encoder):
    """Encoder made of the feature maps of a network of timm; its input is normalised as in :class:`TimmNet`.

    A network's finest maps may be coarser than level 2, a quarter of the input's sides: the maps of a vision
    transformer have one cell for each patch. Transposed convolutions then upsample them to the levels from 2
    on, as by Y. Li et al., Exploring plain vision transformer backbones for object detection, ECCV 2022. Of
    several maps of the same size, the last ones are used.

    Args:
        input_size: width and height of the images, in pixels, see :class:`TimmNet`.
        in_channels: channels of the images, 1 or 3, see :class:`TimmNet`.
        name: timm's name of the network, see :class:`TimmNet`.
        pretrained: load timm's pretrained weights, which are downloaded if needed.
        settings: further arguments of timm's ``create_model``, such as ``drop_path_rate``.

    Raises:
        ConfigError: if timm is not installed, the network or its weights cannot be had, it does not accept
            such images, or it has no feature maps.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        name: str = "resnet18",
        pretrained: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        net = timm_network(name, input_size, in_channels, pretrained, features_only=True, **settings)
        self.normalization = _normalization(_timm(name), net, in_channels)
        self.net = net
        reductions, channels = net.feature_info.reduction(), net.feature_info.channels()
        self._channels_last = getattr(net, "output_fmt", None) == "NHWC"
        levels = {round(math.log2(each)): place for place, each in enumerate(reductions)}
        self._places = {level: place for level, place in levels.items() if level > 0}
        finest = min(self._places)
        own = {level: channels[place] for level, place in self._places.items()}
        added = {level: max(own[finest] >> (finest - level), 1) for level in range(_FINEST, finest)}
        self.channels = dict(sorted({**added, **own}.items()))
        self.finer = nn.ModuleDict(
            {str(level): _upsampling(own[finest], finest - level) for level in sorted(added)}
        )
        if not is_blank():
            maps = _try(self, name, input_size, in_channels, self._maps)
            _check_patches(name, input_size, reductions)
            _check_sizes(name, input_size, maps, [reductions[place] for place in self._places.values()])

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Encode images as described in :meth:`Encoder.forward`."""
        maps = self._maps(images)
        finest = min(maps)
        maps.update({int(level): layer(maps[finest]) for level, layer in self.finer.items()})
        return {level: _resized(maps[level], images, level) for level in sorted(maps)}

    def _maps(self, images: Tensor) -> dict[int, Tensor]:
        """Return the network's own maps by level, (B, channels, height, width)."""
        found = self.net(self.normalization(images))
        maps = {level: found[place] for level, place in self._places.items()}
        return {
            level: each.permute(0, 3, 1, 2) if self._channels_last else each for level, each in maps.items()
        }


def timm_network(
    name: str, input_size: tuple[int, int], in_channels: int, pretrained: bool, **settings: Any
) -> Any:
    """Return a network of timm for normalised images of this size.

    Args:
        name: timm's name of the network.
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images, 1 or 3.
        pretrained: load timm's pretrained weights, unless a checkpoint replaces them.
        **settings: further arguments of timm's ``create_model``.

    Raises:
        ConfigError: if timm is not installed, or the network or its weights cannot be had.
    """
    timm = _timm(name)
    given = set(settings) - {"num_classes", "features_only"}
    if taken := sorted(given & _OURS):
        raise ConfigError(
            f"{name}: {', '.join(taken)} cannot be set here; it follows from the other settings"
        )
    fixed_size = _has_fixed_size(timm, name)
    if in_channels not in (1, 3):
        raise ConfigError(f"{name} takes images of 1 or 3 channels, not {in_channels}")
    settings["in_chans"] = in_channels
    if fixed_size and "img_size" not in settings:
        settings["img_size"] = (input_size[1], input_size[0])
    if not pretrained or is_blank():
        return _create(timm, name, settings)
    try:
        return _created(timm, name, {**settings, "pretrained": True})
    except Exception as error:
        _create(timm, name, settings)  # a wrong setting has its own message
        raise ConfigError(
            f"{name}: its pretrained weights cannot be fetched ({one_line(error)[:160]}); try again with a "
            "connection, copy Hugging Face's cache from a machine that has one, or set pretrained=false"
        ) from error


def _timm(name: str) -> ModuleType:
    """Return the package timm.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        return import_module("timm")
    except ImportError as error:
        raise ConfigError(
            f"{name}: networks of timm need {error.name}, which is not installed: pip install "
            "'keypoints[timm]', or in the checkout pip install -c constraints.txt -e '.[timm]'"
        ) from error


def _has_fixed_size(timm: ModuleType, name: str) -> bool:
    """Return whether the size of a network's input is fixed when it is built.

    Raises:
        ConfigError: if there is no such network.
    """
    if ":" not in name and "/" not in name and timm.is_model(name):  # others would be read from elsewhere
        try:
            return bool(getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False))
        except RuntimeError as error:
            known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
            raise ConfigError(f"timm has no weights {name}; it has {known or 'none'}") from error
    near = difflib.get_close_matches(name, timm.list_models(), 5)
    known = f"it has {', '.join(near)}, …" if near else "timm.list_models() has their names"
    raise ConfigError(f"timm has no network {name!r}; {known}")


def _create(timm: ModuleType, name: str, settings: Mapping[str, Any]) -> Any:
    """Return a network without pretrained weights.

    Raises:
        ConfigError: if timm does not accept the settings.
    """
    try:
        return _created(timm, name, settings)
    except TooLargeError:
        raise
    except Exception as error:  # timm raises errors of many types
        raise ConfigError(f"{name}: timm does not build it ({one_line(error)[:160]})") from error


def _created(timm: ModuleType, name: str, settings: Mapping[str, Any]) -> Any:
    """Return a network; some networks of a fixed size take no size when they are built."""
    try:
        return timm.create_model(name, **settings)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, **{key: each for key, each in settings.items() if key != "img_size"})


class _Normalization(nn.Module):
    """Map from images in [-0.5, 0.5] to images with the mean and standard deviation that a network expects.

    Args:
        mean: mean of each channel, of images in [0, 1].
        std: standard deviation of each channel.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(mean)[:, None, None] - _GREY)
        self.register_buffer("scale", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, C, H, W)."""
        return (images - self.shift) / self.scale


def _normalization(timm: ModuleType, net: Any, in_channels: int) -> _Normalization:
    """Return the normalisation of a network; for one channel the mean over the colours."""
    expected = timm.data.resolve_model_data_config(net)
    mean, std = (list(map(float, expected[name])) for name in ("mean", "std"))
    if in_channels == 1:
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    return _Normalization(mean, std)


def _adapt_output(net: Any, name: str) -> None:
    """Change the last layers to ones that give coordinates in full precision, initially near 0.5."""
    heads = net.get_classifier()
    parts = {part for head in (heads if isinstance(heads, tuple) else (heads,)) for part in head.modules()}
    inside = [
        (path, layer)
        for path, layer in net.named_modules()
        if layer in parts and isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    if not inside:
        raise ConfigError(f"{name}: has no last layer that could give coordinates; use it for heatmaps")
    for path, layer in inside:
        last: nn.Linear | nn.Conv2d
        if isinstance(layer, nn.Linear):
            last = CoordinateLayer(layer.in_features, layer.out_features)
        else:
            last = CoordinateConvolution(layer.in_channels, layer.out_channels, kernel_size=1)
        nn.init.normal_(last.weight, std=_LITTLE)
        nn.init.constant_(last.bias, 0.5)  # type: ignore[arg-type]
        net.set_submodule(path, last)


def _upsampling(channels: int, times: int) -> nn.Sequential:
    """Return layers that double height and width ``times`` times, and halve the channels each time."""
    layers: list[nn.Module] = []
    for _ in range(times):
        fewer = max(channels // 2, 1)
        layers += [nn.ConvTranspose2d(channels, fewer, 2, 2, bias=False), nn.BatchNorm2d(fewer), nn.ReLU()]
        channels = fewer
    return nn.Sequential(*layers, convolution(channels, channels))


def _resized(maps: Tensor, images: Tensor, level: int) -> Tensor:
    """Return maps with the size of a level: the input's, halved ``level`` times and rounded up.

    Maps of patches of 14 pixels cover the image too, but have another number of cells.
    """
    size = tuple(-(-side // 2**level) for side in images.shape[-2:])
    if tuple(maps.shape[-2:]) == size:
        return maps
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _try(
    net: nn.Module, name: str, input_size: tuple[int, int], in_channels: int, forward: Any = None
) -> Any:
    """Return the outputs of a network for a grey image.

    Raises:
        ConfigError: if it does not take such images.
    """
    width, height = input_size
    net.eval()
    try:
        with torch.no_grad():
            outputs = (forward or net)(torch.zeros(1, in_channels, height, width))
    except Exception as error:  # timm raises errors of many types
        raise ConfigError(
            f"{name} does not take images of {width} × {height} ({one_line(error)[:120]}); "
            f"{_suggestion(input_size, 32)}"
        ) from error
    net.train()
    return outputs


def _check_patches(name: str, input_size: tuple[int, int], reductions: Sequence[int]) -> None:
    """Check that no pixels are left over when a network cuts its input into patches.

    Args:
        name: timm's name of the network.
        input_size: width and height of the images, in pixels.
        reductions: factors by which the network's maps are smaller than its input.

    Raises:
        ConfigError: if the sides are no multiples of the side of a patch.
    """
    side = min(reductions, default=1)
    if len(set(reductions)) != 1 or not any(each % side for each in input_size):
        return
    raise ConfigError(
        f"{name} cuts images into patches of {side} × {side} pixels, and {input_size[0]} × {input_size[1]} "
        f"has other sides; {_suggestion(input_size, side)}"
    )


def _check_sizes(
    name: str, input_size: tuple[int, int], maps: Mapping[int, Tensor], reductions: Sequence[int]
) -> None:
    """Check that a network's maps cover its input, so that a heatmap's cells lie where they should.

    Args:
        name: timm's name of the network.
        input_size: width and height of the images, in pixels.
        maps: its maps by level.
        reductions: factors by which they are smaller than the input.

    Raises:
        ConfigError: if maps are smaller than the input divided by their factor, rounded up.
    """
    width, height = input_size
    for each, factor in zip(maps.values(), reductions, strict=True):
        if tuple(each.shape[-2:]) != (-(-height // factor), -(-width // factor)):
            raise ConfigError(
                f"{name} makes maps of {each.shape[-1]} × {each.shape[-2]} cells of {factor} pixels from "
                f"images of {width} × {height}, which leaves out pixels; "
                f"{_suggestion(input_size, max(reductions))}"
            )


def _suggestion(input_size: tuple[int, int], multiple: int) -> str:
    """Return a suggestion of an input size whose sides are multiples of a number.

    Args:
        input_size: width and height of the images that cannot be used, in pixels.
        multiple: the number, in pixels.
    """
    width, height = (max(round(side / multiple), 1) * multiple for side in input_size)
    if (width, height) == input_size:
        return "try another size, such as data.width=224 data.height=224, or another network"
    return f"try data.width={width} data.height={height}"
