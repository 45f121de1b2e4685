"""Names in files from older versions: classes, constructor arguments, configuration keys.

Checkpoints, runs and users' own YAML files may contain them. When you rename something public, add its old
name here.
"""

from collections.abc import Mapping
from typing import Any

CLASSES: Mapping[str, str] = {
    "keypoints.augmentation.Augmentation": "keypoints.Augmentation",
    "keypoints.callbacks.baseline.ConstantPredictor": "keypoints.ConstantPredictor",
    "keypoints.callbacks.best.BestCheckpoint": "keypoints.BestCheckpoint",
    "keypoints.callbacks.channels_last.ChannelsLast": "keypoints.ChannelsLast",
    "keypoints.callbacks.description.Description": "keypoints.Description",
    "keypoints.callbacks.filters.FirstLayerFilters": "keypoints.FirstLayerFilters",
    "keypoints.callbacks.last.LastCheckpoint": "keypoints.LastCheckpoint",
    "keypoints.callbacks.predictions.ValidationPanel": "keypoints.ValidationPanel",
    "keypoints.callbacks.progress.ProgressBar": "keypoints.ProgressBar",
    "keypoints.datamodules.base.FaceDataModule": "keypoints.FaceDataModule",
    "keypoints.datamodules.dataset.Batch": "keypoints.Batch",
    "keypoints.datamodules.ibug.IBUG300WDataModule": "keypoints.IBUG300WDataModule",
    "keypoints.datamodules.imm.IMMDataModule": "keypoints.IMMDataModule",
    "keypoints.datamodules.labelled.LabelledDataModule": "keypoints.LabelledDataModule",
    "keypoints.datasets.face.Face": "keypoints.Face",
    "keypoints.datasets.predictions.PredictedFace": "keypoints.PredictedFace",
    "keypoints.geometry.Affine": "keypoints.Affine",
    "keypoints.geometry.Box": "keypoints.Box",
    "keypoints.geometry.Crop": "keypoints.Crop",
    "keypoints.landmarks.LandmarkScheme": "keypoints.LandmarkScheme",
    "keypoints.loggers.MetricsTable": "keypoints.MetricsTable",
    "keypoints.losses.AdaptiveWingLoss": "keypoints.AdaptiveWingLoss",
    "keypoints.losses.MapDivergence": "keypoints.HeatmapKLLoss",
    "keypoints.losses.WingLoss": "keypoints.WingLoss",
    "keypoints.models.classifier.TorchvisionNet": "keypoints.TorchvisionNet",
    "keypoints.models.convnet.ConvNet": "keypoints.ConvNet",
    "keypoints.models.encoders.ConvEncoder": "keypoints.ConvEncoder",
    "keypoints.models.encoders.Encoder": "keypoints.Encoder",
    "keypoints.models.encoders.TorchvisionEncoder": "keypoints.TorchvisionEncoder",
    "keypoints.models.heatmaps.HeatmapNet": "keypoints.HeatmapNet",
    "keypoints.predictor.Predictor": "keypoints.Predictor",
    "keypoints.sweeps.RememberSweep": "keypoints.RememberSweep",
    "keypoints.tasks.base.Task": "keypoints.Task",
    "keypoints.tasks.heatmap.HeatmapTask": "keypoints.HeatmapTask",
    "keypoints.tasks.regression.RegressionTask": "keypoints.RegressionTask",
    "keypoints.transforms.LowResolution": "keypoints.LowResolution",
}
"""Public names of classes by their older names."""

PACKAGES: Mapping[str, str] = {
    "lightning.fabric.": "lightning_fabric.",
    "lightning.pytorch.": "pytorch_lightning.",
}
"""Prefixes of Lightning's other package, and those of the same classes in the packages that train here.

They are replaced even if the package ``lightning`` is installed: a Trainer of one refuses callbacks and
loggers of the other.
"""

ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "keypoints.HeatmapNet": {"beyond": "heatmap_padding"},
}
"""Arguments of classes by their older names."""

KEYS: Mapping[str, str] = {"model.net.beyond": "model.net.heatmap_padding"}
"""Keys of the configuration by their older names."""

SCHEME: Mapping[str, str] = {"flip": "flip_indices", "pair": "normalizing_points"}
"""Fields of a landmark scheme by their older names."""


def current_class(target: str) -> str:
    """Return the current name of a class.

    Args:
        target: name in a file.
    """
    for before, now in PACKAGES.items():
        if target.startswith(before):
            return now + target.removeprefix(before)
    return CLASSES.get(target, target)


def current(settings: Any) -> Any:
    """Return settings with the current names of classes and arguments at every depth.

    Args:
        settings: plain values, as in a file.
    """
    if isinstance(settings, list):
        return [current(each) for each in settings]
    if not isinstance(settings, Mapping):
        return settings
    target = settings.get("_target_")
    if not isinstance(target, str):
        return {key: current(value) for key, value in settings.items()}
    target = current_class(target)
    arguments = ARGUMENTS.get(target, {})
    return {
        arguments.get(key, key): target if key == "_target_" else current(value)
        for key, value in settings.items()
    }


def current_key(key: str) -> str:
    """Return the current dotted key of a setting of the configuration.

    Args:
        key: typed or recorded key, such as ``model.net.beyond``.
    """
    return KEYS.get(key, key)
