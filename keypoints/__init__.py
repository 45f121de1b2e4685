"""Facial-keypoint experiments: PyTorch Lightning for training, Hydra for configuration.

Packages and modules, lowest layer first; imports run downwards only:

=================== ====================================================================
``landmarks``       landmark schemes: names of points, mirroring, distance for NME
``geometry``        affine map between a photo and a network's input
``data``            readers and formats: files in, :class:`Face` out; splits, augmentation
``models``          plain networks
``config``          schemas of the verbs, options of the groups, composition, checks
``datamodules``     faces in, splits and batches out
``tasks``           networks with a loss, metrics and an optimizer
``callbacks``       logging and checkpoints during a training
``loggers``         pictures, texts and metrics for each kind of logger
``runs``            folders of runs and sweeps
``training``        configuration in, a run's folder out
``evaluation``      predictions compared with true landmarks
``inference``       photos in, faces with predicted points out
``reports``         figures and pages
``commands``        one module per verb: its settings, its function, its output
``cli``             ``keypoints VERB [overrides]``
=================== ====================================================================

Public names are listed in ``__init__.pyi`` and imported on first use, so that ``import keypoints`` is fast
and loads torch only if it is needed. Configuration files and checkpoints use these names, never modules.
"""

import os

import lazy_loader

from keypoints.library_messages import hide_advertisements

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would check for updates online
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # mlflow refuses to write to a folder without it
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # mlflow would send usage data
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # wandb would send its errors, also offline
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime 1.29 and later send usage data
hide_advertisements()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
