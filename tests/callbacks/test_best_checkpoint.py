import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging

from keypoints.callbacks.best_checkpoint import BestCheckpoint
from keypoints.callbacks.last_checkpoint import LastCheckpoint


@pytest.fixture
def kept(watched, tmp_path):
    """Return the trainer, and the contents of the best and the last checkpoint."""

    def train(*callbacks):
        where = {"dirpath": tmp_path, "enable_version_counter": False}
        best = BestCheckpoint(filename="best", monitor="val/mse", **where)
        last = LastCheckpoint(filename="last", **where)
        trainer, _ = watched(best, last, *callbacks, logger=False, epochs=1)
        return trainer, *(
            torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("best", "last")
        )

    return train


def test_only_the_last_checkpoint_holds_the_optimizer(kept, tmp_path):
    _, best, last = kept()
    assert set(last) - set(best) == {"optimizer_states"}
    assert last["optimizer_states"][0]["state"]
    assert (tmp_path / "best.ckpt").stat().st_size < 0.6 * (tmp_path / "last.ckpt").stat().st_size


def test_checkpoints_hold_the_averaged_weights(kept):
    trainer, best, last = kept(EMAWeightAveraging(decay=0.9))
    own = trainer.lightning_module.state_dict()
    assert set(last) - set(best) == {"optimizer_states", "current_model_state"}
    assert all(torch.equal(best["state_dict"][name], last["state_dict"][name]) for name in own)
    assert not all(torch.equal(last["current_model_state"][name], last["state_dict"][name]) for name in own)


def test_resuming_from_the_best_checkpoint_is_refused(kept, tmp_path):
    trainer, _, _ = kept()
    again = pl.Trainer(accelerator="cpu", max_epochs=3, logger=False, default_root_dir=tmp_path)
    with pytest.raises(KeyError, match="contains only the model"):
        again.fit(
            trainer.lightning_module, datamodule=trainer.datamodule, ckpt_path=str(tmp_path / "best.ckpt")
        )
