"""The public names of the package: one list for :mod:`lazy_loader`, ``__all__`` and type checkers."""

from ._version import __version__ as __version__
from .augmentation import Augmentation as Augmentation
from .callbacks.baseline import ConstantPredictor as ConstantPredictor
from .callbacks.best import BestCheckpoint as BestCheckpoint
from .callbacks.channels_last import ChannelsLast as ChannelsLast
from .callbacks.description import Description as Description
from .callbacks.filters import FirstLayerFilters as FirstLayerFilters
from .callbacks.last import LastCheckpoint as LastCheckpoint
from .callbacks.predictions import ValidationPanel as ValidationPanel
from .callbacks.progress import ProgressBar as ProgressBar
from .components import configure as configure
from .components import trust as trust
from .components import trusting as trusting
from .datamodules.base import FaceDataModule as FaceDataModule
from .datamodules.dataset import Batch as Batch
from .datamodules.ibug import IBUG300WDataModule as IBUG300WDataModule
from .datamodules.imm import IMMDataModule as IMMDataModule
from .datamodules.labelled import LabelledDataModule as LabelledDataModule
from .datasets.face import Face as Face
from .datasets.predictions import PredictedFace as PredictedFace
from .errors import KeypointsError as KeypointsError
from .geometry import Affine as Affine
from .geometry import Box as Box
from .geometry import Crop as Crop
from .landmarks import IBUG68 as IBUG68
from .landmarks import IMM58 as IMM58
from .landmarks import LandmarkScheme as LandmarkScheme
from .loggers import MetricsTable as MetricsTable
from .losses import AdaptiveWingLoss as AdaptiveWingLoss
from .losses import HeatmapKLLoss as HeatmapKLLoss
from .losses import WingLoss as WingLoss
from .models.classifier import TorchvisionNet as TorchvisionNet
from .models.convnet import ConvNet as ConvNet
from .models.encoders import (
    ConvEncoder as ConvEncoder,
)
from .models.encoders import (
    Encoder as Encoder,
)
from .models.encoders import (
    TorchvisionEncoder as TorchvisionEncoder,
)
from .models.heatmaps import HeatmapNet as HeatmapNet
from .predictor import Predictor as Predictor
from .sweeps import RememberSweep as RememberSweep
from .tasks.base import Task as Task
from .tasks.base import load_task as load_task
from .tasks.heatmap import HeatmapTask as HeatmapTask
from .tasks.regression import RegressionTask as RegressionTask
from .transforms import LowResolution as LowResolution
