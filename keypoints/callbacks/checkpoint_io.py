"""Atomic writing of checkpoints: a complete file exists at any moment."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from keypoints.files import replaced


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint writer that writes a temporary file in the same folder and then renames it.

    Lightning writes to the system's temporary folder. If that is another filesystem, it copies the file over
    the old one, and a process killed during the copy leaves no complete checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``; Lightning itself writes to URLs, such as of S3."""
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        contents = io.BytesIO()
        torch.save(checkpoint, contents)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as part:
            part.write_bytes(contents.getbuffer())
