"""Damaged files of runs and sweeps, and damaged models: each gives a one-line error with the file's name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from keypoints.cli import main
from keypoints.errors import CheckpointError, DataError
from keypoints.evaluation.face_tables import read_faces
from keypoints.inference.onnx_model import ExportedModel
from keypoints.runs.history import read_history, read_logged
from keypoints.runs.network_file import read_network_cost
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.runs.sweep_folder import SweepFolder, recorded_overrides
from keypoints.tasks.checkpoint import read_checkpoint

VERBS = {
    "report": lambda run: ["report", str(run)],
    "evaluate": lambda run: ["evaluate", str(run), f"output={run.parent / 'out'}"],
    "resume": lambda run: ["train", f"resume={run}"],
}
READ_BY = {
    "status.json": ["report", "resume"],
    "config.yaml": ["report", "evaluate", "resume"],
    "metrics.csv": ["report"],
    "faces.csv": ["report"],
    "landmarks.json": [],  # by the report of a sweep
    "network.json": [],  # by the report of a sweep
}
READERS = {
    "status.json": read_status,
    "config.yaml": RunFolder.configuration,
    "metrics.csv": read_logged,
    "faces.csv": lambda run: read_faces(run.faces),
    "landmarks.json": RunFolder.scheme,
    "network.json": read_network_cost,
}
ODD = [None, True, -1, 10**400, float("nan"), "text", [1], {"a": {"b": 1}}]
BYTES = {
    "empty": lambda raw: b"",
    "a byte": lambda raw: raw[:1],
    "a NUL": lambda raw: raw[:20] + b"\0" + raw[20:],
    "Latin-1": lambda raw: raw[:20] + b"\xe4" + raw[20:],
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "zeros": lambda raw: bytes(len(raw)),
    "noise": lambda raw: np.random.default_rng(0).bytes(999),
    "a list": lambda raw: b"[1, 2]\n",
    "deep": lambda raw: b'{"a":' * 100_000,
    "endless": lambda raw: b"a: &a [*a, *a]\nb: *a\n",
}
FITTING = {
    ("version", "text"),
    ("started", "text"),
    ("host", "text"),
    *(("process", None), ("process_began", None), ("process_began", -1), ("seconds", -1)),
    *((f"metrics.{name}", value) for name in ("best/mse", "best/epoch") for value in (None, -1)),
}
"""Odd values that are valid."""


def put(values, key, value):
    *outer, last = key.split(".")
    for name in outer:
        values = values[name]
    values[last] = value


def statuses():
    keys = ["status", "version", "command", "overrides", "job", "started", "host", "process", "process_began"]
    for key in (*keys, "seconds", "metrics", "metrics.best/mse", "metrics.best/epoch"):
        for value in ODD:
            if not any(key == own and value == fits and type(value) is type(fits) for own, fits in FITTING):
                yield key, value


def configurations():
    for key in ("data", "model", "optimizer", "scheduler", "loss", "trainer", "augmentation"):
        yield from ((key, value) for value in (True, -1, "text", [1]))
    for key in ("callbacks", "logger"):
        yield from ((key, value) for value in (True, -1, "text", [1], {"a": 1}))
    for key in ("seed", "name", "output"):
        yield from ((key, value) for value in (None, True, -1, [1], {"a": 1}))
    for key in ("data.root", "optimizer.lr", "name"):
        yield key, "${oc.env:HOME}"


@pytest.fixture
def run(finished_run, tmp_path):
    """Copy of a finished run that looks as if it was stopped before its first epoch."""
    run = RunFolder(shutil.copytree(finished_run, tmp_path / "run"))
    config = run.config.read_text()
    run.config.write_text(config.replace(str(OmegaConf.create(config).output), str(run.path)))
    run.status_file.write_text(
        json.dumps({**json.loads(run.status_file.read_text()), "status": "interrupted"})
    )
    run.last_checkpoint.unlink()
    return run


def is_refused(arguments, name, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert name in said


def refused_by_its_reader(run, name):
    with pytest.raises(DataError, match=rf"{name}: ") as error:
        READERS[name](run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_a_file_with_damaged_bytes_is_named(run, name):
    file = run.path / name
    raw = file.read_bytes()
    for mutation in BYTES.values():
        file.write_bytes(mutation(raw))
        refused_by_its_reader(run, name)
    with file.open("wb") as emptied:
        emptied.truncate(2**30)
    refused_by_its_reader(run, name)
    file.unlink()
    file.mkdir()
    refused_by_its_reader(run, name)


@pytest.mark.parametrize("name", ["status.json", "landmarks.json", "faces.csv"])
def test_a_truncated_file_is_named(run, name):
    file = run.path / name
    raw = file.read_bytes().rstrip()
    for part in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        file.write_bytes(raw[: int(part * len(raw))])
        refused_by_its_reader(run, name)


def test_a_value_of_another_type_in_a_status_is_named(run):
    whole = run.status_file.read_text()
    for key, value in statuses():
        values = json.loads(whole)
        put(values, key, value)
        run.status_file.write_text(json.dumps(values))
        with pytest.raises(DataError, match=rf"status\.json: .*{key.partition('.')[0]}"):
            read_status(run)
    values.pop("status")
    run.status_file.write_text(json.dumps(values))
    refused_by_its_reader(run, "status.json")


def test_an_older_status_is_read(run):
    run.status_file.write_text('{"status": "finished", "metrics": {"best/mse": 0.5}}')
    assert read_status(run).metrics == {"best/mse": 0.5}


def test_a_value_of_another_type_in_a_configuration_is_named(run):
    whole = OmegaConf.to_container(OmegaConf.load(run.config))
    for key, value in configurations():
        values = json.loads(json.dumps(whole))
        put(values, key, value)
        run.config.write_text(yaml.safe_dump(values))
        refused_by_its_reader(run, "config.yaml")


def test_environment_variables_in_an_untrusted_run_are_not_read(run, capsys, monkeypatch):
    monkeypatch.setenv("SECRET", "told")
    run.config.write_text(run.config.read_text().replace("seed: 0", "seed: ${oc.env:SECRET}"))
    for verb in VERBS.values():
        is_refused(verb(run.path), "config.yaml: line", capsys)


@pytest.mark.parametrize(
    ("name", "verb"), [(name, verb) for name, verbs in READ_BY.items() for verb in verbs]
)
def test_each_verb_reports_a_damaged_file_in_one_line(run, name, verb, capsys):
    file = run.path / name
    raw = file.read_bytes()
    for mutation in ("empty", "a NUL", "endless"):
        file.write_bytes(BYTES[mutation](raw))
        is_refused(VERBS[verb](run.path), name, capsys)


@pytest.mark.parametrize("verb", ["evaluate", "resume"])
def test_an_unknown_setting_is_reported_with_the_file(run, verb, capsys):
    run.config.write_text(run.config.read_text().replace("batch_size: ", "batch_size: x"))
    is_refused(VERBS[verb](run.path), "config.yaml", capsys)


@pytest.mark.parametrize(
    ("column", "value"),
    [("photo", ""), ("mse", "text"), ("error_px", ""), ("truth_x0", "nan"), ("predicted_y0", "1e999")],
)
def test_an_invalid_value_in_the_table_of_faces_is_named(run, column, value):
    faces = pd.read_csv(run.faces, dtype=str)
    faces.loc[1, column] = value
    faces.to_csv(run.faces, index=False)
    with pytest.raises(DataError, match=rf"faces\.csv: .*'{column}'"):
        read_faces(run.faces)
    faces.drop(columns=column).to_csv(run.faces, index=False)
    with pytest.raises(DataError, match=rf"faces\.csv: .*'{column}'"):
        read_faces(run.faces)


def test_an_invalid_value_in_the_table_of_metrics_is_named(run):
    table = run.metrics.read_text()
    for text in ("text", "1e999x"):
        run.metrics.write_text(f"epoch,step,val/mse\n0,1,{text}\n")
        with pytest.raises(DataError, match=r"metrics\.csv: its column 'val/mse'"):
            read_history(run)
    for text in ("inf", "0.5", "-1", "1e300"):
        run.metrics.write_text(f"epoch,step,val/mse\n{text},1,0.5\n")
        with pytest.raises(DataError, match=r"metrics\.csv: its column 'epoch'"):
            read_history(run)
    run.metrics.write_text(table + "9,1e-")  # the process was killed while writing
    assert read_history(run).index.max() == 1


SWEEPS = {
    "no overrides": "hydra: {}",
    "text": "hydra: text",
    "of text": "hydra: {overrides: text}",
    "of a number": "hydra: {overrides: {task: [1], hydra: []}}",
    "half": "hydra: {overrides: {task: []}}",
    "sweeper": "hydra: {overrides: {task: [], hydra: []}, sweeper: [1]}",
    "no override": "hydra: {overrides: {task: ['a b c'], hydra: []}, sweeper: {_target_: a.BasicSweeper}}",
    "endless": "hydra: {overrides: {task: ['a=range(0,1000000000)'], hydra: []}, "
    "sweeper: {_target_: a.BasicSweeper}}",
    "anchors": "hydra: &a {overrides: *a}",
    "environment": "hydra: {overrides: {task: ['name=${oc.env:HOME}'], hydra: []}}",
}


@pytest.mark.parametrize("contents", SWEEPS.values(), ids=SWEEPS)
def test_a_damaged_record_of_a_sweep_is_named(tmp_path, contents):
    (tmp_path / "multirun.yaml").write_text(contents)
    with pytest.raises(DataError, match=r"multirun\.yaml: ") as error:
        [SweepFolder(tmp_path).planned(), SweepFolder(tmp_path).to_resume()]
    assert "\n" not in str(error.value)


def test_interpolations_of_the_configuration_may_be_recorded():
    assert list(recorded_overrides(["name=${model.name}"])) == ["name=${model.name}"]


@pytest.mark.parametrize("contents", ["a:\n\tb: 1\n", "a: 1\na: 2\n", "a: &x\n  b: *x\n", "defaults: 1\n"])
def test_damaged_yaml_of_a_user_is_reported_with_its_line(tmp_path, capsys, contents):
    own = tmp_path / "conf" / "augmentation"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(contents)
    arguments = ["--config-dir", str(own.parent), "augmentation=mine", f"output={tmp_path / 'run'}"]
    is_refused(["train", *arguments], "mine.yaml: ", capsys)


def test_a_flipped_bit_in_a_checkpoint_is_detected(untrained, tmp_path):
    from zipfile import ZipFile

    raw = Path(untrained).read_bytes()
    with ZipFile(untrained) as archive:
        names = [record.filename for record in archive.infolist()]
        records = {name: archive.read(name) for name in names}
    path = tmp_path / "flipped.ckpt"
    assert len(names) > 10
    for contents in records.values():
        damaged = bytearray(raw)
        damaged[raw.index(contents) + len(contents) // 2] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"flipped\.ckpt: "):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda own: own["state_dict"]["net.0.weight"].view(-1)[0].fill_(float("nan")),
        lambda own: next(iter(own["state_dict"].values())).view(-1)[0].fill_(float("inf")),
        lambda own: own.update(state_dict=[1]),
        lambda own: own.update(hyper_parameters=[1]),
        lambda own: own.update(global_step="1"),
        lambda own: own["keypoints"].update(task=1),
        lambda own: own["keypoints"].update(trained_on=[1]),
        lambda own: own["keypoints"].update(confidence_calibration={"threshold": "high"}),
        lambda own: own["keypoints"].update(trained_on={"groups": "a", "mean": []}),
        lambda own: own["keypoints"].update(trained_on={"groups": [], "mean": [[0.5, float("nan")]]}),
        lambda own: own["keypoints"].update(trained_on={"groups": [], "mean": [], "other": 1}),
    ],
)
def test_invalid_values_in_a_checkpoint_are_refused(untrained, tmp_path, change):
    checkpoint = torch.load(untrained, weights_only=True)
    weights = checkpoint["state_dict"]
    weights["net.0.weight"] = weights.pop("net.0.weight", next(iter(weights.values())))
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(CheckpointError, match=r"changed\.ckpt: .*damaged, or was changed"):
        read_checkpoint(tmp_path / "changed.ckpt")


def test_a_flipped_bit_in_an_onnx_network_is_detected(exported, tmp_path):
    raw = exported.read_bytes()
    end = raw.index(b"keypoints", raw.index(b"crop convention") if b"crop convention" in raw else 0)
    path = tmp_path / "model.onnx"
    for place in np.linspace(0, end - 1, 60).astype(int):
        damaged = bytearray(raw)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"model\.onnx: "):
            ExportedModel(path)


def test_an_older_onnx_file_without_a_digest_is_read(exported, tmp_path):
    from keypoints.inference.onnx_model import metadata

    onnx = pytest.importorskip("onnx")
    model, now = onnx.load(exported), ExportedModel(exported)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata(now.scheme, now.crop, "float32"))
    onnx.save(model, tmp_path / "older.onnx")
    images = np.zeros((1, 1, 48, 48), np.float32)
    np.testing.assert_array_equal(ExportedModel(tmp_path / "older.onnx")(images).points, now(images).points)
    weights = next(each for each in model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT)
    values = np.full(tuple(weights.dims), np.nan, np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, tmp_path / "older.onnx")
    with pytest.raises(CheckpointError, match=r"older\.onnx: its weights .* hold NaN"):
        ExportedModel(tmp_path / "older.onnx")
