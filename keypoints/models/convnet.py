"""Small convolutional network of the course (UC Berkeley CS 194-26/294-26, project 5)."""

from collections.abc import Sequence

from torch import Tensor, nn

from keypoints.models.layers import CoordinateLayer, low_passed, normalization_layer


class ConvNet(nn.Module):
    """Convolutions, each followed by normalisation, ReLU and max-pooling, then two linear layers.

    Args:
        input_size: width and height of the images, in pixels.
        in_channels: channels of the images.
        out_features: number of outputs.
        kernel_sizes: side of each convolution's kernel, first to last.
        channels: output channels of each convolution, one entry for each kernel.
        pooling: window and stride of the max-pooling after each convolution: one number for all or one
            for each; 1 means no pooling.
        hidden: width of the first linear layer.
        normalization: layer after each convolution: ``"batch"``, ``"group"`` or ``"none"``.
        padded: pad each convolution to keep width and height; otherwise it removes ``kernel_size - 1``.
        antialiased: blur in each max-pooling, see :func:`~keypoints.models.layers.low_passed`.

    Raises:
        ValueError: if the lists differ in length, a number is below 1, or a kernel or pooling window is
            larger than its input.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        in_channels: int,
        out_features: int,
        kernel_sizes: Sequence[int] = (7, 5, 3),
        channels: Sequence[int] = (12, 24, 32),
        pooling: int | Sequence[int] = 2,
        hidden: int = 128,
        normalization: str = "none",
        padded: bool = False,
        antialiased: bool = False,
    ) -> None:
        super().__init__()
        pools = [pooling] * len(kernel_sizes) if isinstance(pooling, int) else list(pooling)
        if not kernel_sizes or not len(kernel_sizes) == len(channels) == len(pools):
            raise ValueError(
                f"kernel_sizes {list(kernel_sizes)}, channels {list(channels)} and pooling {pools} "
                "need one entry for each convolution"
            )
        if min(*kernel_sizes, *channels, *pools, hidden) < 1:
            raise ValueError("kernel_sizes, channels, pooling and hidden are whole numbers from 1 up")
        width, height = input_size
        layers: list[nn.Module] = []
        for place, (kernel, features, pool) in enumerate(zip(kernel_sizes, channels, pools, strict=True), 1):
            lost = 0 if padded else kernel - 1
            if kernel > min(width, height) or pool > min(width, height) - lost:
                raise ValueError(
                    f"kernel_sizes={list(kernel_sizes)} with pooling={pools}: convolution {place} "
                    f"({kernel} × {kernel}, then {pool} × {pool}) is larger than the {width} × {height} "
                    "pixels that reach it; take smaller kernels, less pooling, or a larger input"
                )
            normalized = normalization_layer(normalization, features)
            padding = "same" if padded else "valid"
            convolution = nn.Conv2d(in_channels, features, kernel, padding=padding, bias=not normalized)
            layers += [convolution, *normalized, nn.ReLU()]
            width, height = width - lost, height - lost
            if pool > 1:
                layers.append(nn.MaxPool2d(pool))
                width, height = width // pool, height // pool
            in_channels = features
        self.features = nn.Sequential(*layers)
        if antialiased:
            low_passed(self.features)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_channels * width * height, hidden),
            nn.ReLU(),
            CoordinateLayer(hidden, out_features),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, out_features)."""
        outputs: Tensor = self.head(self.features(images))
        return outputs
