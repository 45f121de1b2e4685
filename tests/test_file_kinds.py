import gzip
import io
import json
import pickle
import tarfile
import zipfile

import pytest
import torch
from PIL import Image
from torch import nn

from keypoints.cli import main
from keypoints.file_kinds import ONNX, TEXT, TORCH, describe_file, mistaken


class Harmful:
    def __reduce__(self):
        return (print, ("code from a file ran",))


class OwnNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)


def saved(contents, **how):
    stream = io.BytesIO()
    torch.save(contents, stream, **how)
    return stream.getvalue()


def picture(kind):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, kind)
    return stream.getvalue()


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")
    return stream.getvalue()


def tarred():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return stream.getvalue()


def safetensors():
    head = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(head).to_bytes(8, "little") + head + bytes(4)


def scripted():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"):
            archive.writestr(name, b"")
    return stream.getvalue()


KINDS = {
    "weights": (lambda: saved(nn.Linear(2, 2).state_dict()), TORCH),
    "module": (
        lambda: saved(OwnNet()),
        "a pickled network (tests.test_file_kinds.OwnNet), which would run code",
    ),
    "objects": (lambda: saved({"a": Harmful()}), "a pickle of Python objects (__builtin__.print)"),
    "legacy": (lambda: saved({}, _use_new_zipfile_serialization=False), "a file of torch before version 1.6"),
    "pickle": (lambda: pickle.dumps(Harmful()), "a pickle, which may run code"),
    "script": (scripted, "a TorchScript archive"),
    "safetensors": (safetensors, "a safetensors file"),
    "zip": (zipped, "a zip archive; unpack it first"),
    "tar": (tarred, "a tar archive; unpack it first"),
    "gzip": (lambda: gzip.compress(b"a"), "a gzip file; unpack it first"),
    "png": (lambda: picture("PNG"), "a picture (PNG)"),
    "jpeg": (lambda: picture("JPEG"), "a picture (JPEG)"),
    "webp": (lambda: picture("WEBP"), "a picture (WebP)"),
    "html": (lambda: b"\n<!DOCTYPE html>\n<html><body>404", "a web page (HTML): the download gave an error"),
    "lfs": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        "a pointer of git-lfs, not the file itself; get it with: git lfs pull",
    ),
    "xml": (lambda: b"<?xml version='1.0'?>\n<dataset>", f"{TEXT} (XML)"),
    "json": (lambda: b'{"a": 1}', f"{TEXT} (JSON)"),
    "csv": (lambda: b"image,x0,y0\na.jpg,1,2\n", f"{TEXT} (CSV)"),
    "yaml": (lambda: b"# gr\xc3\xb6\xc3\x9fe\ndata:\n  root: a\n", f"{TEXT} (YAML)"),
    "text": (lambda: b"hello", TEXT),
    "empty": (lambda: b"", "an empty file"),
    "noise": (lambda: bytes(range(128, 256)), None),
    "cut zip": (lambda: zipped()[:20], None),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_recognised_without_running_its_code(name, tmp_path, capsys):
    make, wanted = KINDS[name]
    path = tmp_path / "model.ckpt"
    path.write_bytes(make())
    found = describe_file(path)
    assert found is None if wanted is None else found.startswith(wanted)
    assert capsys.readouterr().out == ""


def test_onnx_files_and_folders_are_recognised(exported, tmp_path):
    assert describe_file(exported) == ONNX
    assert describe_file(tmp_path) == "a folder"
    assert describe_file(tmp_path / "none") is None


def test_wrong_kinds_and_damage_have_different_messages(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(picture("PNG"))
    assert mistaken(path, "checkpoint", TORCH) == "is a picture (PNG)"
    path.write_bytes(saved({}))
    assert mistaken(path, "checkpoint", TORCH) == "truncated, damaged, or no checkpoint at all"
    path.write_text("hello")
    assert mistaken(path, "checkpoint", TORCH).endswith("or no checkpoint at all: it holds plain text")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["train", "resume={}"], "is an ONNX file; resume= takes the folder of a run or a sweep"),
        (
            ["train", "{small}", "start_from={}"],
            "is an ONNX file, which evaluate, predict, submit, demo and bench",
        ),
        (
            ["export", "{}", "output=other.onnx"],
            "is an ONNX file, which evaluate, predict, submit, demo and bench",
        ),
        (
            ["train", "{small}", "model=resnet18", "model.net.weights={}"],
            "is an ONNX file; weights are a state",
        ),
    ],
)
def test_an_onnx_file_in_a_wrong_place_is_refused(
    command, says, exported, made_up_imm, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    arguments = [each.format(exported, small="experiment=nose_tip") for each in command]
    if arguments[0] == "train" and "resume" not in arguments[1]:
        arguments += ["trainer=cpu", f"data.root={made_up_imm}", f"output={tmp_path / 'run'}"]
    with pytest.raises(SystemExit, match="1"):
        main(arguments)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {exported}: {says}")
