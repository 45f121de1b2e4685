"""Loop with a label tool: train, predict labels, correct them, train on them."""

import json
import shutil

import numpy as np
import pytest

from keypoints.commands import compose
from keypoints.data.formats.predictions import VISIBLE_FROM
from keypoints.data.readers.imm import read_imm
from keypoints.data.readers.labelled import read_list, write_labelled
from keypoints.errors import ConfigError
from keypoints.schemes import IMM58, scheme_named
from tests.conftest import save_untrained
from tests.working import predict, train

SMALLER = ["trainer=cpu", "trainer.max_epochs=1", "~callbacks.progress"]
HEATMAPS = ["model=heatmap", "model.net.encoder.channels=[4,8,8]"]
INPUT = ["data.source=image", "data.width=64", "data.height=48"]


def training(path, run, *more):
    return train(
        compose("train", [*SMALLER, *INPUT, "data=labelled", f"data.train={path}", f"output={run}", *more])
    )


def predicting(run, photos, output, *more):
    given = [f"checkpoint={run}", f"input={photos}", f"output={output}", *more]
    return predict(compose("predict", given))


def test_predictions_are_corrected_and_trained_on(made_up_imm, tmp_path):
    first = tmp_path / "list.json"
    write_labelled(read_imm(made_up_imm), first, "coco", root=made_up_imm, scheme=IMM58)
    training(first, tmp_path / "first", f"data.root={made_up_imm}", *HEATMAPS)
    photos = tmp_path / "photos"
    photos.mkdir()
    for face in read_imm(made_up_imm)[:12]:
        shutil.copy(face.photo.path, photos)
    done = predicting(tmp_path / "first", photos, tmp_path / "out", "format=coco", "order=worst")
    labels = done.folder / "labels.json"
    whole = json.loads(labels.read_text())
    assert len(whole["annotations"]) == 12
    assert whole["categories"][0]["keypoints"] == list(IMM58.names)
    keypoints = whole["annotations"][0]["keypoints"]
    keypoints[:3] = [12.5, 20.25, 2]
    keypoints[3:6] = [0, 0, 0]
    labels.write_text(json.dumps(whole))
    face = read_list(labels, root=photos).faces[0]
    assert face.landmarks()[0].tolist() == [12.5, 20.25]
    assert face.labelled().tolist() == [True, False, *[True] * 56]
    metrics = training(labels, tmp_path / "second", f"data.root={photos}", *HEATMAPS)
    assert all(np.isfinite(value) for value in metrics.values())
    assert json.loads((tmp_path / "second" / "landmarks.json").read_text())["name"] == "imm58"


def test_fine_tuning_names_the_scheme_that_a_list_lacks(made_up_imm, tmp_path, caplog):
    scheme = tmp_path / "mine.yaml"
    points = [f"left_{place}" for place in range(29)] + [f"right_{place}" for place in range(29)]
    scheme.write_text(f"points: [{', '.join(points)}]\nnormalizing_points: [left_0, right_0]\n")
    named = tmp_path / "list.json"
    write_labelled(read_imm(made_up_imm), named, "coco", root=made_up_imm, scheme=scheme_named(scheme))
    given = [f"data.root={made_up_imm}", "model.net.channels=[4,4,4]", "model.net.hidden=8"]
    training(named, tmp_path / "first", *given, f"data.scheme={scheme}")
    caplog.clear()
    training(named, tmp_path / "second", *given, f"start_from={tmp_path / 'first'}")
    assert "the landmarks of face; the points have the same names" in caplog.text
    assert "data.scheme=<file>" in caplog.text
    caplog.clear()
    training(named, tmp_path / "third", *given, f"start_from={tmp_path / 'first'}", f"data.scheme={scheme}")
    assert "same names" not in caplog.text


def test_a_list_to_correct_is_written_only_on_request(made_up_imm, tmp_path):
    from keypoints.crop import Crop

    checkpoint = save_untrained(tmp_path / "a.ckpt", IMM58, Crop(64, 48))
    photo = next(made_up_imm.glob("*.jpg"))
    predicting(checkpoint, photo, tmp_path / "plain")
    assert not (tmp_path / "plain" / "labels.json").exists()
    predicting(checkpoint, photo, tmp_path / "listed", "format=coco")
    (face,) = read_list(tmp_path / "listed" / "labels.json", root=made_up_imm).faces
    assert face.visibility().tolist() == [2] * 58
    with pytest.raises(ConfigError, match="this model gives no confidence"):
        predicting(checkpoint, photo, tmp_path / "sorted", "format=coco", "order=worst")
    with pytest.raises(ConfigError, match="order=worst is the order of a list to correct; add format=coco"):
        predicting(checkpoint, photo, tmp_path / "sorted", "order=worst")
    assert not (tmp_path / "sorted").exists()


def test_predict_and_convert_have_the_same_limit():
    assert compose("predict", ["checkpoint=a", "input=b", "output=c"]).visible_from == VISIBLE_FROM
