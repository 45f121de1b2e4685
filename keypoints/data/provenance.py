"""Provenance of a model: the part of its training data that its file stores. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable


def data_name(train: object, root: object) -> str | None:
    """Return the name under which training data are recorded: that of their list, or else of their folder.

    Args:
        train: path of the training list, if there is one.
        root: path of the folder, if there is one.
    """
    place = train or root
    return None if place is None else Path(str(place)).name


class TrainingFaces(NamedTuple):
    """Training faces as stored in a file without torch, as plain values."""

    groups: list[str]
    """Names of the training persons or photos; results on them say nothing about new faces."""
    validated: list[str]
    """Names of the persons or photos with which the best epoch was selected."""
    mean: list[list[float]]
    """Mean of the training landmarks, (K, 2) ratios of the crop."""
    data: str | None = None
    """Name of the data set's folder or list."""


class TrainedOn(NamedTuple):
    """Training faces as stored in a checkpoint, as plain values."""

    groups: list[str]
    """Groups of the training faces (persons or photos), as named by their reader. None of them may be among
    the faces that the model is evaluated on."""
    mean: list[list[float]]
    """Mean of the training targets, (K, 2) ratios of the input; the prediction for faces whose photo cannot
    be read."""
    validated: Sequence[str] = ()
    """Groups of the faces with which the best epoch was selected."""
    support: dict[str, tuple[float, float]] | None = None
    """Range of each measure of :mod:`keypoints.data.statistics` over the augmented training faces; ``None``
    in older checkpoints."""
    data: str | None = None
    """Name of the data set's folder or list; ``None`` in older checkpoints."""

    def after(self, before: "TrainedOn | None") -> "TrainedOn":
        """Add the groups of ``before``, the training data of the model whose weights initialised this one."""
        if before is None:
            return self
        groups, validated = {*self.groups, *before.groups}, {*self.validated, *before.validated}
        return self._replace(groups=sorted(groups), validated=sorted(validated))

    def to_keep(self, data: str | None) -> TrainingFaces:
        """Return the part for a file without torch.

        Args:
            data: name of the data set, if the run says it; older checkpoints do not store it.
        """
        return TrainingFaces(list(self.groups), list(self.validated), self.mean, data or self.data)


@runtime_checkable
class HasProvenance(Protocol):
    """Datamodule with provenance of its training faces for checkpoints."""

    def trained_on(self) -> TrainedOn:
        """Return the provenance of the training faces."""
        ...
