"""Training loss of an epoch, without a call of Lightning's ``log`` at each step.

``log`` at each step costs about 6 % of the processor time of ``nose_tip``, the smallest training, and nothing
measurable on 300-W (results/bench). Set :attr:`keypoints.Task.logs_each_step` to true to let Lightning take
the mean.
"""

import torch
from torch import Tensor


class EpochMean:
    """Mean of a loss over the faces of an epoch, as Lightning's ``log(..., on_epoch=True)`` takes it.

    With missing labels it is the mean over the labelled points. The losses stay on their device, so that the
    CPU does not wait for a GPU.
    """

    def __init__(self) -> None:
        self._losses: list[tuple[Tensor, int, Tensor | None]] = []

    def __bool__(self) -> bool:
        """Return whether there was a step."""
        return bool(self._losses)

    @property
    def faces(self) -> int:
        """Number of faces in the steps."""
        return sum(faces for _, faces, _ in self._losses)

    def add(self, loss: Tensor, faces: int, labelled: Tensor | None = None) -> None:
        """Add the loss of a step.

        Args:
            loss: a scalar, the mean over the step's faces, or over its labelled points.
            faces: number of faces in the step.
            labelled: number of labelled points in the step, a scalar; ``None`` if all points are labelled.
        """
        self._losses.append((loss.detach(), faces, labelled))

    def compute(self) -> Tensor:
        """Return the mean, a scalar on the losses' device; 0 if no point is labelled."""
        losses = torch.stack([loss for loss, _, _ in self._losses])
        counts = [labelled for _, _, labelled in self._losses if labelled is not None]
        if len(counts) == len(losses):
            points = torch.stack(counts)
            return (losses * points).sum() / points.sum().clamp(min=1)
        weights = torch.tensor([faces for _, faces, _ in self._losses], device=losses.device) / self.faces
        return (losses * weights).sum()

    def reset(self) -> None:
        """Discard all steps."""
        self._losses.clear()
