"""Public names of the package: one list for :mod:`lazy_loader`, ``__all__`` and type checkers."""

from ._version import __version__ as __version__
from .callbacks.best_checkpoint import BestCheckpoint as BestCheckpoint
from .callbacks.channels_last import ChannelsLast as ChannelsLast
from .callbacks.epoch_lines import EpochLines as EpochLines
from .callbacks.first_layer_filters import FirstLayerFilters as FirstLayerFilters
from .callbacks.last_checkpoint import LastCheckpoint as LastCheckpoint
from .callbacks.mean_shape_baseline import ConstantPredictor as ConstantPredictor
from .callbacks.metrics_history import History as History
from .callbacks.progress_bar import ProgressBar as ProgressBar
from .callbacks.run_description import Description as Description
from .callbacks.run_description import HyperParameters as HyperParameters
from .callbacks.seed_each_epoch import SeedEachEpoch as SeedEachEpoch
from .callbacks.settings_check import SettingsCheck as SettingsCheck
from .callbacks.terminate_on_nan import FiniteLoss as FiniteLoss
from .callbacks.validation_panel import ValidationPanel as ValidationPanel
from .components import configure as configure
from .components import trust as trust
from .components import trusting as trusting
from .crop import Crop as Crop
from .data.augmentation import Augmentation as Augmentation
from .data.augmentation_transforms import LowResolution as LowResolution
from .data.dataset import Batch as Batch
from .data.face import Face as Face
from .datamodules.base import FaceDataModule as FaceDataModule
from .datamodules.ibug300w import IBUG300WDataModule as IBUG300WDataModule
from .datamodules.imm import IMMDataModule as IMMDataModule
from .datamodules.labelled import LabelledDataModule as LabelledDataModule
from .errors import KeypointsError as KeypointsError
from .geometry import Affine as Affine
from .geometry import Box as Box
from .inference.prediction_files import PredictedFace as PredictedFace
from .inference.predictor import Predictor as Predictor
from .inference.predictor import load as load
from .instantiate import make_data as make_data
from .instantiate import make_task as make_task
from .instantiate import make_trainer as make_trainer
from .landmarks import LandmarkScheme as LandmarkScheme
from .loggers.tensorboard import TensorBoard as TensorBoard
from .models.convnet import ConvNet as ConvNet
from .models.efficientnet_lite import EfficientNetLiteEncoder as EfficientNetLiteEncoder
from .models.encoders import (
    ConvEncoder as ConvEncoder,
)
from .models.encoders import (
    Encoder as Encoder,
)
from .models.encoders import (
    TorchvisionEncoder as TorchvisionEncoder,
)
from .models.heatmap import HeatmapModule as HeatmapModule
from .models.heatmap import HeatmapNet as HeatmapNet
from .models.timm import TimmEncoder as TimmEncoder
from .models.timm import TimmNet as TimmNet
from .models.torchvision import TorchvisionNet as TorchvisionNet
from .models.unet import UNet as UNet
from .reports.opened_run import Run as Run
from .reports.opened_run import open_run as open_run
from .runs.metrics_table import MetricsTable as MetricsTable
from .runs.sweep_folder import RememberSweep as RememberSweep
from .schemes import IBUG68 as IBUG68
from .schemes import IMM58 as IMM58
from .tasks.base import Task as Task
from .tasks.base import load_task as load_task
from .tasks.heatmap import HeatmapTask as HeatmapTask
from .tasks.losses import AdaptiveWingLoss as AdaptiveWingLoss
from .tasks.losses import HeatmapKLLoss as HeatmapKLLoss
from .tasks.losses import WingLoss as WingLoss
from .tasks.regression import RegressionTask as RegressionTask
