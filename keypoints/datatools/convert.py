"""Conversion of a list of labelled photos to another format."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from keypoints.data.readers.ibug300w import NAMING
from keypoints.data.readers.labelled import FORMATS, format_labelled, read_list, write_list
from keypoints.errors import DataError
from keypoints.files import locked
from keypoints.formatting import counted
from keypoints.logs import log_some
from keypoints.schemes import scheme_named

log = logging.getLogger(__name__)

_THERE = "{}: is there already; name another file, or delete it first"


def convert(cfg: DictConfig) -> Path:
    """Write the faces of ``cfg.source`` to ``cfg.output`` in ``cfg.format``; return the new list.

    An identical list, such as from the same command before, is kept.

    Raises:
        ConfigError: if a value is missing or invalid.
        DataError: if the list cannot be read or written, or another file with the new name exists.
    """
    source, output = Path(str(cfg.source)), Path(str(cfg.output))
    if not output.parent.is_dir():
        raise DataError(f"{output}: its folder is missing; make it first")
    root = None if cfg.root is None else Path(str(cfg.root))
    scheme = None if cfg.scheme is None else scheme_named(str(cfg.scheme))
    with locked(output, beside=True):
        if output.exists() and output.resolve() == source.resolve():
            raise DataError(_THERE.format(output))
        faces, skipped, described = read_list(
            source, root=root, scheme=scheme, strict=cfg.strict, naming=NAMING
        )
        text = format_labelled(faces, output, str(cfg.format), root=root, scheme=scheme or described)
        if not output.exists():
            write_list(output, text)
        elif _differs(output, text):
            raise DataError(_THERE.format(output))
    log_some(log, "left out", skipped)
    if loses := FORMATS[cfg.format].loses:
        log.warning("in %s %s", FORMATS[cfg.format].what, loses)
    log.info("%s written to %s", counted(len(faces), "face"), output)
    return output


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") != text
    except (OSError, ValueError):
        return True
