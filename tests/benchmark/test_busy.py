import sys

import psutil
import pytest

from keypoints.benchmark import busy
from keypoints.benchmark.busy import (
    ACTIVE,
    BEFORE,
    OURS,
    Took,
    busy_processes,
    command_of,
    main,
    measure,
    read_times,
    summary,
    timed,
    ways_of,
    write_times,
)
from keypoints.errors import ConfigError

TOOK = [
    Took("nose_tip", OURS, 0, 10.0, 9.0),
    Took("nose_tip", OURS, 1, 12.0, 9.5),
    Took("nose_tip", ACTIVE, 0, 9.0, 15.0),
    Took("nose_tip", ACTIVE, 1, 36.0, 30.0),
]


def test_busy_processes_end_with_the_block():
    children = psutil.Process().children
    before = len(children())
    with busy_processes(2):
        assert len(children()) == before + 2
    assert len(children()) == before
    with pytest.raises(ZeroDivisionError), busy_processes(2):
        raise ZeroDivisionError
    assert len(children()) == before


def test_a_command_is_timed_with_its_variables(tmp_path):
    code = "import os, sys, time; time.sleep(0.1); sys.exit(os.environ['KIND'] != 'mine')"
    wall, processor = timed([sys.executable, "-c", code], {"KIND": "mine"}, tmp_path)
    assert wall >= 0.1
    assert processor > 0
    with pytest.raises(ConfigError, match="exit status 1"):
        timed([sys.executable, "-c", code], {"KIND": "other"}, tmp_path)


def test_each_command_meets_each_state_in_each_round(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        busy, "timed", lambda command, variables, folder: (calls.append((command, variables)), (1.0, 2.0))[1]
    )
    took = measure(["nose_tip", "predict"], 2, tmp_path / "m.onnx", "photos")
    assert len(took) == len(calls) == 2 * 2 * 4
    assert [each.command for each in took[:8]] == ["nose_tip"] * 4 + ["predict"] * 4
    states = [(each.way, each.busy) for each in took]
    assert states[:4] == states[8:12][::-1]
    assert set(states) == {(OURS, 0), (OURS, 1), (ACTIVE, 0), (ACTIVE, 1)}
    assert {variables.get("OMP_WAIT_POLICY") for _, variables in calls} == {None, "ACTIVE"}


def test_unknown_commands_and_missing_photos_are_named(tmp_path, capsys):
    with pytest.raises(ConfigError, match="jump: is none of nose_tip, full_face, ibug300w, predict"):
        measure(["nose_tip", "jump"], 1, tmp_path, None)
    assert main([str(tmp_path / "t.csv"), "--command", "predict"]) == 1
    assert capsys.readouterr().err == "error: predict needs photos: --input <folder>\n"
    assert not (tmp_path / "t.csv").exists()


def test_times_survive_the_table_and_are_summed_up(tmp_path):
    write_times(tmp_path / "t.csv", TOOK)
    assert read_times(tmp_path / "t.csv") == TOOK
    lines = summary(TOOK).splitlines()
    assert lines[2] == "| `nose_tip` | ours | 10.0, 9.0 | 12.0, 9.5 | 1.20 (1.20 – 1.20) | 1 |"
    assert lines[3].startswith("| `nose_tip` | active | 9.0, 15.0 | 36.0, 30.0 | 4.00 (4.00 – 4.00) | 1.11 (")
    assert summary(TOOK[:1]).splitlines()[2] == "| `nose_tip` | ours | 10.0, 9.0 | – | – | 1 |"


def test_an_earlier_version_runs_its_own_code(tmp_path):
    with pytest.raises(ConfigError, match=r"earlier: is no checkout of keypoints"):
        ways_of(tmp_path / "earlier")
    package = tmp_path / "earlier" / "keypoints"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; sys.exit(f'earlier, with {sys.argv[1]}')")
    ways = ways_of(tmp_path / "earlier")
    assert list(ways) == [OURS, BEFORE]
    command = command_of("nose_tip", tmp_path / "run", tmp_path, None)
    with pytest.raises(ConfigError, match="earlier, with train"):
        timed(command, ways[BEFORE], tmp_path)
