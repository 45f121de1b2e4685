import json

import pytest

from keypoints.commands import compose
from keypoints.errors import ConfigError
from tests.conftest import SMALL
from tests.working import bench


def of(made_up_imm, folder, *overrides):
    short = ["rounds=2", "seconds=0.05", f"data.root={made_up_imm}", f"output={folder}"]
    return bench(compose("bench", [*SMALL, *short, *overrides]))


def test_each_part_is_measured_and_only_results_remain(made_up_imm, tmp_path):
    result = of(made_up_imm, tmp_path / "speed", "augmentation=rotate_shift")
    assert {path.name for path in (tmp_path / "speed").iterdir()} == {"bench.json", "bench.png"}
    assert json.loads((tmp_path / "speed" / "bench.json").read_text()) == result
    parts = {"loader", "step", "trainer", "course_loader", "course_loop"}
    assert set(result["images_per_second"]) == parts
    for measured in [*result["images_per_second"].values(), *result["ratio"].values()]:
        assert 0 < measured["lowest"] <= measured["median"] <= measured["highest"]
    assert 0 < result["one_core"]["augmented"] < result["one_core"]["plain"]
    assert {"the step", "waiting for the loader", "Lightning itself"} <= set(result["step_ms"])
    assert {"callback FirstLayerFilters", "callback BestCheckpoint", "logging"} <= set(result["epoch_ms"])
    assert "callback Stopwatch" not in result["step_ms"].keys() | result["epoch_ms"].keys()
    assert result["steps_an_epoch"] == 6
    assert result["memory_mb"]["resident"] > 100


@pytest.mark.parametrize("override", ["rounds=0", "seconds=-1", "trainer.devices=2"])
def test_invalid_settings_are_refused(made_up_imm, tmp_path, override):
    with pytest.raises(ConfigError, match=r"number above 0|from 1 up|trainer\.devices=1"):
        of(made_up_imm, tmp_path / "speed", override)
    assert not list(tmp_path.iterdir())
