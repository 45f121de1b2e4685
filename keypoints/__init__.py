"""Facial-keypoint experiments: PyTorch Lightning for training, Hydra for configuration.

Packages and modules, lowest layer first; imports run downwards only:

=================== ====================================================================
``landmarks``       landmark schemes: names of points, mirroring, distance for NME
``geometry``        the one affine map between a photo and a network's input
``data``            readers and formats: files in, :class:`Face` out; splits, augmentation
``models``          plain networks
``config``          schemas of the verbs, options of the groups, composition, checks
``datamodules``     faces in, splits and batches out
``tasks``           networks with a loss, metrics and an optimizer
``callbacks``       what is logged and kept during a training
``runs``            folders of runs and sweeps
``training``        configuration in, a run's folder out
``evaluation``      predictions against true landmarks
``inference``       a model at work: photos in, faces with their points out
``reports``         figures and pages
``commands``        one verb a module: its settings, what it does and prints
``cli``             ``keypoints VERB [overrides]``
=================== ====================================================================

Public names stand in ``__init__.pyi`` and are imported on first use, so that ``import keypoints`` is fast and
what needs no torch never loads it. Configuration files and checkpoints name these, and no module.
"""

import os

import lazy_loader

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for a newer one
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime from 1.29 on tells its maker what it runs

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
