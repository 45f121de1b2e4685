"""Missing points, from a list to the page: reading, augmentation with flips, losses, metrics, figures."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.data.photos import Photo
from keypoints.data.readers.imm import read_imm
from keypoints.data.readers.labelled import read_labelled, write_labelled
from keypoints.evaluation import robustness
from keypoints.evaluation.face_tables import hidden_of, read_faces
from keypoints.evaluation.robustness import STRESSES
from keypoints.reports import error_figures
from keypoints.schemes import IMM58
from tests.conftest import SMALL
from tests.working import evaluate, train

SMALLER = [each for each in SMALL if not each.startswith(("experiment", "data", "model"))]


@pytest.fixture(scope="module")
def lists(made_up_imm, tmp_path_factory):
    """Lists of faces, whose points are hidden or lack a label here and there."""
    folder = tmp_path_factory.mktemp("missing")
    random = np.random.default_rng(0)
    faces = []
    for face in read_imm(made_up_imm):
        points, states = face.landmarks().copy(), np.full(58, 2, np.uint8)
        states[random.random(58) < 0.1] = 1
        states[random.random(58) < 0.3] = 0
        points[states == 0] = np.nan
        photo = folder / face.photo.path.name
        shutil.copy(face.photo.path, photo)
        faces.append(replace(face, photo=Photo(photo), points=points, states=states))
    write_labelled(faces[6:], folder / "train.json", "coco", scheme=IMM58)
    write_labelled(faces[:6], folder / "test.csv", "csv", scheme=IMM58)
    return folder


@pytest.mark.parametrize(
    "model",
    [
        ["model=convnet", "model.net.pooling=2", "model.net.hidden=16", "loss=wing"],
        ["model=heatmap", "model.heatmap_weight=1", "augmentation=wild"],
    ],
    ids=["coordinates", "heatmaps"],
)
def test_faces_with_missing_points_are_trained_on_and_measured(lists, tmp_path, model, monkeypatch):
    data = ["data=labelled", f"data.train={lists / 'train.json'}", f"data.test={lists / 'test.csv'}"]
    size = ["data.scheme=imm58", "data.source=image", "data.width=80", "data.height=60"]
    run = tmp_path / "run"
    metrics = train(compose("train", [*SMALLER, *data, *size, *model, f"output={run}"]))
    assert all(np.isfinite(value) for value in metrics.values())
    titles = []
    plot = error_figures.stressed_faces
    monkeypatch.setattr(
        error_figures, "stressed_faces", lambda rows, title: titles.append(title) or plot(rows, title)
    )
    monkeypatch.setattr(robustness, "STRESSES", {"blur": replace(STRESSES["blur"], levels=(0, 2))})
    stress = ["stress=true", "stress_faces=2", "faces=2"]
    done = evaluate(
        compose("evaluate", [f"checkpoint={run}", "split=test", f"output={tmp_path / 'out'}", *stress])
    )
    assert titles[0].endswith("hollow: hidden")
    assert all(np.isfinite(value) for value in done.result["metrics"].values())
    (states,) = (note for note in done.result["notes"] if "points are labelled" in note)
    assert re.fullmatch(
        r"\d+ of 348 points are labelled, \d+ of them hidden; errors are over the labelled points", states
    )
    assert any(" no NME: " in note for note in done.result["notes"])
    assert "NaN" not in json.dumps(done.result)
    assert (tmp_path / "out" / "landmarks.png").is_file()
    rows = (tmp_path / "out" / "faces.csv").read_text().splitlines()
    assert ",," in rows[1]  # a truth that is not known
    of_states = done.result["by_visibility"]
    known = sum(face.labelled().sum() for face in read_labelled(lists / "test.csv", scheme=IMM58).faces)
    assert sum(group["points"] for group in of_states.values()) == known
    assert of_states["hidden"]["points"] > 0
    assert all(np.isfinite(group["nme"]) for group in of_states.values())
    assert hidden_of(read_faces(tmp_path / "out" / "faces.csv")).sum() == of_states["hidden"]["points"]
    assert hidden_of(read_faces(run / "faces.csv")).any()


def test_a_part_that_some_faces_lack_is_trained_on(lists, tmp_path):
    faces, nose = read_labelled(lists / "train.json", scheme=IMM58).faces, list(IMM58.parts["nose"])
    for face in faces[::2]:
        face.points[nose] = np.nan
        face.states[nose] = 0
    write_labelled(faces, lists / "nose.json", "coco", scheme=IMM58)
    data = ["data=labelled", f"data.train={lists / 'nose.json'}", "data.landmarks=nose", "data.batch_size=1"]
    size = ["data.scheme=imm58", "data.source=image", "data.width=80", "data.height=60"]
    model = ["model=convnet", "model.net.pooling=2", "model.net.hidden=16"]
    main(["train", *SMALLER, *data, *size, *model, f"output={tmp_path / 'run'}"])
    assert read_faces(tmp_path / "run" / "faces.csv")["mse"].isna().any()
    assert (tmp_path / "run" / "report.html").is_file()
