"""Classification networks of torchvision, changed to regress landmark coordinates."""

import warnings
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from keypoints.errors import ConfigError, one_line
from keypoints.file_kinds import TEXT, TORCH, describe_file
from keypoints.models.layers import CoordinateConvolution, CoordinateLayer, low_passed
from keypoints.models.pretrained import is_blank

_GREY = 0.5
"""Value in [0, 1] that is 0 in images in [-0.5, 0.5]."""


class TorchvisionNet(nn.Module):
    """Network of ``torchvision.models`` whose first convolution and last layer are replaced.

    With ``weights``, the input normalisation that they expect is folded into the first convolution: its
    filters are divided by the standard deviations, and the means become a bias. Images in [-0.5, 0.5] then
    give the same output as normalised colour images did before, except at the border, where padding is now
    grey instead of the mean. For one channel, the filters are then summed over the colours: a grey image
    counts as a colour image with three equal channels.

    The last layer's bias is initialised to 0.5: before training, all points are near the input's centre.

    Args:
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images, 1 or 3.
        out_features: number of outputs, two for each landmark.
        name: torchvision's name of the network: ``"resnet18"``, ``"mobilenet_v3_small"``, …
        weights: initial weights: ``None`` for random ones; the name of torchvision's own (``"DEFAULT"``,
            ``"IMAGENET1K_V1"``), which are downloaded if needed; or a file with a state dict.
        antialiased: blur before each downsampling layer but the first, see
            :func:`~keypoints.models.layers.low_passed`.
        settings: further arguments of torchvision's constructor, such as ``dropout``.

    Raises:
        ConfigError: if the network or the weights do not exist, the weights cannot be read or downloaded, or
            the network does not accept such images.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        out_features: int,
        name: str = "resnet18",
        weights: str | Path | None = None,
        antialiased: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.net = torchvision_network(name, in_channels, weights, **settings)
        if antialiased:
            low_passed(self.net)
        _adapt_output(self.net, out_features)
        if not is_blank():  # a network of a checkpoint was checked when it was trained
            self._check(input_size, in_channels, name)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, out_features)."""
        outputs: Tensor = self.net(images)
        return outputs

    def _check(self, input_size: tuple[int, int], in_channels: int, name: str) -> None:
        width, height = input_size
        self.eval()
        try:
            with torch.no_grad():
                self(torch.zeros(1, in_channels, height, width))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ConfigError(
                f"{name} does not take images of {width} × {height} ({one_line(error)[:120]})"
            ) from error
        self.train()


def torchvision_network(
    name: str, in_channels: int, weights: str | Path | None, **settings: Any
) -> nn.Module:
    """Return a network of torchvision that takes images in [-0.5, 0.5] of 1 or 3 channels.

    Args:
        name: torchvision's name of the network.
        in_channels: channels of the images, 1 or 3.
        weights: initial weights, as for :class:`TorchvisionNet`.
        **settings: further arguments of torchvision's constructor.

    Raises:
        ConfigError: if the network or the weights do not exist, or the weights cannot be read or downloaded.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ConfigError(f"torchvision has no classification network {name!r}; it has {', '.join(known)}")
    if in_channels not in (1, 3):
        raise ConfigError(f"{name} takes images of 1 or 3 channels, not {in_channels}")
    weights = None if weights is None else str(weights)
    net = _network(name, weights, settings)
    if weights is None:
        adapt_input(net, in_channels)
    else:
        adapt_normalised_input(net, in_channels, *_normalisation(name, weights))
    return net


def _network(name: str, weights: str | None, settings: dict[str, Any]) -> nn.Module:
    """Return torchvision's network, with these weights unless they come from a checkpoint later."""
    own = torchvision.models.get_model_weights(name)
    named = None if weights is None or is_blank() or weights not in own.__members__ else own[weights]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The default weight initialization")  # GoogLeNet's
        try:
            net: nn.Module = torchvision.models.get_model(name, weights=named, **settings)
        except OSError as error:  # only the download raises it
            assert named is not None
            raise ConfigError(
                f"{name}: its weights {weights} could not be downloaded ({one_line(error)}); get "
                f"{named.url} elsewhere, and name the file: model.net.weights=<file>"
            ) from error
    if weights is not None and named is None and not is_blank():
        _load(net, name, weights, own)
    # GoogLeNet and Inception have auxiliary outputs for training, and may normalise their input.
    for extra in ("aux1", "aux2", "AuxLogits"):
        if hasattr(net, extra):
            setattr(net, extra, None)
    for switch in ("aux_logits", "transform_input"):
        if hasattr(net, switch):
            setattr(net, switch, False)
    return net


def _load(net: nn.Module, name: str, weights: str, own: type[WeightsEnum]) -> None:
    """Load the state dict in the file ``weights``."""
    if not Path(weights).is_file():
        names = ", ".join(own.__members__)
        raise ConfigError(
            f"weights={weights}: is neither a file nor one of torchvision's weights for {name}: {names}"
        )
    try:
        net.load_state_dict(read_weights(weights))
    except RuntimeError as error:
        raise ConfigError(f"{weights}: does not fit {name} ({one_line(error)[:200]})") from error


def read_weights(weights: str) -> dict[str, Tensor]:
    """Return the state dict in a file.

    Args:
        weights: the file.

    Raises:
        ConfigError: if it is no file of weights, or damaged.
    """
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:
        kind = describe_file(Path(weights))
        why = f"is no file of weights, or damaged ({one_line(error)[:120]})"
        if kind not in (None, TORCH, TEXT):
            why = f"is {kind}; weights are a state dict that torch saved"
        raise ConfigError(f"{weights}: {why}") from error
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise ConfigError(f"{weights}: holds no state dict (a dictionary from names to tensors)")
    return state


def _normalisation(name: str, weights: str) -> tuple[Tensor, Tensor]:
    """Return the means and standard deviations, (3,), of images in [0, 1] that the weights expect."""
    if name in ("googlenet", "inception_v3"):  # their weights expect images in [-1, 1]
        return torch.full((3,), 0.5), torch.full((3,), 0.5)
    own = torchvision.models.get_model_weights(name)
    chosen = own[weights if weights in own.__members__ else "DEFAULT"]
    expected = chosen.transforms()
    return torch.tensor(expected.mean), torch.tensor(expected.std)


def _first_convolution(net: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return the first convolution: its name and the layer."""
    return next((name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d))


def adapt_input(net: nn.Module, in_channels: int) -> None:
    """Change the first convolution to 1 or 3 channels; its filters are random, so any of them will do.

    Args:
        net: network of three channels.
        in_channels: channels of the images, 1 or 3.
    """
    name, layer = _first_convolution(net)
    net.set_submodule(name, _convolution(layer, layer.weight[:, :in_channels], layer.bias))


def adapt_normalised_input(net: nn.Module, in_channels: int, mean: Tensor, std: Tensor) -> None:
    """Change the first convolution to images in [-0.5, 0.5] of 1 or 3 channels, without normalisation.

    Args:
        net: network of three channels, whose filters expect normalised images.
        in_channels: channels of the images, 1 or 3; the filters of a grey one are summed over the colours.
        mean: (3,) mean of the images in [0, 1] that the filters expect.
        std: (3,) standard deviation.
    """
    name, layer = _first_convolution(net)
    weight = layer.weight / std[:, None, None]
    shift = (weight * (_GREY - mean)[:, None, None]).sum(dim=(1, 2, 3))
    bias = shift if layer.bias is None else layer.bias + shift
    if in_channels == 1:
        weight = weight.sum(dim=1, keepdim=True)
    net.set_submodule(name, _convolution(layer, weight, bias))


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a convolution with the settings of ``like`` and these filters, (out, in, height, width)."""
    layer = nn.Conv2d(
        weight.shape[1],
        like.out_channels,
        like.kernel_size,  # type: ignore[arg-type]
        like.stride,  # type: ignore[arg-type]
        like.padding,  # type: ignore[arg-type]
        like.dilation,  # type: ignore[arg-type]
        bias=bias is not None,
        padding_mode=like.padding_mode,
    )
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(bias)
    return layer


def _adapt_output(net: nn.Module, out_features: int) -> None:
    """Change the last layer to ``out_features`` outputs of any sign, initially near 0.5."""
    modules = list(net.named_modules())
    place = max(i for i, (_, layer) in enumerate(modules) if isinstance(layer, nn.Linear | nn.Conv2d))
    name, last = modules[place]
    if isinstance(last, nn.Linear):
        layer: nn.Linear | nn.Conv2d = CoordinateLayer(last.in_features, out_features)
    else:
        assert isinstance(last, nn.Conv2d)
        layer = CoordinateConvolution(last.in_channels, out_features, kernel_size=1)
    nn.init.constant_(layer.bias, 0.5)  # type: ignore[arg-type]
    net.set_submodule(name, layer)
    for after, following in modules[place + 1 :]:
        if isinstance(following, nn.ReLU):  # SqueezeNet's: coordinates could not be negative
            net.set_submodule(after, nn.Identity())
