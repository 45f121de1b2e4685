import logging
import re

import pytest
from pytorch_lightning.callbacks import ModelCheckpoint

from keypoints.callbacks import progress_bar
from keypoints.callbacks.epoch_lines import EpochLines
from keypoints.callbacks.progress_bar import ProgressBar

LINE = re.compile(
    r"epoch (\d)/2: train loss \S+, val loss \S+, val/mse (\S+) \(best (\S+)\), \d:\d\d:\d\d (left|in all)"
)


@pytest.fixture
def logged(watched, caplog, tmp_path):
    """Train three epochs with callbacks; return the lines of the log and of a log file."""

    def train(*callbacks, bar=False):
        handler = logging.FileHandler(tmp_path / "train.log")
        logging.getLogger().addHandler(handler)
        try:
            with caplog.at_level(logging.INFO):
                watched(EpochLines(), *callbacks, logger=False, epochs=3, bar=bar)
        finally:
            logging.getLogger().removeHandler(handler)
            handler.close()
        said = [each.getMessage() for each in caplog.records if each.name.startswith("keypoints.callbacks")]
        in_file = (tmp_path / "train.log").read_text().splitlines()
        return said, [line for line in in_file if line.startswith("epoch ")]

    return train


def test_each_epoch_is_one_line_with_losses_best_and_time(logged, tmp_path):
    best = ModelCheckpoint(tmp_path, monitor="val/mse", auto_insert_metric_name=False)
    said, in_file = logged(best)
    assert said == in_file
    found = [LINE.fullmatch(line) for line in said]
    assert [each[1] for each in found] == ["0", "1", "2"]
    assert [each[4] for each in found] == ["left", "left", "in all"]
    errors = [float(each[2]) for each in found]
    assert [float(each[3]) for each in found] == [min(errors[: place + 1]) for place in range(3)]


def test_without_a_checkpoint_there_is_no_monitored_metric(logged):
    said, _ = logged()
    assert [re.sub(r"\d[\d.e-]*(:\d\d)*", "#", line) for line in said][:1] == [
        "epoch #/#: train loss #, val loss #, # left"
    ]


def test_with_a_bar_the_lines_are_only_in_the_file(logged, monkeypatch):
    monkeypatch.setattr(progress_bar, "_is_live", lambda: True)
    said, in_file = logged(ProgressBar(), bar=True)
    assert said == []
    assert len(in_file) == 3
