import json
from dataclasses import asdict

import pytest

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.errors import CheckpointError, ConfigError
from tests.working import bench_prediction

SHORT = ("rounds=2", "seconds=0.02")


@pytest.mark.parametrize(
    ("model", "runtime"), [("untrained", "torch on"), ("exported", "onnxruntime on cpu")]
)
def test_a_model_is_measured_with_several_batch_sizes(model, runtime, tmp_path, request):
    path = request.getfixturevalue(model)
    out = tmp_path / "out"
    speed = bench_prediction(compose("bench", [f"checkpoint={path}", f"output={out}", *SHORT]))
    assert {each.name for each in out.iterdir()} == {"bench.json", "bench.png"}
    result = json.loads((out / "bench.json").read_text())
    assert result == asdict(speed)
    assert result["runtime"].startswith(runtime)
    assert result["input"] == [1, 48, 48]
    for key in ("faces_per_second", "wall_ms", "processor_ms"):
        assert list(result[key]) == ["cut_out", "1", "4", "16", "64"]
        for spread in result[key].values():
            assert 0 < spread["lowest"] <= spread["median"] <= spread["highest"]


def test_the_results_folder_is_named_after_the_model(exported, tmp_path, capsys):
    main(["bench", str(exported), f"paths.outputs={tmp_path}", *SHORT])
    assert (tmp_path / "bench" / "model" / "bench.json").is_file()
    said = capsys.readouterr().out
    assert "in batches of 16" in said
    assert "cropping alone" in said


@pytest.mark.parametrize(
    ("override", "error"),
    [("rounds=0", ConfigError), ("flip_test=true", ConfigError), ("checkpoint=none.onnx", CheckpointError)],
)
def test_invalid_settings_are_refused(exported, tmp_path, override, error):
    with pytest.raises(error):
        bench_prediction(
            compose("bench", [f"checkpoint={exported}", *SHORT, f"output={tmp_path / 'out'}", override])
        )
    assert not list(tmp_path.iterdir())
