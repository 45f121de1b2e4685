"""Compact copy of a data set in the same folder layout: cropped faces with context, scaled down."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from rich.progress import track

from keypoints.crop import cut
from keypoints.data.compact_copy import MAP_FILE, Original, format_map, read_map, scaled_down
from keypoints.data.dataset_folders import find_root
from keypoints.data.formats.dlib_xml import Entry, format_dlib_xml
from keypoints.data.photos import Photo
from keypoints.datatools.compact_pieces import Cut, Piece, Plan, kept_part, plan_ibug, plan_imm
from keypoints.errors import ConfigError, DataError, one_line
from keypoints.files import holds_others, locked, replaced, write_atomically
from keypoints.formatting import counted, pluralised
from keypoints.geometry import Box, ByteArray
from keypoints.threads import mapped_in_threads

_SETTINGS = "shrink.json"
"""File that marks a folder as a compact copy, and records its settings."""
_LEAST_SIDE = 16
"""Smallest side of a box in a copy, in pixels."""
_SAMPLE = 64
"""Number of faces from which the size of the copy is estimated."""
_SAFETY = 0.97
"""Share of ``total_mb`` that the estimated size may take."""
_MAP_LINE = 200
"""Approximate bytes of a line of the map."""


class Copy(NamedTuple):
    """Summary of a written copy."""

    root: Path
    pictures: int
    side: int
    """Longer side of a face's box in the copy, in pixels."""
    megabytes: float


def shrink(cfg: DictConfig) -> Copy:
    """Write a compact copy of ``cfg.dataset`` to ``cfg.output``. Existing pictures of the same copy are kept.

    Raises:
        ConfigError: if a value is invalid.
        DataError: if the data set cannot be read, the copy cannot be written, or another command writes it.
    """
    settings = _settings(cfg)
    root = find_root(cfg.dataset, cfg.paths.data, cfg.root)
    output = _output(cfg.output, root)
    plan = plan_imm(root) if cfg.dataset == "imm" else plan_ibug(root)
    with ExitStack() as stack:
        with _reporting_write_errors(output):
            stack.enter_context(locked(output))
        return _write_copy(cfg, root, output, plan, settings)


def _write_copy(cfg: DictConfig, root: Path, output: Path, plan: Plan, settings: Mapping[str, Any]) -> Copy:
    made = _earlier_side(output, settings)
    side = made if made is not None else cfg.side or _fitting_side(root, plan, cfg)
    with _reporting_write_errors(
        output / _SETTINGS
    ):  # first: it marks the folder as a copy that a later call may complete
        write_atomically(output / _SETTINGS, json.dumps({**settings, "chosen_side": side}, indent=2) + "\n")
        for folder in {(output / piece.name).parent for piece in plan.pieces}:
            folder.mkdir(parents=True, exist_ok=True)

    def make(piece: Piece) -> Cut:
        return _write_piece(root, output, plan, piece, side=side, context=cfg.context, quality=cfg.quality)

    done = track(mapped_in_threads(make, plan.pieces), "shrinking", total=len(plan.pieces))
    cuts = {piece.name: found for piece, found in zip(plan.pieces, done, strict=True)}
    texts = {
        name: format_dlib_xml(
            (_entry_in_copy(entry, piece, cuts[piece.name]) for entry, piece in entries), name
        )
        for name, entries in plan.lists.items()
    }
    texts[MAP_FILE] = format_map(_originals(root, plan.pieces, cuts))
    for name, text in texts.items():
        with _reporting_write_errors(output / name):
            write_atomically(output / name, text)
    total = sum(path.stat().st_size for path in output.rglob("[!.]*") if path.is_file())
    return Copy(output, len(plan.pieces), side, total / 1e6)


def _settings(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings on which the copy's contents depend.

    Raises:
        ConfigError: if both or neither of side and total_mb are set.
    """
    if (cfg.side is None) == (cfg.total_mb is None):
        raise ConfigError("give either side=<pixels of a box's longer side> or total_mb=<size of the copy>")
    return {name: cfg[name] for name in ("dataset", "side", "total_mb", "context", "quality")}


def _output(output: str, root: Path) -> Path:
    path = Path(output)
    if path.resolve().is_relative_to(root.resolve()):
        raise ConfigError(f"{path}: lies in the data set itself; name another folder: output=<folder>")
    return path


def _earlier_side(output: Path, settings: Mapping[str, Any]) -> int | None:
    """Return the side that an earlier call for the same copy used; ``None`` if the folder is new or empty.

    Raises:
        DataError: if the folder contains other files, or a copy with other settings.
    """
    try:
        kept = json.loads((output / _SETTINGS).read_text(encoding="utf-8"))
        side = int(kept.pop("chosen_side"))
    except FileNotFoundError:
        if output.is_dir() and holds_others(output):
            raise DataError(
                f"{output}: already holds other files; name another folder: output=<folder>"
            ) from None
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{output / _SETTINGS}: cannot be read ({one_line(error)})") from error
    if kept != settings:
        was = ", ".join(f"{name}={value}" for name, value in kept.items() if value is not None)
        raise DataError(f"{output}: holds a copy made with {was}; name another folder: output=<folder>")
    return side


@contextmanager
def _reporting_write_errors(path: Path) -> Iterator[None]:
    """Report an error of writing ``path`` in the block on one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or one_line(error)})") from error


def _write_piece(
    root: Path, output: Path, plan: Plan, piece: Piece, *, side: int, context: float, quality: int
) -> Cut:
    """Write the picture and the annotation of a piece, unless they exist; return its cut."""
    photo = Photo(root / piece.file)
    part, longer = kept_part(piece, photo.size, context, root)
    found = Cut(*scaled_down(part, longer, side), photo.size)
    target = output / piece.name
    if piece.exact is not None:
        name, text = plan.annotate(piece, found)
        if not (output / name).is_file():
            with _reporting_write_errors(output / name):
                write_atomically(output / name, text)
    if not target.is_file():
        data = _jpeg(cut(photo.decode(3), found.region, found.size), quality)
        with _reporting_write_errors(target), replaced(target) as temporary:
            temporary.write_bytes(data)
    return found


def _jpeg(pixels: ByteArray, quality: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "jpeg", quality=quality)
    return data.getvalue()


def _entry_in_copy(entry: Entry, piece: Piece, found: Cut) -> Entry:
    """Return a list's entry in pixels of the copy.

    The list's points are rounded; the exact points of the ``.pts`` file replace them if they agree.
    """
    points = entry.points
    if points is not None and piece.exact is not None and np.abs(points - piece.exact).max() <= 1:
        points = piece.exact
    left, top = found.affine((entry.box.left - 0.5, entry.box.top - 0.5)) + 0.5
    scale = found.size[0] / found.region.width
    box = Box(float(left), float(top), entry.box.width * scale, entry.box.height * scale)
    return Entry(piece.name, box, None if points is None else found.affine(points), found.size)


def _originals(root: Path, pieces: Iterable[Piece], cuts: Mapping[str, Cut]) -> dict[str, Original]:
    """Return the map from each picture to its original; a copy of a copy maps to the first originals."""
    before = read_map(root)
    originals = {}
    for piece in pieces:
        found = cuts[piece.name]
        first = before.get(piece.file)
        originals[piece.name] = (
            Original(piece.file, found.whole, found.back)
            if first is None
            else Original(first.file, first.size, found.back.then(first.to_original))
        )
    return originals


def _fitting_side(root: Path, plan: Plan, cfg: DictConfig) -> int:
    """Return the largest side with which the copy takes at most ``total_mb``, estimated from a sample.

    Raises:
        ConfigError: if even the smallest side takes more.
    """
    sample = plan.pieces[:: -(-len(plan.pieces) // _SAMPLE)]

    def part_of(piece: Piece) -> tuple[ByteArray, float]:
        pixels = Photo(root / piece.file).decode(3)
        part, longer = kept_part(piece, (pixels.shape[1], pixels.shape[0]), cfg.context, root)
        return cut(pixels, part, (int(part.width), int(part.height))), longer

    parts = list(mapped_in_threads(part_of, sample))

    def megabytes(side: int) -> float:
        def size(item: tuple[ByteArray, float]) -> int:
            pixels, longer = item
            part = Box.of_image((pixels.shape[1], pixels.shape[0]))
            return len(_jpeg(cut(pixels, *scaled_down(part, longer, side)), cfg.quality))

        pictures = sum(mapped_in_threads(size, parts)) / len(parts) * len(plan.pieces)
        return (pictures + _annotations(root, plan)) / 1e6

    low, high = _LEAST_SIDE, max(_LEAST_SIDE, int(max(longer for _, longer in parts)) + 1)
    if megabytes(low) > _SAFETY * cfg.total_mb:
        raise ConfigError(
            f"total_mb={cfg.total_mb:g} is too little: {counted(len(plan.pieces), 'picture')} "
            f"{pluralised(len(plan.pieces), 'takes', 'take')} "
            f"{megabytes(low):.1f} MB even with side={low}"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if megabytes(middle) <= _SAFETY * cfg.total_mb else (low, middle - 1)
    return low


def _annotations(root: Path, plan: Plan) -> int:
    """Estimate the bytes of the lists, the annotation files and the map."""
    lists = sum((root / name).stat().st_size for name in plan.lists)
    files = sum(30 * len(piece.exact) for piece in plan.pieces if piece.exact is not None)
    return lists + files + _MAP_LINE * len(plan.pieces)
