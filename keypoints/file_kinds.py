"""Recognition of a file's kind from its contents, for messages about wrong files. Runs no code in them."""

import codecs
import pickletools
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from keypoints.input_files import MISSING, why_not_regular

ONNX = "an ONNX file"
TORCH = "a checkpoint or weights of torch"
TEXT = "a text file"

_BEGINNING = 1 << 12
"""Number of bytes from which most kinds are recognised."""
_MOST_PICKLE = 1 << 22
"""Largest number of bytes that are read of a pickle; its structure without tensors is smaller."""

_ZIP = b"PK\x03\x04"
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"II*\0": "a picture (TIFF)",
    b"MM\0*": "a picture (TIFF)",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"BZh": "a bzip2 file; unpack it first",
    b"\xfd7zXZ\0": "an xz file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it first",
    b"Rar!\x1a\x07": "a rar archive; unpack it first",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes them",
    b"%PDF-": "a PDF document",
    b"\x93NUMPY": "an array of NumPy",
    b"SQLite format 3\0": "a database of SQLite",
    b"version https://git-lfs.github.com/spec/": (
        "a pointer of git-lfs, not the file itself; get it with: git lfs pull"
    ),
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": (
        "a file of torch before version 1.6; load it with that version, and save it in the newer format"
    ),
}
"""Descriptions of files by their first bytes."""

_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_ONNX = re.compile(rb"\x08[\x01-\x14](?:[\x12\x1a\x22\x32][\x00-\x7f]|\x28|\x3a|\x42)")
"""ONNX's version, and the number of a field that may follow it."""
_YAML = re.compile(r"---\s*$|[\w.-]+:(?:\s|$)")
_WEIGHTS = re.compile(r"collections OrderedDict|torch\._utils _rebuild_\w+|torch \w*(?:Storage|Size)")
"""Names that a pickled mapping from names to tensors refers to."""


def describe_file(path: Path) -> str | None:
    """Return a description of a file, from its contents and not its name, to follow the word "is".

    Args:
        path: a file that cannot be used for its purpose.

    Returns:
        A description such as ``"an ONNX file"``, with what to do if that is clear; ``None`` for an unknown
        kind, which may be a damaged file of the right kind.
    """
    if (why := why_not_regular(path)) is not None:
        return None if why == MISSING else why.removeprefix("is ").removesuffix(", not a regular file")
    try:
        with path.open("rb") as file:
            begins = file.read(_BEGINNING)
    except OSError:
        return None
    return _describe_contents(path, begins)


def mistaken(path: Path, wanted: str, own: str) -> str:
    """Return why a file cannot be read as the wanted kind, as the end of a message that names the file.

    Args:
        path: the file.
        wanted: name of the wanted kind, such as ``"checkpoint"``.
        own: result of :func:`describe_file` for an intact file of that kind.
    """
    kind = describe_file(path)
    if kind is None or kind == own:
        return f"truncated, damaged, or no {wanted} at all"
    if kind == TEXT:
        return f"truncated, damaged, or no {wanted} at all: it holds plain text"
    return f"is {kind}"


def _describe_contents(path: Path, begins: bytes) -> str | None:
    known = next((words for magic, words in _MAGIC.items() if begins.startswith(magic)), None)
    if known is not None:
        return known
    for is_one, words in _TESTS:
        if is_one(begins):
            return words
    return _describe_zip(path) if begins.startswith(_ZIP) else _describe_text(begins)


def _begins_tar(begins: bytes) -> bool:
    """Return whether the bytes are the beginning of a tar archive."""
    try:
        tarfile.TarInfo.frombuf(begins[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _is_safetensors(begins: bytes) -> bool:
    """Return whether the bytes begin with the length of a JSON object, and that object."""
    length = int.from_bytes(begins[:8], "little")
    return 2 <= length < 1 << 27 and begins[8:9] == b"{" and begins[9:].lstrip()[:1] in (b'"', b"}")


_TESTS: Sequence[tuple[Callable[[bytes], object], str]] = (
    (lambda begins: not begins, "an empty file; get it again"),
    (lambda begins: begins[:4] == b"RIFF" and begins[8:12] == b"WEBP", "a picture (WebP)"),
    (lambda begins: begins[:2] == b"BM" and begins[6:10] == bytes(4), "a picture (BMP)"),
    (_PICKLE.match, "a pickle, which may run code and is not opened"),
    (_begins_tar, "a tar archive; unpack it first"),
    (_is_safetensors, "a safetensors file: only weights, without the network"),
    (_ONNX.match, ONNX),
)
"""Tests of a file's first bytes, with the description of files that pass."""


def _describe_text(begins: bytes) -> str | None:
    """Return the kind of a text file; ``None`` if the bytes are not text."""
    text = codecs.getincrementaldecoder("utf-8-sig")("replace").decode(begins)  # may end in mid-character
    if any(not (mark.isprintable() or mark in "\t\r\n\f") or mark == "\ufffd" for mark in text):
        return None
    first = text.lstrip()
    if re.match(r"<!doctype html|(?:<[!?][^>]*>\s*)*<html", first, re.IGNORECASE):
        return "a web page (HTML): the download gave an error or a form instead of the file; get it again"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if first.startswith("<"):
        kind = " (XML)"
    elif first.startswith(("{", "[")):
        kind = " (JSON)"
    elif len(lines) > 1 and lines[0].count(",") == lines[1].count(",") > 0:
        kind = " (CSV)"
    else:
        kind = " (YAML)" if lines and _YAML.match(lines[0]) else ""
    return TEXT + kind


def _describe_zip(path: Path) -> str | None:
    """Return the description of a zip archive; ``None`` if it is damaged."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            inside = {name.partition("/")[2] for name in names}
            if "constants.pkl" in inside:
                return "a TorchScript archive: a compiled network, from which weights are not read"
            if any(name.endswith("archive_format") for name in inside):
                return "a program of torch.export"
            pickled = next((name for name in names if name.partition("/")[2] == "data.pkl"), None)
            if pickled is None:
                return "a zip archive; unpack it first"
            with archive.open(pickled) as file:
                return _describe_torch(file.read(_MOST_PICKLE))
    except (BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return None


def _describe_torch(pickled: bytes) -> str:
    """Return the description of a torch file, from the names that its pickle refers to."""
    others = [name for name in _references(pickled) if not _WEIGHTS.fullmatch(name)]
    networks = [name for name in others if ".nn." in name or name.endswith(("Net", "Model", "Module"))]
    if not others:
        return TORCH
    named = (networks or others)[0].replace(" ", ".")
    if networks:
        return (
            f"a pickled network ({named}), which would run code and is not opened; save its weights and "
            "settings instead"
        )
    return f"a pickle of Python objects ({named}), which would run code and is not opened"


def _references(pickled: bytes) -> Iterator[str]:
    """Yield the classes and functions that a pickle refers to, as "module name", without running it."""
    texts: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name == "GLOBAL":
                yield str(argument)
            elif operation.name == "STACK_GLOBAL" and len(texts) > 1:
                yield " ".join(texts[-2:])
            elif isinstance(argument, str):
                texts.append(argument)
    except ValueError:  # a truncated pickle
        return
