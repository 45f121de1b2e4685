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

Public names stand in ``__init__.pyi`` and are imported on first use, so that ``import keypoints`` is fast and
what needs no torch never loads it. Configuration files and checkpoints name these, and no module.
"""

import os

import lazy_loader

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for a newer one
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime from 1.29 on tells its maker what it runs

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
