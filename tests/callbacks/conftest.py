import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keypoints.components import configure
from keypoints.datamodules.imm import IMMDataModule
from keypoints.models.convnet import ConvNet
from keypoints.tasks.regression import RegressionTask


@pytest.fixture
def watched(made_up_imm, tmp_path):
    """Train two epochs with the given callbacks; return the trainer and TensorBoard's events."""

    def train(*callbacks, logger=True, epochs=2, bar=False, precision="32-true"):
        data = IMMDataModule(made_up_imm, landmarks="nose_tip", width=40, height=30)
        net = configure(ConvNet, kernel_sizes=[5, 3], channels=[4, 4], hidden=8)
        board = TensorBoardLogger(tmp_path, "tensorboard", "", default_hp_metric=False) if logger else False
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            precision=precision,
            callbacks=list(callbacks),
            logger=board,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
            enable_progress_bar=bar,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        pl.seed_everything(0, verbose=False)
        task = RegressionTask(data.scheme, data.crop, net=net)
        torch.nn.init.constant_(task.net.head[-1].bias, 0.5)  # the first predictions lie inside the image
        trainer.fit(task, datamodule=data)
        events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0})
        return trainer, events.Reload() if logger else None

    return train
