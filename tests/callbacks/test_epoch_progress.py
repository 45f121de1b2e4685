from types import SimpleNamespace

import pytest
from pytorch_lightning.callbacks import ModelCheckpoint, Timer

from keypoints.callbacks import epoch_progress
from keypoints.callbacks.epoch_progress import TimeLeft, epoch_words, monitored


def trainer_of(max_epochs=None, max_steps=-1, step=0, epoch=0, callbacks=(), logged=None):
    """Return the parts of a trainer that the estimate reads."""
    return SimpleNamespace(
        max_epochs=max_epochs,
        max_steps=max_steps,
        global_step=step,
        current_epoch=epoch,
        callbacks=list(callbacks),
        checkpoint_callbacks=list(callbacks),
        callback_metrics=logged or {},
    )


@pytest.mark.parametrize(
    ("max_epochs", "max_steps", "seconds"),
    [(10, -1, 40), (-1, 200, 30), (10, 200, 30), (None, -1, None), (6, -1, 0)],
)
def test_the_first_limit_of_a_resumed_run_counts(monkeypatch, max_epochs, max_steps, seconds):
    now = [100.0]
    monkeypatch.setattr(epoch_progress, "monotonic", lambda: now[0])
    time = TimeLeft()
    time.begin(trainer_of(epoch=4, step=40))
    assert time.seconds(trainer_of(max_epochs, max_steps, step=40), 4) is None
    now[0] += 20
    assert time.seconds(trainer_of(max_epochs, max_steps, step=104), 6) == pytest.approx(seconds)


def test_a_time_limit_ends_the_training_earlier():
    time = TimeLeft()
    time.begin(trainer_of())
    assert time.seconds(trainer_of(callbacks=[Timer({"seconds": 7})]), 1) == pytest.approx(7)


@pytest.mark.parametrize(("mode", "score", "now", "best"), [("min", 2, 1, 1), ("max", 2, 1, 2)])
def test_the_best_value_includes_the_epoch_that_ends(tmp_path, mode, score, now, best):
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/nme", mode=mode)
    checkpoint.best_model_score = score
    found = monitored(trainer_of(callbacks=[checkpoint], logged={"val/nme": now}))
    assert (found.short, found.best) == ("nme", best)
    assert monitored(trainer_of(callbacks=[checkpoint], logged={"val/nme": float("nan")})).best == score


@pytest.mark.parametrize(("max_epochs", "words"), [(25, "epoch 3/24"), (-1, "epoch 3"), (None, "epoch 3")])
def test_an_epoch_is_numbered_from_0_to_the_last(max_epochs, words):
    assert epoch_words(trainer_of(max_epochs), 3) == words
