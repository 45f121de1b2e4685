import time

import pytorch_lightning as pl

from keypoints.callbacks.stopwatch import Epoch, Shares, Stopwatch


class Sleeping(pl.Callback):
    """Takes its time at each step, at each validation, and for what it makes of it."""

    def on_train_batch_start(self, *_):
        time.sleep(0.01)

    def on_validation_batch_start(self, *_):
        time.sleep(0.5)

    def on_validation_end(self, *_):
        time.sleep(0.1)


def test_epochs_between_first_and_last_are_timed_with_callbacks_but_without_validating(watched):
    watch = Stopwatch()
    watched(watch, Sleeping(), epochs=3)
    (epoch,) = watch.epochs
    assert epoch.timed > 1
    assert epoch.steps > 0.01 * epoch.timed
    assert 0.1 < epoch.rest < 0.5
    assert watch.memory > 1e8


class Beginning(pl.Callback):
    """Notes when each epoch begins."""

    def __init__(self):
        self.began = []

    def on_train_epoch_start(self, *_):
        self.began.append(time.perf_counter())


class Measuring(Beginning):
    """Does something else before each epoch."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def on_train_epoch_start(self, *_):
        super().on_train_epoch_start()
        with self.watch.stopped():
            time.sleep(0.5)


def test_what_is_done_while_it_is_stopped_is_left_out(watched):
    watch, before = Stopwatch(), Beginning()
    measuring = Measuring(watch)
    watched(before, watch, measuring, epochs=3)
    (epoch,) = watch.epochs
    assert epoch.steps > 0
    assert epoch.steps + epoch.rest <= measuring.began[2] - before.began[1] - 0.5


def test_an_epoch_is_put_together_of_its_parts():
    assert Epoch(timed=4, steps=12, rest=10).seconds(8) == 24 + 10


def test_time_is_counted_once_for_the_innermost_of_what_takes_it():
    shares = Shares(pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"))
    began = time.perf_counter()
    with shares.profile("run_training_epoch"), shares.profile("run_training_batch"):
        time.sleep(0.02)
        with shares.profile("[Callback]Sleeping.on_before_backward"):
            time.sleep(0.05)
    with shares.profile("[Callback]ModelCheckpoint{'monitor': 'val/mse'}.on_train_epoch_end"):
        time.sleep(0.03)
    passed = time.perf_counter() - began
    assert shares.of_steps["the step"] >= 0.02
    assert shares.of_steps["callback Sleeping"] >= 0.05
    assert sum(shares.of_steps.values()) + sum(shares.of_epochs.values()) <= passed + 0.02
    assert shares.of_epochs["callback ModelCheckpoint"] >= 0.03
    assert "callback Sleeping" not in shares.of_epochs
    shares.clear()
    shares.pause()
    with shares.profile("run_training_batch"):
        pass
    assert "the step" not in shares.of_steps | shares.of_epochs
