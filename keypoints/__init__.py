"""Facial-keypoint experiments: PyTorch Lightning for training, Hydra for configuration.

The map, from the ground up; imports run downwards only:

=================== ==============================================================
``landmarks``       what a point is called, how a face mirrors, how NME is normed
``geometry``        the one affine between a photo and a network's input
``datasets``        readers: files in, :class:`Face` out
``augmentation``    albumentations, keypoint-aware, the same whatever the workers
``datamodules``     faces in, splits and batches out
``models``          plain networks
``tasks``           networks with a loss, metrics and an optimizer
``predictor``       a model at work: photos in, faces with their points out
``callbacks``       what is looked at while training
``train`` …         one workflow a file: configuration in, result out
``works``           what each verb does and prints
``cli``             ``keypoints VERB [overrides]``
=================== ==============================================================

Names are imported when they are first asked for, so that ``import keypoints`` costs nothing
and what needs no torch never loads it.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for a newer one
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime from 1.29 on tells its maker what it runs

if TYPE_CHECKING:
    from keypoints.augmentation import Augmentation
    from keypoints.components import configure, trust, trusting
    from keypoints.datamodules.base import FaceDataModule
    from keypoints.datamodules.dataset import Batch
    from keypoints.datamodules.ibug import IBUG300WDataModule
    from keypoints.datamodules.imm import IMMDataModule
    from keypoints.datamodules.labelled import LabelledDataModule
    from keypoints.datasets.face import Face
    from keypoints.datasets.predictions import PredictedFace
    from keypoints.errors import KeypointsError
    from keypoints.geometry import Affine, Box, Crop
    from keypoints.landmarks import IBUG68, IMM58, LandmarkScheme
    from keypoints.models.classifier import TorchvisionNet
    from keypoints.models.convnet import ConvNet
    from keypoints.models.heatmaps import HeatmapNet
    from keypoints.predictor import Predictor
    from keypoints.tasks.base import Task, load_task
    from keypoints.tasks.heatmap import HeatmapTask
    from keypoints.tasks.regression import RegressionTask

_HOME = {
    "Affine": "geometry",
    "Augmentation": "augmentation",
    "Batch": "datamodules.dataset",
    "Box": "geometry",
    "ConvNet": "models.convnet",
    "Crop": "geometry",
    "Face": "datasets.face",
    "FaceDataModule": "datamodules.base",
    "HeatmapNet": "models.heatmaps",
    "HeatmapTask": "tasks.heatmap",
    "IBUG68": "landmarks",
    "IMM58": "landmarks",
    "IBUG300WDataModule": "datamodules.ibug",
    "IMMDataModule": "datamodules.imm",
    "KeypointsError": "errors",
    "LabelledDataModule": "datamodules.labelled",
    "LandmarkScheme": "landmarks",
    "PredictedFace": "datasets.predictions",
    "Predictor": "predictor",
    "RegressionTask": "tasks.regression",
    "Task": "tasks.base",
    "TorchvisionNet": "models.classifier",
    "configure": "components",
    "load_task": "tasks.base",
    "trust": "components",
    "trusting": "components",
}

__all__ = [
    "IBUG68",
    "IMM58",
    "Affine",
    "Augmentation",
    "Batch",
    "Box",
    "ConvNet",
    "Crop",
    "Face",
    "FaceDataModule",
    "HeatmapNet",
    "HeatmapTask",
    "IBUG300WDataModule",
    "IMMDataModule",
    "KeypointsError",
    "LabelledDataModule",
    "LandmarkScheme",
    "PredictedFace",
    "Predictor",
    "RegressionTask",
    "Task",
    "TorchvisionNet",
    "configure",
    "load_task",
    "trust",
    "trusting",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
