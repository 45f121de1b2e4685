import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.conftest import SMALL, draw_portrait
from tests.working import evaluate, train


@pytest.fixture(scope="module")
def full_face(made_up_imm, tmp_path_factory):
    """A small run with all 58 points and augmentation."""
    folder = tmp_path_factory.mktemp("outputs") / "run"
    smaller = [override for override in SMALL if not override.startswith(("experiment", "model"))]
    size = ["data.width=80", "data.height=60", "model.net.kernel_sizes=[5,3]", "model.net.channels=[8,8]"]
    fewer = ["model.net.pooling=2", "model.net.hidden=32", f"data.root={made_up_imm}", f"output={folder}"]
    train(compose("train", ["experiment=full_face", *smaller, *size, *fewer]))
    return folder


def of(*overrides):
    return evaluate(compose("evaluate", list(overrides)))


def test_a_run_is_evaluated_on_the_faces_it_was_validated_on(full_face, tmp_path):
    done = of(f"checkpoint={full_face}", f"output={tmp_path / 'out'}", "faces=2")
    result = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert result == done.result
    logged = read_status(RunFolder(full_face)).metrics
    assert result["metrics"]["mse"] == pytest.approx(logged["best/mse"], rel=1e-4)
    assert result["constant"]["mse"] == pytest.approx(logged["constant/mse"], rel=1e-4)
    assert result["metrics"]["variance_ratio"] == pytest.approx(logged["best/variance_ratio"], rel=1e-3)
    assert result["norm"] == "pair"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "metrics.json",
        "faces.csv",
        "report.html",
        "faces.png",
        "cumulative_errors.png",
        "landmarks.png",
        "spread.png",
    }


def test_heatmaps_are_evaluated_with_what_their_confidence_is_worth(made_up_imm, tmp_path):
    smaller = [override for override in SMALL if not override.startswith("model")]
    net = [
        "model=heatmap",
        "model.net.encoder.channels=[4,8]",
        "model.net.width=8",
        "data.width=80",
        "data.height=60",
    ]
    train(compose("train", [*smaller, *net, f"data.root={made_up_imm}", f"output={tmp_path / 'run'}"]))
    result = of(f"checkpoint={tmp_path / 'run'}", f"output={tmp_path / 'out'}").result
    assert sum(group["points"] for group in result["by_confidence"]) == result["faces"] == 6  # of one point
    assert (tmp_path / "out" / "confidence.png").is_file()
    assert pd.read_csv(tmp_path / "out" / "faces.csv")["confidence"].between(0, 1).all()


def test_each_face_has_its_row_and_parts_and_tags_their_numbers(full_face, tmp_path):
    result = of(f"checkpoint={full_face}", f"output={tmp_path}").result
    rows = pd.read_csv(tmp_path / "faces.csv", dtype={"view": str})
    assert len(rows) == result["faces"] == 6
    assert rows["nme"].mean() == pytest.approx(result["metrics"]["nme"], rel=1e-4)
    assert (rows["nme"] > 0.08).mean() == pytest.approx(result["metrics"]["failure_rate"])
    assert set(result["by_part"]) == {
        "jaw",
        "right_eye",
        "left_eye",
        "right_brow",
        "left_brow",
        "mouth",
        "nose",
    }
    # Parts, weighted by their points, make up the whole.
    points = {
        "jaw": 13,
        "right_eye": 8,
        "left_eye": 8,
        "right_brow": 5,
        "left_brow": 5,
        "mouth": 8,
        "nose": 11,
    }
    mean = sum(result["by_part"][part]["nme"] * count for part, count in points.items()) / 58
    assert mean == pytest.approx(result["metrics"]["nme"], rel=1e-4)


def test_tags_are_told_apart_where_they_group_faces(full_face, tmp_path):
    done = of(f"checkpoint={full_face}", "split=train", f"output={tmp_path}", "faces=1")
    assert set(done.result["by_tag"]["person"]) == {"01", "02", "03", "04"}
    assert done.result["by_tag"]["view"]["6"]["faces"] == 4
    assert "gender" not in done.result["by_tag"]  # all the same


def test_a_file_and_its_run_give_the_same_and_a_file_elsewhere_needs_data(full_face, made_up_imm, tmp_path):
    best = full_face / "checkpoints" / "best.ckpt"
    assert find_checkpoint(str(best), "best") == find_checkpoint(str(full_face), "best")
    alone = tmp_path / "alone.ckpt"
    shutil.copy(best, alone)
    with pytest.raises(ConfigError, match=r"alone\.ckpt: is not in a run's folder, so say on which data"):
        of(f"checkpoint={alone}")
    one = of(f"checkpoint={alone}", "data=imm", f"data.root={made_up_imm}", f"output={tmp_path / 'one'}")
    other = of(f"checkpoint={best}", f"output={tmp_path / 'other'}")
    assert one.result["metrics"] == other.result["metrics"]  # crop and landmarks are the checkpoint's


def test_the_crop_and_the_landmarks_are_those_of_the_checkpoint(finished_run, made_up_imm, tmp_path):
    done = of(f"checkpoint={finished_run}", "data=imm", f"data.root={made_up_imm}", f"output={tmp_path}")
    assert done.result["scheme"] == "imm58-nose_tip"
    assert done.result["norm"] == "diagonal"
    assert done.result["by_part"] == {}
    assert not (tmp_path / "landmarks.png").exists()


def test_data_that_moved_are_found_where_the_command_says(full_face, made_up_imm, tmp_path):
    moved = shutil.copytree(made_up_imm, tmp_path / "moved")
    done = of(f"checkpoint={full_face}", f"root={moved}", f"output={tmp_path / 'out'}")
    assert pd.read_csv(tmp_path / "out" / "faces.csv")["photo"].str.contains("moved").all()
    assert done.result["faces"] == 6


def test_stress_is_measured_and_drawn(full_face, tmp_path, monkeypatch):
    monkeypatch.setattr("keypoints.evaluation.model_scores.STRESSES", few := few_stresses())
    monkeypatch.setattr("keypoints.evaluation.robustness.STRESSES", few)
    monkeypatch.setattr("keypoints.reports.error_figures.STRESSES", few)
    done = of(f"checkpoint={full_face}", "stress=true", f"output={tmp_path}", "faces=1")
    table = pd.read_csv(tmp_path / "stress.csv")
    assert list(table["level"]) == [0, 2, 0, 10]
    assert table["nme"][0] == pytest.approx(done.result["metrics"]["nme"], rel=1e-3)
    assert (tmp_path / "stress.png").is_file()
    assert (tmp_path / "stressed_faces.png").is_file()
    assert len(done.result["stress"]) == 2
    assert "What it stands" in (tmp_path / "report.html").read_text()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as full_disk:
        full_disk.setattr(
            "keypoints.reports.evaluation.write_report", raises(OSError(28, "No space left on device"))
        )
        with pytest.raises(OSError, match="No space left"):
            of(f"checkpoint={full_face}", f"output={tmp_path}", "faces=1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    of(f"checkpoint={full_face}", f"output={tmp_path}", "faces=1")
    assert not list(tmp_path.glob("stress*"))  # what was measured before is not of these metrics


def raises(error):
    def fail(*_):
        raise error

    return fail


def few_stresses():
    from dataclasses import replace

    from keypoints.evaluation.robustness import STRESSES

    return {
        "blur": replace(STRESSES["blur"], levels=(0, 2)),
        "rotation": replace(STRESSES["rotation"], levels=(0, 10)),
    }


def test_the_command_prints_the_constant_predictor_beside_the_model(full_face, tmp_path, capsys):
    main(["evaluate", str(full_face), f"output={tmp_path / 'out, [1]'}"])
    printed = capsys.readouterr().out
    assert "mean-shape baseline" in printed
    assert "right_eye" in printed
    assert "view 1, frontal, neutral" not in printed  # six faces of one person are no groups
    page = (tmp_path / "out, [1]" / "report.html").read_text()
    assert "keypoints evaluate" in page


def damaged(change):
    def make(path):
        checkpoint = torch.load(path, weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, path)

    return make


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "truncated, damaged"),
        (lambda path: path.write_text("hello"), "truncated, damaged, or no checkpoint"),
        (lambda path: path.unlink(), "no such checkpoint"),
        (damaged(lambda c: c["keypoints"].update(format=99)), "has format 99"),
        (damaged(lambda c: c.pop("keypoints")), "no checkpoint of keypoints"),
        (
            damaged(
                lambda c: c["hyper_parameters"]["net"].update(_target_="os.system", command="touch owned")
            ),
            r"os\.system is outside the trusted packages",
        ),
        (
            damaged(lambda c: c["keypoints"].update(task="os.system")),
            r"os\.system is outside the trusted packages",
        ),
        (
            damaged(
                lambda c: c["hyper_parameters"]["loss"].update(_target_="torch.nn.modules.loss.os.system")
            ),
            "there is no|is no Module|outside",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_one_line_and_a_failure(
    full_face, tmp_path, capsys, damage, says
):
    path = shutil.copytree(full_face, tmp_path / "run") / "checkpoints" / "best.ckpt"
    damage(path)
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", str(path), f"output={tmp_path / 'out'}"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {path}: ")
    with pytest.raises(CheckpointError, match=says):
        of(f"checkpoint={path}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        ([], ConfigError, "say which checkpoint"),
        (["split=test"], DataError, "no split 'test'; there is train, val"),
        (["norm=eyes"], ConfigError, "pair, box, diagonal"),
        (["threshold=0"], ConfigError, "threshold is a finite number above 0, not 0"),
        (["which=first"], ConfigError, "which is one of best, last, not 'first'"),
        (["stress=true", "stress_faces=0"], ConfigError, "whole number from 1 up"),
        (["faces=0"], ConfigError, "faces is a whole number from 1 up"),
        (["faces=some"], ConfigError, "faces is a whole number from 1 up, not 'some'"),
        (["device=abacus"], ConfigError, "device=abacus cannot be used"),
        (["norm=box", "threshold=inf"], ConfigError, "threshold is a finite number"),
        (["root=nowhere"], DataError, "nowhere: no such folder"),
    ],
)
def test_values_that_cannot_be_used_are_refused(full_face, tmp_path, overrides, error, says):
    checkpoint = [f"checkpoint={full_face}", f"output={tmp_path / 'out'}"] if overrides else []
    with pytest.raises(error, match=says):
        of(*checkpoint, *overrides)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_scheme_says_what_both_have(full_face, made_up_imm, tmp_path):
    path = tmp_path / "other.ckpt"
    checkpoint = torch.load(full_face / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["scheme"]["name"] = "ibug68"
    torch.save(checkpoint, path)
    with pytest.raises(ConfigError, match=r"predicts ibug68 \(58 points\), but these faces have imm58"):
        of(f"checkpoint={path}", "data=imm", f"data.root={made_up_imm}")


def test_a_runs_configuration_builds_no_data_outside_the_trusted_packages(full_face, tmp_path):
    run = shutil.copytree(full_face, tmp_path / "run")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("keypoints.IMMDataModule", "os.system"))
    with pytest.raises(ConfigError, match=r"os\.system is outside the trusted packages"):
        of(f"checkpoint={run}")


@pytest.mark.parametrize("damage", ["data: [1]", "data: imm", "data: {", "- 1"])
def test_a_damaged_configuration_is_one_line(full_face, tmp_path, damage):
    run = shutil.copytree(full_face, tmp_path / "run")
    (run / "config.yaml").write_text(damage)
    with pytest.raises((ConfigError, DataError), match=r"config\.yaml"):
        of(f"checkpoint={run}")


def test_broken_weights_are_said_and_count_as_failures(full_face, tmp_path):
    run = shutil.copytree(full_face, tmp_path / "run")
    best = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    for value in checkpoint["state_dict"].values():
        if value.is_floating_point():
            value.fill_(1e38)  # of which a network makes no finite numbers
    torch.save(checkpoint, best)
    result = of(f"checkpoint={run}", f"output={tmp_path / 'out'}").result
    assert result["metrics"]["failure_rate"] == 1
    assert "no finite numbers" in result["notes"][0]


def test_best_and_last_have_folders_and_titles_of_their_own(full_face, tmp_path):
    run = shutil.copytree(full_face, tmp_path / "run")
    folders = {
        of(f"checkpoint={run / 'checkpoints' / which}.ckpt", "faces=1").folder.name
        for which in ("best", "last")
    }
    assert folders == {"val", "val-last"}
    assert "last epoch" in (run / "evaluations" / "val-last" / "report.html").read_text()


def test_a_checkpoint_in_the_folder_where_one_stands_is_found_to_be_a_runs(full_face, monkeypatch):
    monkeypatch.chdir(full_face / "checkpoints")
    assert find_checkpoint("best.ckpt", "best")[1] == RunFolder(full_face.resolve())


def test_faces_that_trained_the_model_are_measured_only_by_force_and_the_result_says_so(
    full_face, made_up_imm, tmp_path
):
    of(f"checkpoint={full_face}", "split=train", f"output={tmp_path / 'train'}")  # one knows
    fold = ["data=imm", f"data.root={made_up_imm}", "data.fold=0", f"output={tmp_path / 'out'}"]
    with pytest.raises(ConfigError, match=r"was trained on 6 of the 6 faces of val.*force=true"):
        of(f"checkpoint={full_face}", *fold)
    assert not (tmp_path / "out").exists()
    result = of(f"checkpoint={full_face}", *fold, "force=true").result
    assert "forced: the model was trained on 6 of these faces" in result["notes"][-1]


def test_faces_are_measured_in_the_boxes_that_are_detected_too(untrained, full_face, tmp_path):
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    rows = []
    for seed in range(4):
        picture, points = draw_portrait(seed)
        picture = picture if seed else np.full_like(picture, 90)
        Image.fromarray(picture).save(tmp_path / f"{seed}.png")
        rows.append([f"{seed}.png", 200, 160, 240, 240, *points.ravel()])
    head = ["image", "left", "top", "width", "height", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
    for name, chosen in (("train", rows[3:]), ("val", rows[:3])):
        pd.DataFrame(chosen, columns=head).to_csv(tmp_path / f"{name}.csv", index=False)
    data = ["data=labelled", f"data.train={tmp_path / 'train.csv'}", f"data.val={tmp_path / 'val.csv'}"]
    asked = [f"checkpoint={untrained}", *data, "data.scheme=ibug68", "force=true"]
    given, detected = (
        of(*asked, f"boxes={boxes}", f"output={tmp_path / boxes}").result for boxes in ("given", "detected")
    )
    assert (given["faces"], detected["faces"], detected["not_found"]) == (3, 2, 1)
    assert detected["notes"][-1] == "the detector did not find 1 of 3 faces: left out"
    assert detected["metrics"]["nme"] != given["metrics"]["nme"]
    with pytest.raises(ConfigError, match="boxes=detected: this model was trained on whole pictures"):
        of(f"checkpoint={full_face}", "boxes=detected")
    with pytest.raises(ConfigError, match="boxes is one of given, detected, not 'found'"):
        of(f"checkpoint={full_face}", "boxes=found")


def test_faces_without_points_are_not_measured(wild, tmp_path):
    size = ["data.width=64", "data.height=64", "data.num_workers=0", "trainer=cpu", "trainer.max_epochs=1"]
    where = [f"data.root={wild}", f"output={tmp_path / 'run'}", "~callbacks.progress"]
    train(compose("train", ["experiment=ibug300w", *size, *where]))
    with pytest.raises(DataError, match="no points to measure against; keypoints submit"):
        of(f"checkpoint={tmp_path / 'run'}", "split=test")


def test_results_on_a_shrunken_copy_are_in_pixels_of_the_originals(wild, tmp_path):
    from keypoints.datatools.shrink import shrink

    size = ["data.width=64", "data.height=64", "data.num_workers=0", "trainer=cpu", "trainer.max_epochs=1"]
    where = [f"data.root={wild}", "data.split=official", f"output={tmp_path / 'run'}", "~callbacks.progress"]
    train(compose("train", ["experiment=ibug300w", *size, *where]))
    shrink(compose("shrink", ["dataset=ibug300w", f"root={wild}", f"output={tmp_path / 'copy'}", "side=40"]))
    results = [
        of(
            f"checkpoint={tmp_path / 'run'}", "split=common", "faces=1", f"root={root}", f"output={root}-out"
        ).result
        for root in (wild, tmp_path / "copy")
    ]
    whole, copy = (result["metrics"] for result in results)
    assert copy["nme"] == pytest.approx(whole["nme"], rel=0.02)
    assert copy["mae_px"] == pytest.approx(whole["mae_px"], rel=0.02)
    assert copy["mse"] == pytest.approx(whole["mse"], rel=0.05)
    rows = [pd.read_csv(f"{root}-out/faces.csv") for root in (wild, tmp_path / "copy")]
    assert rows[1]["truth_x8"].to_numpy() == pytest.approx(rows[0]["truth_x8"].to_numpy(), abs=0.1)


def test_that_the_best_epoch_was_chosen_by_the_faces_is_said(full_face, made_up_imm, tmp_path):
    path = tmp_path / "chosen.ckpt"
    checkpoint = torch.load(full_face / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["keypoints"]["trained_on"].update(groups=[], validated=["01"])
    torch.save(checkpoint, path)
    data = ["data=imm", f"data.root={made_up_imm}", "split=train", f"output={tmp_path / 'out'}", "faces=1"]
    assert "chosen by 6 of these faces" in of(f"checkpoint={path}", *data).result["notes"][-1]


def test_a_folder_without_a_checkpoint_says_so(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no checkpoints/best\.ckpt; is it a run's folder"):
        of(f"checkpoint={tmp_path}")


@pytest.fixture(scope="module")
def whole_picture(full_face, tmp_path_factory):
    """The run's best checkpoint as ONNX."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")
    from keypoints.inference.onnx_export import export

    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(compose("export", [f"checkpoint={full_face}", f"output={path}"]))
    return path


def test_an_onnx_file_is_evaluated_as_its_checkpoint_is(
    full_face, whole_picture, made_up_imm, tmp_path, monkeypatch
):
    monkeypatch.setattr("keypoints.evaluation.model_scores.STRESSES", few := few_stresses())
    monkeypatch.setattr("keypoints.evaluation.robustness.STRESSES", few)
    monkeypatch.setattr("keypoints.reports.error_figures.STRESSES", few)
    data = ["data=imm", f"data.root={made_up_imm}", "faces=1", "stress=true"]
    one, other = (
        of(f"checkpoint={model}", *data, f"output={tmp_path / name}").result
        for model, name in ((full_face, "one"), (whole_picture, "other"))
    )
    for part in ("metrics", "constant"):
        assert other[part] == pytest.approx(one[part], rel=1e-3)
    assert other["by_part"]["nose"] == pytest.approx(one["by_part"]["nose"], rel=1e-3)
    assert other["checkpoint"] == str(whole_picture)
    assert {each.name for each in (tmp_path / "one").iterdir()} == {
        each.name for each in (tmp_path / "other").iterdir()
    }


def test_an_onnx_file_is_not_judged_by_what_it_was_trained_on(whole_picture, made_up_imm, tmp_path):
    fold = ["data=imm", f"data.root={made_up_imm}", "data.fold=0", f"output={tmp_path / 'out'}"]
    with pytest.raises(ConfigError, match=r"model\.onnx: was trained on 6 of the 6 faces of val.*force=true"):
        of(f"checkpoint={whole_picture}", *fold)
    result = of(f"checkpoint={whole_picture}", *fold, "force=true").result
    assert "forced: the model was trained on 6 of these faces" in result["notes"][-1]


def test_what_an_onnx_file_cannot_do_is_one_line(whole_picture, tmp_path):
    for override, says in [
        ("flip_test=true", "an ONNX file does a flip test only if it was exported with flip_test=true"),
        ("device=cuda", "an ONNX file is run on the CPU"),
        ("split=val", "is not in a run's folder, so say on which data"),
    ]:
        with pytest.raises(ConfigError, match=rf"model\.onnx: {says}"):
            of(f"checkpoint={whole_picture}", override)


def portraits(folder, count, first=0):
    """A list of made-up faces of 68 points and their boxes, and the photos."""
    folder.mkdir(exist_ok=True)
    rows = []
    for seed in range(first, first + count):
        picture, points = draw_portrait(seed)
        Image.fromarray(picture).save(folder / f"{seed}.png")
        rows.append([f"{seed}.png", 200, 160, 240, 240, *points.ravel()])
    head = ["image", "left", "top", "width", "height", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
    pd.DataFrame(rows, columns=head).to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


def test_a_test_list_alone_is_what_any_model_is_judged_by(untrained, exported, full_face, tmp_path):
    listed = portraits(tmp_path / "photos", 3)
    one, other = (
        of(f"checkpoint={model}", f"data.test={listed}", f"output={tmp_path / 'out'}", "faces=1").result
        for model in (untrained, exported)
    )
    assert (one["split"], one["faces"], one["scheme"], one["norm"]) == ("test", 3, "ibug68", "pair")
    assert other["metrics"] == pytest.approx(one["metrics"], rel=1e-3)
    assert one["constant"] is None
    assert "does not say which faces it was trained on" in one["notes"][-1]
    with pytest.raises(ConfigError, match=r"predicts imm58 \(58 points\), but these faces have"):
        of(f"checkpoint={full_face}", f"data.test={listed}")


def test_a_test_list_joins_the_lists_that_a_run_was_trained_on(tmp_path):
    train_list, test_list = (portraits(tmp_path / name, 4, first) for name, first in (("a", 0), ("b", 10)))
    smaller = [override for override in SMALL if not override.startswith(("experiment", "model"))]
    net = ["model.net.kernel_sizes=[3]", "model.net.channels=[2]", "model.net.hidden=4", "data.width=32"]
    lists = ["data=labelled", f"data.train={train_list}", "data.scheme=ibug68", "data.height=32"]
    run = tmp_path / "run"
    train(compose("train", [*smaller, *net, *lists, f"output={run}"]))
    done = of(f"checkpoint={run}", f"data.test={test_list}", "faces=1")
    assert done.folder == run / "evaluations" / "test"
    assert (done.result["faces"], done.result["norm"]) == (4, "pair")
    assert done.result["constant"] is not None
    own = of(f"checkpoint={run}", f"data.test={test_list}", "split=val", f"output={tmp_path / 'val'}").result
    assert own["faces"] == 1
    with pytest.raises(ConfigError, match="was trained on 3 of the 4 faces of test"):
        of(f"checkpoint={run}", f"data.test={train_list}", "data.train=null", "split=test")


def test_values_of_data_change_those_of_the_run(full_face, tmp_path):
    done = of(
        f"checkpoint={full_face}", "data.train_persons=1", "split=val", f"output={tmp_path}", "force=true"
    )
    assert done.result["faces"] > 6
    with pytest.raises(ConfigError, match=r"train_person.*as .*config\.yaml says"):
        of(f"checkpoint={full_face}", "data.train_person=1")
