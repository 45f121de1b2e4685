"""What a model's file keeps of its training data. Imports no torch."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class TrainingFaces(NamedTuple):
    """What a file keeps of the faces that its network was trained on, as plain values."""

    groups: list[str]
    """Their persons or photos, by name: no result on them says how well new faces are predicted."""
    validated: list[str]
    """The persons or photos by which the best epoch was chosen."""
    mean: list[list[float]]
    """The mean of their landmarks, (K, 2) ratios of the crop."""
    data: str | None = None
    """The name of the data set's folder or list."""


class TrainedOn(NamedTuple):
    """What a checkpoint keeps of the faces that it was trained on, as plain values."""

    groups: list[str]
    """Their groups: persons, photos, by the names that their reader gives them. None of them may be among
    the faces that the model is judged by."""
    mean: list[list[float]]
    """The mean of their targets, (K, 2) ratios of the input: what to say of a face that cannot be seen."""
    validated: Sequence[str] = ()
    """The groups of the faces by which the best epoch was chosen."""
    support: dict[str, tuple[float, float]] | None = None
    """The range of each measure of :mod:`keypoints.data.statistics`, over the faces as the network saw them,
    augmented; ``None`` in older checkpoints."""

    def after(self, before: "TrainedOn | None") -> "TrainedOn":
        """The same, of a model that began with the weights of one that was trained on ``before``."""
        if before is None:
            return self
        groups, validated = {*self.groups, *before.groups}, {*self.validated, *before.validated}
        return self._replace(groups=sorted(groups), validated=sorted(validated))

    def to_keep(self, data: str | None) -> TrainingFaces:
        """Return what a file without torch keeps of it; ``data`` is the name of the data set."""
        return TrainingFaces(list(self.groups), list(self.validated), self.mean, data)


@runtime_checkable
class HasProvenance(Protocol):
    """Datamodule that says what a checkpoint is to keep of its training faces."""

    def trained_on(self) -> TrainedOn:
        """Return what a checkpoint keeps of the training faces."""
        ...
