import re

import pytest
from pytorch_lightning.callbacks import ModelCheckpoint
from rich.console import Console

from keypoints.callbacks import progress_bar
from keypoints.callbacks.progress_bar import ProgressBar


class Told(ProgressBar):
    """Bar that records the steps it is updated with."""

    def __init__(self, refresh_rate):
        super().__init__(refresh_rate)
        self.steps = []

    def _update(self, progress_bar_id, current, *args, **settings):
        if progress_bar_id is not None and progress_bar_id == self.train_progress_bar_id:
            self.steps.append(current)
        super()._update(progress_bar_id, current, *args, **settings)


@pytest.mark.parametrize(
    ("refresh_rate", "passes", "steps"),
    [(4, 0.3, [*range(1, 7), *range(1, 7)]), (4, 0.1, [1, 4, 6, 3, 6]), (4, 0, [1, 6, 6]), (0, 1, [])],
)
def test_the_bar_is_updated_when_due_and_at_each_last_step(watched, monkeypatch, refresh_rate, passes, steps):
    clock = iter(range(1000, 2000))
    monkeypatch.setattr(progress_bar, "_is_live", lambda: True)
    monkeypatch.setattr(progress_bar, "monotonic", lambda: next(clock) * passes + 1000)
    bar = Told(refresh_rate)
    watched(bar, bar=True)
    assert bar.steps == steps


@pytest.fixture
def terminal(watched, monkeypatch, capsys, tmp_path):
    """Train in a terminal of some columns; return the lines that the bar has shown."""

    def train(columns, epochs=2, monitor="val/mse"):
        monkeypatch.setattr(progress_bar, "_is_live", lambda: True)
        best = ModelCheckpoint(tmp_path, monitor=monitor, auto_insert_metric_name=False)
        how = {"force_terminal": True, "width": columns, "color_system": None}
        watched(ProgressBar(100, console_kwargs=how), best, bar=True, logger=False, epochs=epochs)
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)
        return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]

    return train


def test_a_terminal_of_80_columns_shows_losses_and_metric(terminal):
    lines = terminal(80, epochs=11)
    assert all(len(line) <= 80 for line in lines)
    number = r"\d[\d.e-]*"
    last = rf"Epoch 10/10 +\S+ 6/6 \d:\d\d:\d\d train: {number} val: {number} mse: {number}"
    assert re.fullmatch(last, lines[-1])


def test_a_wide_terminal_shows_the_best_value_and_speed(terminal):
    last = terminal(120)[-1]
    assert re.search(r" 0:00:00 left [\d.]+it/s train: \S+ val: \S+ mse: \S+ best: \S+$", last)


def test_a_monitored_loss_is_shown_once(terminal):
    assert terminal(80, monitor="loss/val")[-1].count(": ") == 2


def test_a_pipe_shows_no_bar(watched, capsys):
    watched(ProgressBar(), bar=True, logger=False)
    assert capsys.readouterr().out == ""


def test_a_notebook_shows_the_bar_only_with_ipywidgets(monkeypatch):
    monkeypatch.setattr(progress_bar, "get_console", lambda: Console(force_jupyter=True))
    for found, shown in ((None, False), (object(), True)):
        monkeypatch.setattr(progress_bar, "find_spec", lambda _, found=found: found)
        assert ProgressBar().is_enabled == shown
