import csv
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from keypoints.benchmark.growth import (
    POINTS,
    ROWS,
    RUNS,
    WRONG,
    Cost,
    main,
    measure,
    read_costs,
    report,
    run,
    write_costs,
    write_list,
)
from keypoints.benchmark.processes import Ran
from keypoints.commands import compose
from keypoints.data.readers.labelled import read_labelled
from keypoints.errors import ConfigError, KeypointsError
from keypoints.reports.sweep import report_sweep
from keypoints.runs.sweep_folder import SweepFolder
from tests.working import train

TINY = ("data.width=32", "data.height=32", "model.net.channels=[4,4,4]", "model.net.hidden=8")

FIRST = ("seconds", "processor_s", "memory_mb")


def in_process(words, log):
    """Run a command of the measurement in this process, with a small network."""
    try:
        if words[0] == "train":
            train(compose("train", [*words[1:], *TINY, "trainer.max_epochs=1", "~callbacks.progress"]))
        else:
            report_sweep(SweepFolder(Path(words[1])))
    except KeypointsError as error:
        return Ran(1, 1.0, 2.0, 3.0, f"error: {error}")
    return Ran(0, 1.0, 2.0, 3.0, "")


def test_a_start_is_measured(tmp_path):
    (cost,) = measure(tmp_path / "new", [20], run=in_process)
    assert (cost.kind, cost.size) == (ROWS, 20)
    assert min(cost.first_s, cost.first_processor_s, cost.first_mb, cost.written_mb) > 0
    assert cost[5:8] == (1, 2, 3)


def test_lists_have_the_asked_rows_and_points(tmp_path):
    def without_training(words, log):
        path = log.with_suffix(".csv")
        log.with_name(f"{path.stem}-first.json").write_text(json.dumps(dict.fromkeys(FIRST, 4.0)))
        checkpoint = log.with_name(f"{path.stem}-run") / "checkpoints" / "best.ckpt"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_bytes(bytes(2_000_000))
        return Ran(0, 1.0, 2.0, 3.0, "")

    costs = measure(tmp_path / "new", [20], [3], run=without_training)
    assert costs == [Cost(ROWS, 20, 4, 4, 4, 1, 2, 3, 2), Cost(POINTS, 3, 4, 4, 4, 1, 2, 3, 2)]
    by_rows, by_points = (
        read_labelled(tmp_path / "new" / name).faces for name in ("rows-20.csv", "points-3.csv")
    )
    assert (len(by_rows), len(by_rows[0].landmarks())) == (20, 68)
    assert (len(by_points), len(by_points[0].landmarks())) == (1000, 3)


def test_a_wrong_row_is_named(tmp_path):
    (cost,) = measure(tmp_path / "new", wrong=[17], run=in_process)
    assert (cost.kind, cost.size, cost.written_mb) == (WRONG, 17, 0)
    assert math.isnan(cost.first_s)
    assert cost.said.endswith("wrong-17.csv: line 18: '12.3.4' is not a number")
    with pytest.raises(ConfigError, match="its wrong row was read"):
        measure(tmp_path / "again", wrong=[17], run=lambda *_: Ran(0, 1.0, 2.0, 3.0, ""))


def test_a_sweep_of_copies_has_settings_and_seeds(tmp_path):
    (cost,) = measure(tmp_path / "new", runs=[10], run=in_process)
    assert (cost.kind, cost.size) == (RUNS, 10)
    assert cost.written_mb > 0.01
    folder = tmp_path / "new" / "sweeps" / "runs-10"
    assert pd.read_csv(folder / "settings.csv")["seeds"].tolist() == [2] * 5
    with pytest.raises(ConfigError, match=r"^report .*: exit status 1: error: x$"):
        report(folder, 10, lambda *_: Ran(1, 1.0, 2.0, 3.0, "error: x"))


def test_faces_share_photos_unless_each_row_has_its_own(tmp_path):
    names = {}
    for own in (False, True):
        path = tmp_path / f"own-{own}.csv"
        write_list(path, 9, 2, photos=3, own_photos=own)
        with path.open(newline="") as file:
            names[own] = [row["image"] for row in csv.DictReader(file)]
    assert len(set(names[False])) == 3
    assert names[False] == sorted(names[False])
    assert len(set(names[True])) == 9
    assert len({face.group for face in read_labelled(tmp_path / "own-True.csv").faces}) == 9


def test_a_command_runs_in_a_process_of_its_own(tmp_path):
    took = run(["train", "--nonsense"], tmp_path / "log")
    assert took.status != 0
    assert took.seconds > 0
    assert took.processor_s > 0
    assert took.memory_mb > 5
    assert took.last_line == (tmp_path / "log").read_text().strip().splitlines()[-1]


def test_a_table_of_costs_is_read_back(tmp_path):
    costs = [
        Cost(ROWS, 1000, 1.5, 2.5, 300.0, 4.0, 5.0, 310.0, 3.0),
        Cost(WRONG, 99, *[math.nan] * 3, 4.0, 5.0, 310.0, 0.0, 'error: a.csv: line 100: "x", y'),
    ]
    write_costs(tmp_path / "growth.csv", costs)
    first, second = read_costs(tmp_path / "growth.csv")
    assert first == costs[0]
    assert second.said == costs[1].said
    assert math.isnan(second.first_mb)


def test_a_scratch_folder_with_files_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").touch()
    assert main([str(tmp_path), "--output", str(tmp_path / "growth.csv")]) == 1
    assert "holds files already; name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
