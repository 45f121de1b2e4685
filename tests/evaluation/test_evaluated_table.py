import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.data.readers.imm import read_imm
from keypoints.data.readers.labelled import read_labelled, write_labelled
from keypoints.errors import ConfigError, DataError
from keypoints.evaluation.evaluated_table import _list_of
from keypoints.schemes import IMM58
from tests.working import evaluate


def of(*overrides):
    return evaluate(compose("evaluate", list(overrides))).result


def table(path, names, points, boxes=None):
    """Return a CSV in the format of this package, with (N, K, 2) points."""
    columns = [f"{axis}{index}" for index in range(points.shape[1]) for axis in "xy"]
    rows = pd.DataFrame(points.reshape(len(points), -1), columns=columns)
    rows.insert(0, "image", names)
    if boxes is not None:
        for place, side in enumerate(("left", "top", "width", "height"), start=1):
            rows.insert(place, side, np.array(boxes)[:, place - 1])
    path.parent.mkdir(exist_ok=True)
    rows.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def truth(made_up_imm, tmp_path_factory):
    """Return a list of the six faces of person 33, next to their photos."""
    folder = tmp_path_factory.mktemp("person_33")
    for file in made_up_imm.glob("33-*"):
        shutil.copy(file, folder)
    write_labelled(read_imm(folder), folder / "truth.csv", "csv", scheme=IMM58)
    return folder / "truth.csv"


@pytest.fixture
def shifted(truth, tmp_path):
    """Return a table whose points are shifted by 3 px to the right and 4 px down."""
    faces = read_labelled(truth).faces
    names = [face.photo.path.name for face in faces]
    points = np.stack([np.add(face.landmarks(), (3, 4)) for face in faces])
    return table(tmp_path / "peer" / "found.csv", names, points)


def test_a_table_is_evaluated_and_plotted_like_a_model(truth, shifted, tmp_path):
    result = of(f"predictions={shifted}", "data=labelled", f"data.test={truth}", f"output={tmp_path / 'out'}")
    assert result == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (result["faces"], result["split"], result["missing"]) == (6, "test", [])
    assert result["metrics"]["mae_px"] == pytest.approx(3.5, rel=1e-4)
    assert result["metrics"]["nme"] == pytest.approx(5 / 200, rel=1e-4)  # divided by the photo's diagonal
    assert (result["norm"], result["constant"], result["notes"]) == ("diagonal", None, [])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "metrics.json",
        "faces.csv",
        "report.html",
        "faces.png",
        "cumulative_errors.png",
        "landmarks.png",
        "spread.png",
    }
    rows = pd.read_csv(tmp_path / "out" / "faces.csv")
    np.testing.assert_allclose(rows["error_px"], 5, rtol=1e-4)
    assert str(shifted) in (tmp_path / "out" / "report.html").read_text()


def test_parts_and_norm_are_those_of_the_datas_scheme(made_up_imm, shifted, tmp_path):
    result = of(
        f"predictions={shifted}", "data=imm", f"data.root={made_up_imm}", f"output={tmp_path / 'out'}"
    )
    assert (result["split"], result["faces"], result["norm"]) == ("val", 6, "pair")
    assert result["by_part"]["nose"]["mae_px"] == pytest.approx(3.5, rel=1e-4)
    assert "constant" in result
    assert result["constant"] is None


def test_faces_without_a_prediction_are_counted_and_named(truth, shifted, tmp_path, capsys):
    rows = pd.read_csv(shifted)
    rows.loc[len(rows)] = ["other.jpg", *rows.iloc[0, 1:]]
    rows.loc[len(rows)] = ["33-1m.jpg", *[None] * (rows.shape[1] - 1)]
    rows.drop(index=[1, 4]).to_csv(shifted, index=False)
    output = tmp_path / "out"
    main(["evaluate", f"predictions={shifted}", f"data.test={truth}", f"output={output}", "norm=box"])
    result = json.loads((output / "metrics.json").read_text())
    assert (result["faces"], result["without_truth"], result["unusable_rows"]) == (4, 1, 1)
    assert [line.rpartition(": ")[2] for line in result["missing"]] == ["line 3", "line 6"]
    said = " ".join(capsys.readouterr().out.split())
    assert "4 of 6 faces" in said
    assert "2 of 6 faces have no prediction: all means are over the other 4; with them as failures" in said
    assert "the failure rate is 100 %" in said
    assert "1 of 5 predicted faces matches no true face: left out" in said
    page = (output / "report.html").read_text()
    assert "Faces without a prediction" in page
    assert "truth.csv: line 3" in page


def test_a_table_of_predict_has_the_metrics_of_its_model(full_face_model, truth, tmp_path):
    from tests.working import predict

    how = ["faces=1", "norm=box"]
    predict(
        compose(
            "predict", [f"checkpoint={full_face_model}", f"input={truth.parent}", f"output={tmp_path / 'p'}"]
        )
    )
    found, model = (
        of(what, f"data.test={truth}", f"output={tmp_path / 'out'}", *how)
        for what in (f"predictions={tmp_path / 'p' / 'predictions.csv'}", f"checkpoint={full_face_model}")
    )
    assert found["metrics"] == pytest.approx(model["metrics"], rel=1e-3)
    assert (found["faces"], found["without_truth"]) == (6, 0)
    assert found == of(
        f"predictions={tmp_path / 'p'}", f"data.test={truth}", f"output={tmp_path / 'out'}", *how
    )


@pytest.fixture
def full_face_model(tmp_path):
    from keypoints.crop import Crop
    from tests.conftest import save_untrained

    return save_untrained(tmp_path / "whole.ckpt", IMM58, Crop(40, 30))


def test_a_table_of_predict_is_named_by_its_folder(truth, shifted, tmp_path):
    for name, folder in (("predictions.csv", "peer"), ("hrnet.csv", "hrnet")):
        path = shutil.copy(shifted, shifted.with_name(name))
        done = evaluate(
            compose("evaluate", [f"predictions={path}", f"data.test={truth}", f"paths.outputs={tmp_path}"])
        )
        assert done.folder == tmp_path / "evaluations" / folder / "test"


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        (["stress=true"], ConfigError, "stress=True: applies only to models"),
        (["boxes=detected"], ConfigError, "boxes=detected: applies only to models"),
        (["boxes_like=list.csv"], ConfigError, "boxes_like=list.csv: applies only to models"),
        (["checkpoint=model.onnx"], ConfigError, r"checkpoint=model\.onnx: applies only to models"),
        (["data.test=null"], ConfigError, "say which faces they are measured against"),
        (["split=val"], DataError, "no split 'val'; there is test"),
        (["threshold=0"], ConfigError, "threshold is a finite number above 0, not 0"),
        (["data.landmarks=points", "data.scheme=imm58"], ConfigError, "no landmarks 'points'"),
        (
            ["data.landmarks=nose", "data.scheme=imm58"],
            DataError,
            r"found\.csv: has 58 points a face, but the truth has 11 \(imm58-nose\)",
        ),
    ],
)
def test_invalid_settings_are_refused_in_one_line(truth, shifted, tmp_path, overrides, error, says):
    with pytest.raises(error, match=says) as raised:
        of(f"predictions={shifted}", f"data.test={truth}", f"output={tmp_path / 'out'}", *overrides)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_table_needs_true_faces_that_match(truth, shifted, tmp_path):
    with pytest.raises(ConfigError, match="say which faces they are measured against"):
        of(f"predictions={shifted}")
    other = table(tmp_path / "peer" / "other.csv", ["x.jpg"], np.ones((1, 58, 2)))
    with pytest.raises(
        DataError, match=r"other\.csv: none of its 1 face matches one of the 6 faces of test: .*x\.jpg"
    ):
        of(f"predictions={other}", f"data.test={truth}", f"output={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_other_photos_with_the_same_name_are_not_evaluated(truth, tmp_path):
    faces = read_labelled(truth).faces
    names, points = [face.photo.path.name for face in faces], np.stack([face.points for face in faces])
    other = table(tmp_path / truth.parent.name / "found.csv", names, points)
    for name in names:
        shutil.copy(truth.parent / names[0], other.parent / name)
    result = of(f"predictions={other}", f"data.test={truth}", f"output={tmp_path / 'out'}")
    assert (result["faces"], len(result["missing"]), result["without_truth"]) == (1, 5, 5)
    (other.parent / names[0]).write_bytes(b"another")
    why = rf"none of its 6 .*: {names[0]} exists, but is none of the true photos, such as .*"
    with pytest.raises(DataError, match=why):
        of(f"predictions={other}", f"data.test={truth}", f"output={tmp_path / 'none'}")


def test_the_reason_is_reported_if_no_face_matches(truth, tmp_path):
    name = read_labelled(truth).faces[0].photo.path.name
    for names, why in (
        ([f"/a/{name}", f"/b/{name}"], f"{name} may be any of 2 photos of the table, such as /a/{name}"),
        ([f"c/{name}"], f"no true photo's path ends with c/{name}; an example is .*{name}"),
        ([name, name], f"in photos of both, such as {name}, no predicted box or points are near a true face"),
    ):
        path = table(tmp_path / "peer" / "found.csv", names, np.full((len(names), 58, 2), 9000.0))
        with pytest.raises(DataError, match=rf"none of its {len(names)} faces? .*: .*{why}$") as raised:
            of(f"predictions={path}", f"data.test={truth}", f"output={tmp_path / 'out'}")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_float_ids_of_coco_are_matched_with_the_splits_list(truth, tmp_path, split):
    faces = [replace(face, group="") for face in read_labelled(truth).faces]
    listed = tmp_path / "truth.json"
    write_labelled(faces, listed, "coco", root=truth.parent)
    results = [
        {
            "image_id": float(each["image_id"]),
            "keypoints": [
                value + 1 if place % 3 == 0 else value for place, value in enumerate(each["keypoints"])
            ],
            "score": 1.0,
        }
        for each in json.loads(listed.read_text())["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    lists = {"train": f"data.train={listed}", "test": f"data.test={listed}", "val": f"data.train={listed}"}
    result = of(
        f"predictions={tmp_path / 'results.json'}",
        "data=labelled",
        lists[split],
        f"data.root={truth.parent}",
        f"split={split}",
        f"output={tmp_path / 'out'}",
    )
    assert result["metrics"]["mae_px"] == pytest.approx(0.5, rel=1e-3)
    assert result["missing"] == []


@pytest.mark.parametrize(("fold", "name"), [(None, "val.csv"), (0, "train.csv")])
def test_faces_of_a_fold_are_of_the_training_list(tmp_path, fold, name):
    lists = {split: str(tmp_path / f"{split}.csv") for split in ("train", "val")}
    for path in lists.values():
        Path(path).touch()
    cfg = OmegaConf.create({"data": {**lists, "fold": fold}})
    assert _list_of(cfg, "val") == tmp_path / name
