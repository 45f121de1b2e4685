"""Training loss of an epoch, without a call of Lightning's ``log`` at each step.

``log`` at each step costs about 6 % of the processor time of ``nose_tip``, the smallest training, and nothing
measurable on 300-W (results/bench). Set :attr:`keypoints.Task.logs_each_step` to true to let Lightning take
the mean.
"""

import torch
from torch import Tensor


class EpochMean:
    """Mean of a loss over the faces of an epoch, as Lightning's ``log(..., on_epoch=True)`` takes it.

    The losses stay on their device, so that the CPU does not wait for a GPU.
    """

    def __init__(self) -> None:
        self._losses: list[tuple[Tensor, int]] = []

    def __bool__(self) -> bool:
        """Return whether there was a step."""
        return bool(self._losses)

    @property
    def faces(self) -> int:
        """Number of faces in the steps."""
        return sum(faces for _, faces in self._losses)

    def add(self, loss: Tensor, faces: int) -> None:
        """Add the loss of a step.

        Args:
            loss: a scalar, the mean over the step's faces.
            faces: number of faces in the step.
        """
        self._losses.append((loss.detach(), faces))

    def compute(self) -> Tensor:
        """Return the mean over the faces, a scalar on the losses' device."""
        losses = torch.stack([loss for loss, _ in self._losses])
        weights = torch.tensor([faces for _, faces in self._losses], device=losses.device) / self.faces
        return (losses * weights).sum()

    def reset(self) -> None:
        """Discard all steps."""
        self._losses.clear()
