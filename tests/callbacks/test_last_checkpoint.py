import pytest
import pytorch_lightning as pl
import torch

from keypoints.callbacks import last_checkpoint
from keypoints.callbacks.last_checkpoint import LastCheckpoint


class Clock:
    """A clock that an epoch moves on by so many seconds."""

    def __init__(self, an_epoch):
        self.now, self._an_epoch = 100.0, an_epoch

    def __call__(self):
        return self.now

    def turn(self):
        self.now += self._an_epoch


class Turning(pl.Callback):
    """Turns the clock, and notes which epochs a file holds once the epoch is over."""

    def __init__(self, clock, file):
        self.clock, self.file, self.kept = clock, file, []

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch:
            self.kept.append(epoch_of(self.file) if self.file.exists() else None)
        self.clock.turn()


class Stopping(pl.Callback):
    """Stops a training as an epoch ends."""

    def __init__(self, after):
        self.after = after

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == self.after


def epoch_of(file):
    return torch.load(file, weights_only=True)["epoch"]


@pytest.fixture
def kept(watched, tmp_path, monkeypatch):
    """The epoch in the file after each epoch of a training, and in the end."""

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


def test_epochs_that_take_longer_are_all_written(kept):
    assert kept(5.5) == [0, 1, 2, 3, 4]


def test_of_short_epochs_the_first_the_last_and_one_in_five_seconds_are_written(kept):
    assert kept(2.0, epochs=7) == [0, 0, 0, 3, 3, 3, 6]


def test_every_epoch_is_written_where_that_is_wanted(kept):
    assert kept(0.0, seconds=0) == [0, 1, 2, 3, 4]


def test_the_epoch_that_a_callback_stops_at_is_written(kept):
    assert kept(0.1, Stopping(after=2)) == [0, 0, 2]


def test_of_every_second_epoch_the_clock_waits_for_those_that_are_written(kept):
    assert kept(3.0, epochs=7, every_n_epochs=2)[1:] == [1, 1, 3, 3, 5, 5]


def test_less_than_no_time_is_refused():
    with pytest.raises(ValueError, match="from 0 up, not -1"):
        LastCheckpoint(seconds=-1)
