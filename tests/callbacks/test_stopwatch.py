import time

import pytorch_lightning as pl

from keypoints.callbacks.stopwatch import Epoch, Shares, Stopwatch


class Sleeping(pl.Callback):
    """Callback that sleeps at each step, during each validation and after it."""

    def on_train_batch_start(self, *_):
        time.sleep(0.01)

    def on_validation_batch_start(self, *_):
        time.sleep(0.5)

    def on_validation_end(self, *_):
        time.sleep(0.1)


def test_timing_includes_callbacks_but_not_the_validation(watched):
    watch = Stopwatch()
    watched(watch, Sleeping(), epochs=3)
    (epoch,) = watch.epochs
    assert epoch.timed > 1
    assert epoch.steps > 0.01 * epoch.timed
    assert 0.1 < epoch.rest < 0.5
    assert watch.memory > 1e8


class Beginning(pl.Callback):
    """Callback that records when each epoch begins."""

    def __init__(self):
        self.began = []

    def on_train_epoch_start(self, *_):
        self.began.append(time.perf_counter())


class Measuring(Beginning):
    """Callback that sleeps before each epoch while the stopwatch is stopped."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def on_train_epoch_start(self, *_):
        super().on_train_epoch_start()
        with self.watch.stopped():
            time.sleep(0.5)


def test_time_while_the_stopwatch_is_stopped_is_excluded(watched):
    watch, before = Stopwatch(), Beginning()
    measuring = Measuring(watch)
    watched(before, watch, measuring, epochs=3)
    (epoch,) = watch.epochs
    assert epoch.steps > 0
    assert epoch.steps + epoch.rest <= measuring.began[2] - before.began[1] - 0.5


def test_the_time_of_an_epoch_scales_with_its_steps():
    assert Epoch(timed=4, steps=12, rest=10).seconds(8) == 24 + 10


def test_time_is_counted_for_the_innermost_action_only():
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
