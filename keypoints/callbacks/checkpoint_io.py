"""Writing checkpoints so that one of them is complete at any moment."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from keypoints.files import replaced


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, and then renames it.

    Lightning writes it in the temporary folder. Where that is another filesystem, it copies the file over the
    old one: a kill meanwhile leaves none that is complete.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``; an address, such as of S3, is left to Lightning."""
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        contents = io.BytesIO()
        torch.save(checkpoint, contents)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as part:
            part.write_bytes(contents.getbuffer())
