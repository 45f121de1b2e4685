import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.components import configure
from keypoints.confidence import ConfidenceCalibration
from keypoints.data.provenance import TrainedOn
from keypoints.datamodules.ibug300w import IBUG300WDataModule
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.evaluation.face_tables import points_of
from keypoints.inference.detectors import open_detector
from keypoints.inference.predictor import Predictor
from keypoints.models.encoders import ConvEncoder
from keypoints.models.heatmap import HeatmapNet
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.schemes import IBUG68
from keypoints.tasks.heatmap import HeatmapTask
from tests.conftest import BOX_CROP, SMALL, change_checkpoint, draw_portrait, save_task, write_wild
from tests.working import evaluate, train


@pytest.fixture(scope="module")
def full_face(made_up_imm, tmp_path_factory):
    """Return a small run with all 58 points and augmentation."""
    folder = tmp_path_factory.mktemp("outputs") / "run"
    smaller = [override for override in SMALL if not override.startswith(("experiment", "model"))]
    size = ["data.width=80", "data.height=60", "model.net.kernel_sizes=[5,3]", "model.net.channels=[8,8]"]
    fewer = ["model.net.pooling=2", "model.net.hidden=32", f"data.root={made_up_imm}", f"output={folder}"]
    train(compose("train", ["experiment=full_face", *smaller, *size, *fewer]))
    return folder


def of(*overrides):
    """Evaluate a model, and plot one face unless the overrides say how many."""
    return evaluate(compose("evaluate", ["faces=1", *overrides]))


@pytest.fixture(scope="module")
def evaluated(full_face, tmp_path_factory):
    """Return the evaluation of this run, and its folder."""
    return of(f"checkpoint={full_face}", f"output={tmp_path_factory.mktemp('evaluated') / 'out'}")


def test_a_run_is_evaluated_on_its_validation_faces(full_face, evaluated):
    result = json.loads((evaluated.folder / "metrics.json").read_text())
    assert result == evaluated.result
    logged = read_status(RunFolder(full_face)).metrics
    assert result["metrics"]["mse"] == pytest.approx(logged["best/mse"], rel=1e-4)
    assert result["constant"]["mse"] == pytest.approx(logged["constant/mse"], rel=1e-4)
    assert result["metrics"]["variance_ratio"] == pytest.approx(logged["best/variance_ratio"], rel=1e-3)
    assert result["norm"] == "pair"
    assert {path.name for path in evaluated.folder.iterdir()} == {
        "metrics.json",
        "faces.csv",
        "report.html",
        "faces.png",
        "cumulative_errors.png",
        "landmarks.png",
        "spread.png",
    }


def unsure_model(path):
    """Save an untrained model of boxes whose confidence is always low."""
    torch.manual_seed(0)
    net = configure(HeatmapNet, encoder=configure(ConvEncoder, channels=[4, 8]), width=8)
    task = HeatmapTask(IBUG68, BOX_CROP, net=net)
    task.confidence_calibration = ConfidenceCalibration(1.0, (0.5,), (0.1,), "pair", 100)
    mean = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2))
    task.trained_on = TrainedOn(["another face"], mean.tolist())
    return save_task(path, task)


@pytest.fixture(scope="module")
def unsure(tmp_path_factory):
    """Return such a model, a tiny 300-W, and overrides that evaluate the model on its training faces."""
    folder = tmp_path_factory.mktemp("unsure")
    model, wild = unsure_model(folder / "best.ckpt"), write_wild(folder / "300-W")
    return model, wild, [f"checkpoint={model}", "data=ibug300w", f"data.root={wild}", "split=train"]


@pytest.fixture(scope="module")
def unsure_evaluated(unsure, tmp_path_factory):
    """Return the evaluation of that model without a second pass, and its folder."""
    return of(*unsure[2], f"output={tmp_path_factory.mktemp('evaluated') / 'out'}")


def test_heatmaps_are_evaluated_with_their_confidence(unsure_evaluated):
    result = unsure_evaluated.result
    assert sum(group["points"] for group in result["by_confidence"]) == 68 * result["faces"]
    assert (unsure_evaluated.folder / "confidence.png").is_file()
    assert pd.read_csv(unsure_evaluated.folder / "faces.csv")["confidence"].between(0, 1).all()


@pytest.mark.parametrize("refine", ["auto", True])
def test_a_second_pass_is_evaluated_as_it_is_predicted(refine, unsure, unsure_evaluated, tmp_path):
    model, wild, data = unsure
    result = of(*data, f"refine={refine}", f"output={tmp_path}").result
    assert (unsure_evaluated.result["refine"], result["refine"]) == (False, refine)
    assert result["metrics"]["nme"] != unsure_evaluated.result["metrics"]["nme"]
    rows = pd.read_csv(tmp_path / "faces.csv")
    predictor = Predictor(model, refine=refine)
    faces = IBUG300WDataModule(wild).splits["train"]
    for row, face in zip(points_of(rows, "predicted"), faces, strict=True):
        (predicted,) = predictor(face.photo.path, [face.box])
        np.testing.assert_allclose(row, predicted.points, atol=0.01)


@pytest.mark.draws
def test_errors_by_angle_are_on_the_page(unsure, tmp_path, monkeypatch):
    monkeypatch.setattr("keypoints.evaluation.angles.ANGLES", (0, 90))
    *_, data = unsure
    of(*data, "angles=true", "stress_faces=1", f"output={tmp_path / 'out'}")
    rows = pd.read_csv(tmp_path / "out" / "angles.csv")
    assert rows["angle"].tolist() == [0, 0, 90, 90]
    assert "Errors by angle" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "angles.png").is_file()
    of(*data, f"output={tmp_path / 'out'}")
    assert not (tmp_path / "out" / "angles.csv").exists()


def test_a_second_pass_that_is_not_possible_is_said_first(untrained, wild, tmp_path):
    with pytest.raises(ConfigError, match="refine=true: the model's file does not say where"):
        of(f"checkpoint={untrained}", "data=ibug300w", "refine=true", f"output={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_the_table_of_faces_and_parts_agrees_with_the_metrics(evaluated):
    result = evaluated.result
    rows = pd.read_csv(evaluated.folder / "faces.csv", dtype={"view": str})
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
    # The mean over parts, weighted by their points, is the metric of the full face.
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


def test_only_tags_that_group_faces_have_metrics(full_face, tmp_path):
    done = of(f"checkpoint={full_face}", "split=train", f"output={tmp_path}")
    assert set(done.result["by_tag"]["person"]) == {"01", "02", "03", "04"}
    assert done.result["by_tag"]["view"]["6"]["faces"] == 4
    assert "gender" not in done.result["by_tag"]  # the same for all faces


def test_a_checkpoint_outside_its_run_knows_its_data_set(full_face, evaluated, made_up_imm, tmp_path):
    best = full_face / "checkpoints" / "best.ckpt"
    assert find_checkpoint(str(best), "best") == find_checkpoint(str(full_face), "best")
    alone = tmp_path / "alone.ckpt"
    shutil.copy(best, alone)
    one = of(f"checkpoint={alone}", f"paths.data={made_up_imm.parent}", f"output={tmp_path / 'one'}")
    contents = torch.load(alone, weights_only=True)
    contents["keypoints"]["trained_on"]["data"] = None  # as in an older checkpoint
    torch.save(contents, alone)
    with pytest.raises(ConfigError, match=r"alone\.ckpt: is not in a run's folder, so say on which data"):
        of(f"checkpoint={alone}")
    assert (
        one.result["metrics"] == evaluated.result["metrics"]
    )  # with the crop and landmarks of the checkpoint


def test_crop_and_landmarks_are_those_of_the_checkpoint(finished_run, made_up_imm, tmp_path):
    done = of(f"checkpoint={finished_run}", "data=imm", f"data.root={made_up_imm}", f"output={tmp_path}")
    assert done.result["scheme"] == "imm58-nose_tip"
    assert done.result["norm"] == "diagonal"
    assert done.result["by_part"] == {}
    assert not (tmp_path / "landmarks.png").exists()


def test_moved_data_are_read_from_the_given_root(full_face, made_up_imm, tmp_path):
    moved = shutil.copytree(made_up_imm, tmp_path / "moved")
    done = of(f"checkpoint={full_face}", f"root={moved}", f"output={tmp_path / 'out'}")
    assert pd.read_csv(tmp_path / "out" / "faces.csv")["photo"].str.contains("moved").all()
    assert done.result["faces"] == 6


@pytest.mark.draws
def test_stress_is_measured_and_plotted(full_face, tmp_path, monkeypatch):
    monkeypatch.setattr("keypoints.evaluation.robustness.STRESSES", few_stresses())
    done = of(f"checkpoint={full_face}", "stress=true", f"output={tmp_path}")
    table = pd.read_csv(tmp_path / "stress.csv")
    assert list(table["level"]) == [0, 2, 0, 10]
    assert table["nme"][0] == pytest.approx(done.result["metrics"]["nme"], rel=1e-3)
    assert (tmp_path / "stress.png").is_file()
    assert (tmp_path / "stressed_faces.png").is_file()
    assert len(done.result["stress"]) == 2
    assert "<h2>Robustness</h2>" in (tmp_path / "report.html").read_text()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as full_disk:
        full_disk.setattr(
            "keypoints.reports.evaluation.write_report", raises(OSError(28, "No space left on device"))
        )
        with pytest.raises(OSError, match="No space left"):
            of(f"checkpoint={full_face}", f"output={tmp_path}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    of(f"checkpoint={full_face}", f"output={tmp_path}")
    assert not list(tmp_path.glob("stress*"))  # an older stress table does not belong to these metrics


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


@pytest.mark.parametrize(("stress", "level"), [("true", "WARNING"), ("false", "INFO")])
def test_another_opencv_than_in_the_training_is_told(
    full_face, made_up_imm, tmp_path, monkeypatch, caplog, stress, level
):
    path = tmp_path / "other.ckpt"
    shutil.copy(RunFolder(full_face).best_checkpoint, path)
    change_checkpoint(path, lambda checkpoint: checkpoint["keypoints"]["versions"].update(opencv="3.4.18"))
    monkeypatch.setattr("keypoints.evaluation.robustness.STRESSES", few_stresses())
    data = [f"data.root={made_up_imm}", "data=imm", "stress_faces=1"]
    with caplog.at_level("INFO", "keypoints"):
        of(f"checkpoint={path}", *data, f"stress={stress}", f"output={tmp_path / 'out'}")
    told = [each for each in caplog.records if "trained with OpenCV 3.4.18" in each.message]
    assert [each.levelname for each in told] == [level]


def test_the_command_prints_the_mean_shape_baseline_next_to_the_model(full_face, tmp_path, capsys):
    main(["evaluate", str(full_face), f"output={tmp_path / 'out, [1]'}"])
    printed = capsys.readouterr().out
    assert "mean-shape baseline" in printed
    assert "right_eye" in printed
    assert "view 1, frontal, neutral" not in printed  # six faces of one person form no groups
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
def test_an_unusable_checkpoint_is_refused_in_one_line(full_face, tmp_path, capsys, damage, says):
    path = shutil.copytree(full_face, tmp_path / "run") / "checkpoints" / "best.ckpt"
    damage(path)
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", str(path), f"output={tmp_path / 'out'}"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {path}: ")
    assert re.search(says, line)
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
def test_invalid_values_are_refused(full_face, tmp_path, overrides, error, says):
    checkpoint = [f"checkpoint={full_face}", f"output={tmp_path / 'out'}"] if overrides else []
    with pytest.raises(error, match=says):
        of(*checkpoint, *overrides)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_scheme_is_refused(full_face, made_up_imm, tmp_path):
    path = tmp_path / "other.ckpt"
    checkpoint = torch.load(full_face / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["scheme"]["name"] = "ibug68"
    torch.save(checkpoint, path)
    with pytest.raises(ConfigError, match=r"predicts ibug68 \(58 points\), but these faces have imm58"):
        of(f"checkpoint={path}", "data=imm", f"data.root={made_up_imm}")


def test_untrusted_data_of_a_runs_configuration_are_refused(full_face, tmp_path):
    run = shutil.copytree(full_face, tmp_path / "run")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("keypoints.IMMDataModule", "os.system"))
    with pytest.raises(ConfigError, match=r"os\.system is outside the trusted packages"):
        of(f"checkpoint={run}")


@pytest.mark.parametrize("damage", ["data: [1]", "data: imm", "data: {", "- 1"])
def test_a_damaged_configuration_is_refused(full_face, tmp_path, damage):
    run = shutil.copytree(full_face, tmp_path / "run")
    (run / "config.yaml").write_text(damage)
    with pytest.raises((ConfigError, DataError), match=r"config\.yaml"):
        of(f"checkpoint={run}")


def test_broken_weights_are_noted_and_count_as_failures(full_face, tmp_path):
    run = shutil.copytree(full_face, tmp_path / "run")
    best = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    for value in checkpoint["state_dict"].values():
        if value.is_floating_point():
            value.fill_(1e38)  # so large that predictions are not finite
    torch.save(checkpoint, best)
    result = of(f"checkpoint={run}", f"output={tmp_path / 'out'}").result
    assert result["metrics"]["failure_rate"] == 1
    assert "no finite numbers" in result["notes"][0]


def test_best_and_last_have_their_own_folders_and_titles(full_face, tmp_path):
    run = shutil.copytree(full_face, tmp_path / "run")
    folders = {of(f"checkpoint={run / 'checkpoints' / which}.ckpt").folder.name for which in ("best", "last")}
    assert folders == {"val", "val-last"}
    assert "last epoch" in (run / "evaluations" / "val-last" / "report.html").read_text()


def test_a_checkpoint_in_the_working_directory_belongs_to_its_run(full_face, monkeypatch):
    monkeypatch.chdir(full_face / "checkpoints")
    assert find_checkpoint("best.ckpt", "best")[1] == RunFolder(full_face.resolve())


def test_training_faces_are_evaluated_only_with_force(full_face, made_up_imm, tmp_path):
    fold = ["data=imm", f"data.root={made_up_imm}", "data.fold=0", f"output={tmp_path / 'out'}"]
    with pytest.raises(ConfigError, match=r"was trained on 6 of the 6 faces of val.*force=true"):
        of(f"checkpoint={full_face}", *fold)
    assert not (tmp_path / "out").exists()
    result = of(f"checkpoint={full_face}", *fold, "force=true").result
    assert "forced: the model was trained on 6 of these faces" in result["notes"][-1]


SIZE = (320, 240)


def portraits(folder, count, first=0):
    """Return a list of made-up faces with 68 points and boxes, next to the photos."""
    folder.mkdir(exist_ok=True)
    rows = []
    for seed in range(first, first + count):
        picture, points = draw_portrait(seed, (160, 115), 40, SIZE)
        Image.fromarray(picture).save(folder / f"{seed}.png")
        rows.append([f"{seed}.png", 90, 70, 140, 140, *points.ravel()])
    head = ["image", "left", "top", "width", "height", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
    pd.DataFrame(rows, columns=head).to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


def test_faces_are_evaluated_with_detected_boxes(untrained, full_face, tmp_path):
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    listed = portraits(tmp_path / "photos", 3)
    Image.new("RGB", SIZE, "grey").save(tmp_path / "photos" / "0.png")
    asked = [f"checkpoint={untrained}", f"data.test={listed}", "force=true"]
    given, detected = (
        of(*asked, f"boxes={boxes}", f"output={tmp_path / boxes}").result for boxes in ("given", "detected")
    )
    assert (given["faces"], detected["faces"], detected["not_found"]) == (3, 2, 1)
    name = open_detector().name
    assert detected["detector"] == name
    assert detected["notes"][-1] == f"the detector ({name}) did not find 1 of 3 faces: left out"
    assert detected["metrics"]["nme"] != given["metrics"]["nme"]
    assert of(*asked, "boxes=detected", "detector=dlib").result["detector"] == "dlib"
    with pytest.raises(ConfigError, match="detector: applies to boxes=detected only"):
        of(*asked, "detector=dlib")
    with pytest.raises(ConfigError, match="boxes=detected: this model was trained on full images"):
        of(f"checkpoint={full_face}", "boxes=detected")
    with pytest.raises(ConfigError, match="boxes is one of given, detected, points, not 'found'"):
        of(f"checkpoint={full_face}", "boxes=found")


def test_faces_without_points_are_refused(untrained, wild):
    with pytest.raises(DataError, match="no points to measure against; keypoints submit"):
        of(f"checkpoint={untrained}", "data=ibug300w", f"data.root={wild}", "split=test")


def test_results_on_a_compact_copy_are_in_pixels_of_the_originals(unsure, tmp_path):
    from keypoints.datatools.shrink import shrink

    model, wild, _ = unsure
    shrink(compose("shrink", ["dataset=ibug300w", f"root={wild}", f"output={tmp_path / 'copy'}", "side=40"]))
    data = [f"checkpoint={model}", "data=ibug300w", "data.split=official", "split=common"]
    folders = [tmp_path / name for name in ("of_originals", "of_copy")]
    original, copy = (
        of(*data, f"data.root={root}", f"output={folder}").result["metrics"]
        for root, folder in zip((wild, tmp_path / "copy"), folders, strict=True)
    )
    assert copy["nme"] == pytest.approx(original["nme"], rel=0.02)
    assert copy["mae_px"] == pytest.approx(original["mae_px"], rel=0.02)
    assert copy["mse"] == pytest.approx(original["mse"], rel=0.05)
    rows = [pd.read_csv(folder / "faces.csv") for folder in folders]
    assert rows[1]["truth_x8"].to_numpy() == pytest.approx(rows[0]["truth_x8"].to_numpy(), abs=0.1)


def test_faces_that_selected_the_best_epoch_are_noted(full_face, made_up_imm, tmp_path):
    path = tmp_path / "chosen.ckpt"
    checkpoint = torch.load(full_face / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["keypoints"]["trained_on"].update(groups=[], validated=["01"])
    torch.save(checkpoint, path)
    data = ["data=imm", f"data.root={made_up_imm}", "split=train", f"output={tmp_path / 'out'}"]
    assert "selected on 6 of these faces" in of(f"checkpoint={path}", *data).result["notes"][-1]


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no checkpoints/best\.ckpt; is it a run's folder"):
        of(f"checkpoint={tmp_path}")


@pytest.fixture(scope="module")
def exported_run(full_face, tmp_path_factory):
    """Return the run's best checkpoint as an ONNX file."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")
    from keypoints.inference.onnx_export import export

    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(compose("export", [f"checkpoint={full_face}", f"output={path}"]))
    return path


def test_an_onnx_file_has_the_metrics_of_its_checkpoint(
    full_face, exported_run, made_up_imm, tmp_path, monkeypatch
):
    monkeypatch.setattr("keypoints.evaluation.robustness.STRESSES", few_stresses())
    data = ["data=imm", f"data.root={made_up_imm}", "stress=true"]
    one, other = (
        of(f"checkpoint={model}", *data, f"output={tmp_path / name}").result
        for model, name in ((full_face, "one"), (exported_run, "other"))
    )
    for part in ("metrics", "constant"):
        assert other[part] == pytest.approx(one[part], rel=1e-3)
    assert other["by_part"]["nose"] == pytest.approx(one["by_part"]["nose"], rel=1e-3)
    assert other["checkpoint"] == str(exported_run)
    assert {each.name for each in (tmp_path / "one").iterdir()} == {
        each.name for each in (tmp_path / "other").iterdir()
    }


def test_an_onnx_file_is_not_evaluated_on_its_training_faces(exported_run, made_up_imm, tmp_path):
    fold = ["data=imm", f"data.root={made_up_imm}", "data.fold=0", f"output={tmp_path / 'out'}"]
    with pytest.raises(ConfigError, match=r"model\.onnx: was trained on 6 of the 6 faces of val.*force=true"):
        of(f"checkpoint={exported_run}", *fold)
    result = of(f"checkpoint={exported_run}", *fold, "force=true").result
    assert "forced: the model was trained on 6 of these faces" in result["notes"][-1]


def test_settings_that_onnx_files_lack_are_refused(exported_run, tmp_path):
    for override, says in [
        ("flip_test=true", "an ONNX file does a flip test only if it was exported with flip_test=true"),
        ("device=cuda", "device=cuda is for checkpoints"),
    ]:
        with pytest.raises(ConfigError, match=rf"model\.onnx: {says}"):
            of(f"checkpoint={exported_run}", override)


def test_a_test_list_is_enough_to_evaluate_a_model(untrained, exported, full_face, tmp_path):
    listed = portraits(tmp_path / "photos", 3)
    one, other = (
        of(f"checkpoint={model}", f"data.test={listed}", f"output={tmp_path / 'out'}").result
        for model in (untrained, exported)
    )
    assert (one["split"], one["faces"], one["scheme"], one["norm"]) == ("test", 3, "ibug68", "pair")
    assert other["metrics"] == pytest.approx(one["metrics"], rel=1e-3)
    assert one["constant"] is None
    assert "does not say which faces it was trained on" in one["notes"][-1]
    with pytest.raises(ConfigError, match=r"predicts imm58 \(58 points\), but these faces have"):
        of(f"checkpoint={full_face}", f"data.test={listed}")


def test_boxes_are_placed_around_true_points_as_in_a_list(untrained, full_face, tmp_path):
    boxed = portraits(tmp_path / "photos", 3)
    boxless = boxed.with_name("boxless.csv")
    pd.read_csv(boxed).drop(columns=["left", "top", "width", "height"]).to_csv(boxless, index=False)
    asked = [f"checkpoint={untrained}", f"data.test={boxless}", f"output={tmp_path / 'out'}"]
    result = of(*asked, "boxes=points", f"boxes_like={boxed}").result
    assert (result["faces"], result["boxes"], result["not_found"]) == (3, "points", 0)
    assert "around the true points" in result["notes"][-1]
    given = of(*asked[:1], f"data.test={boxed}", *asked[2:]).result
    assert result["metrics"]["nme"] == pytest.approx(given["metrics"]["nme"], rel=0.2)
    with pytest.raises(ConfigError, match=r"does not say how its training boxes are placed.*boxes_like="):
        of(*asked, "boxes=points")
    with pytest.raises(DataError, match=r"boxless\.csv: none of its 3 faces has a box"):
        of(*asked, "boxes=points", f"boxes_like={boxless}")
    with pytest.raises(ConfigError, match="boxes=points: this model was trained on full images"):
        of(f"checkpoint={full_face}", "boxes=points")


def test_a_test_list_is_added_to_the_lists_of_a_run(tmp_path):
    train_list, test_list = portraits(tmp_path / "a", 4), portraits(tmp_path / "b", 2, first=10)
    smaller = [override for override in SMALL if not override.startswith(("experiment", "model"))]
    net = ["model.net.kernel_sizes=[3]", "model.net.channels=[2]", "model.net.hidden=4", "data.width=32"]
    lists = ["data=labelled", f"data.train={train_list}", "data.scheme=ibug68", "data.height=32"]
    run = tmp_path / "run"
    train(compose("train", [*smaller, *net, *lists, f"output={run}"]))
    done = of(f"checkpoint={run}", f"data.test={test_list}")
    assert done.folder == run / "evaluations" / "test"
    assert (done.result["faces"], done.result["norm"]) == (2, "pair")
    assert done.result["constant"] is not None
    own = of(f"checkpoint={run}", f"data.test={test_list}", "split=val", f"output={tmp_path / 'val'}").result
    assert own["faces"] == 1
    with pytest.raises(ConfigError, match="was trained on 3 of the 4 faces of test"):
        of(f"checkpoint={run}", f"data.test={train_list}", "data.train=null", "split=test")


def test_given_data_settings_change_those_of_the_run(full_face, tmp_path):
    done = of(
        f"checkpoint={full_face}", "data.train_persons=1", "split=val", f"output={tmp_path}", "force=true"
    )
    assert done.result["faces"] > 6
    with pytest.raises(ConfigError, match=r"train_person.*as .*config\.yaml says"):
        of(f"checkpoint={full_face}", "data.train_person=1")
