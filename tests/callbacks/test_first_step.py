import json

from keypoints.callbacks.first_step import FirstStep


def test_the_cost_is_written_once_after_the_first_step(watched, tmp_path):
    path = tmp_path / "first.json"
    callback = FirstStep(str(path))
    watched(callback, epochs=1)
    took = json.loads(path.read_text())
    assert took["seconds"] > 0
    assert took["processor_s"] > 0
    assert took["memory_mb"] > 50
    path.unlink()
    callback.on_train_batch_end()
    assert not path.exists()
