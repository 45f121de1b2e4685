import pytest
import pytorch_lightning as pl
import torch

from keypoints.callbacks import last_checkpoint
from keypoints.callbacks.last_checkpoint import LastCheckpoint


class Clock:
    """Clock that each epoch advances by a fixed number of seconds."""

    def __init__(self, an_epoch):
        self.now, self._an_epoch = 100.0, an_epoch

    def __call__(self):
        return self.now

    def turn(self):
        self.now += self._an_epoch


class Turning(pl.Callback):
    """Callback that advances the clock, and records the epoch in the file after each epoch."""

    def __init__(self, clock, file):
        self.clock, self.file, self.kept = clock, file, []

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch:
            self.kept.append(epoch_of(self.file) if self.file.exists() else None)
        self.clock.turn()


class Stopping(pl.Callback):
    """Callback that stops a training at the end of an epoch."""

    def __init__(self, after):
        self.after = after

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == self.after


def epoch_of(file):
    return torch.load(file, weights_only=True)["epoch"]


@pytest.fixture
def kept(watched, tmp_path, monkeypatch):
    """Return the epoch in the file after each epoch of a training, and at the end."""

    def train(an_epoch, *callbacks, epochs=5, **settings):
        clock, file = Clock(an_epoch), tmp_path / "last.ckpt"
        monkeypatch.setattr(last_checkpoint, "monotonic", clock)
        turning = Turning(clock, file)
        checkpoint = LastCheckpoint(
            dirpath=tmp_path, filename="last", enable_version_counter=False, **settings
        )
        watched(turning, *callbacks, checkpoint, logger=False, epochs=epochs)
        return [*turning.kept, epoch_of(file)]

    return train


def test_epochs_longer_than_the_interval_are_all_written(kept):
    assert kept(5.5) == [0, 1, 2, 3, 4]


def test_short_epochs_are_written_once_in_five_seconds(kept):
    assert kept(2.0, epochs=7) == [0, 0, 0, 3, 3, 3, 6]


def test_zero_seconds_write_every_epoch(kept):
    assert kept(0.0, seconds=0) == [0, 1, 2, 3, 4]


def test_the_epoch_at_which_a_callback_stops_is_written(kept):
    assert kept(0.1, Stopping(after=2)) == [0, 0, 2]


def test_the_interval_counts_from_the_last_written_epoch(kept):
    assert kept(3.0, epochs=7, every_n_epochs=2)[1:] == [1, 1, 3, 3, 5, 5]


def test_negative_seconds_are_refused():
    with pytest.raises(ValueError, match="from 0 up, not -1"):
        LastCheckpoint(seconds=-1)
