"""A transform that shades a part of the picture."""

from typing import Any

import albumentations
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class SideShade(albumentations.ImageOnlyTransform):
    """Light from the side: brightness falls linearly from one edge of the picture to the other.

    It changes pixels only, so points stay where they are.

    Args:
        darkest: smallest and largest brightness of the darker edge, as a fraction of the original.
        p: probability.

    Raises:
        ValueError: if the range is not within 0 and 1.
    """

    class InitSchema(albumentations.BasicTransform.InitSchema):
        """Schema by which albumentations checks the settings."""

        darkest: tuple[float, float]

    def __init__(self, darkest: tuple[float, float] = (0.3, 0.8), p: float = 0.5) -> None:
        super().__init__(p=p)
        low, high = darkest
        if not 0 <= low <= high <= 1:
            raise ValueError(f"darkest is a range within 0 and 1, not {darkest}")
        self.darkest = darkest

    def get_params(self) -> dict[str, Any]:
        """Sample the darkest brightness and its side, from the random numbers that keypoints seeds."""
        return {"dark": self.py_random.uniform(*self.darkest), "left": self.py_random.random() < 0.5}

    def apply(self, img: Pixels, dark: float, left: bool, **params: Any) -> Pixels:
        """Shade an (H, W, C) picture."""
        shade = np.linspace(dark, 1, img.shape[1], dtype=np.float32)
        shade = shade if left else shade[::-1]
        return np.rint(img * shade[None, :, None]).astype(np.uint8)
