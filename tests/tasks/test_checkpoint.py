import pickle

import pytest
import torch

from keypoints.errors import CheckpointError
from keypoints.tasks.checkpoint import CHECKPOINT_FORMAT, OURS, read_checkpoint

SOUND = {OURS: {"format": CHECKPOINT_FORMAT, "version": "0.1"}, "state_dict": {"weight": torch.ones(1000)}}


class Harmful:
    def __reduce__(self):
        return (print, ("code from a checkpoint ran",))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "task.ckpt"


def test_a_checkpoint_of_this_format_is_read(path):
    torch.save(SOUND, path)
    assert torch.equal(read_checkpoint(path)["state_dict"]["weight"], torch.ones(1000))


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        ({"state_dict": {}}, "no checkpoint of keypoints but plain values by name"),
        ([1, 2], "no checkpoint of keypoints but a list"),
        (torch.ones(2), "no checkpoint of keypoints but a tensor"),
        ({"weight": torch.ones(2)}, "no checkpoint of keypoints but a state dict: weights alone"),
        (
            {"model": {"weight": torch.ones(2)}},
            "no checkpoint of keypoints but a checkpoint of another program",
        ),
        (
            {"state_dict": {"weight": torch.ones(2)}, "pytorch-lightning_version": "2.6"},
            "no checkpoint of keypoints but a checkpoint of Lightning by another program",
        ),
        ({OURS: {"format": 2, "version": "9.0"}}, r"format 2 \(keypoints 9\.0\)"),
    ],
)
def test_checkpoints_of_other_programs_or_formats_are_refused(path, contents, says):
    torch.save(contents, path)
    with pytest.raises(CheckpointError, match=rf"task\.ckpt: .*{says}"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"", "is an empty file; get it again"),
        (b"PK\x03\x04 not a zip", "truncated, damaged, or no checkpoint at all"),
        (pickle.dumps(Harmful()), "is a pickle, which may run code and is not opened"),
        (b"a,b\n1,2\n", r"is a text file \(CSV\), no checkpoint; `keypoints train` writes them"),
    ],
)
def test_other_files_are_refused_and_run_no_code(path, contents, says, capsys):
    path.write_bytes(contents)
    with pytest.raises(CheckpointError, match=rf"task\.ckpt: {says}"):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""


def test_an_onnx_file_is_refused_with_what_reads_it(exported):
    with pytest.raises(
        CheckpointError, match=r"model\.onnx: is an ONNX file, which evaluate, predict, .* read"
    ):
        read_checkpoint(exported)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder, no checkpoint"):
        read_checkpoint(tmp_path)


def test_a_truncated_or_missing_checkpoint_is_refused(path, tmp_path):
    torch.save(SOUND, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="truncated"):
        read_checkpoint(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")
