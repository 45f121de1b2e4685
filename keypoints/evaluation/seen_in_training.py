"""Refusal of faces that a model was trained on: a result on them says nothing about new faces."""

from keypoints.data.provenance import TrainingFaces
from keypoints.datamodules.base import FaceDataModule
from keypoints.errors import ConfigError
from keypoints.formatting import counted


def training_notes(
    name: str,
    trained_on: TrainingFaces | None,
    data: FaceDataModule,
    split: str,
    *,
    own_data: bool,
    force: bool,
) -> list[str]:
    """Refuse faces that the model was trained on, and return warnings about its training data.

    Args:
        name: name of the model, for messages.
        trained_on: provenance of its training faces; ``None`` if its file does not store it.
        data: datamodule of the faces.
        split: name of the split that is evaluated.
        own_data: whether the data belong to the model's run: its split ``train`` was then seen in training.
        force: whether to warn about seen faces instead of refusing them.

    Raises:
        ConfigError: if the model was trained on the faces, or on others of their groups.
    """
    if trained_on is None:
        return ["the model's file does not say which faces it was trained on; these faces may be among them"]
    notes = []
    seen = 0 if own_data and split == "train" else len(data.leaks(trained_on, split))
    if seen and not force:
        raise ConfigError(
            f"{name}: was trained on {seen} of the {counted(len(data.splits[split]), 'face')} of {split}, "
            "or on "
            "others of their groups, so the result would say nothing about new faces; force=true evaluates "
            "it anyway"
        )
    if seen:
        notes.append(f"forced: the model was trained on {seen} of these faces, or on others of their groups")
    chosen = len(data.of_groups(trained_on.validated, split))
    if chosen and split != "val":
        notes.append(f"the best epoch was selected on {chosen} of these faces, or on others of their groups")
    return notes
