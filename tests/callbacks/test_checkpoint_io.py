import errno
import os

import pytest
import torch

from keypoints.callbacks import checkpoint_io
from keypoints.callbacks.checkpoint_io import AtomicCheckpointIO


def test_the_temporary_folder_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 3}, str(path))
    assert torch.load(path, weights_only=True) == {"epoch": 3}
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 3}, path)

    def full(self, contents):
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint_io.Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 4}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 3}
    assert list(tmp_path.iterdir()) == [path]
