"""Clips of made-up faces for tests, written with PyAV."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.conftest import draw_portrait

TILE = 240
"""Side of the picture of a moving face, in pixels."""


def face_tile(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a small picture of a made-up face, and its 68 points."""
    return draw_portrait(seed, centre=(TILE / 2, 0.42 * TILE), scale=50, size=(TILE, TILE))


def placed(tiles: Sequence[np.ndarray], corners: Sequence[tuple[float, float]], size: tuple[int, int]):
    """Return a grey frame of a size with tiles at their left upper corners, the last one in front."""
    width, height = size
    frame = np.full((height + 2 * TILE, width + 2 * TILE, 3), 110, np.uint8)
    for tile, (x, y) in zip(tiles, corners, strict=True):
        left, top = round(x) + TILE, round(y) + TILE
        if 0 <= left <= width + TILE and 0 <= top <= height + TILE:
            frame[top : top + TILE, left : left + TILE] = tile
    return np.ascontiguousarray(frame[TILE:-TILE, TILE:-TILE])


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    times: Sequence[float] | None = None,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rotation: int | None = None,
    hflip: bool = False,
    vflip: bool = False,
    sound: bool = False,
    **options: str,
) -> Path:
    """Write frames, (H, W, 3) RGB, as a clip; 25 a second, or at the given times in seconds.

    Args:
        path: the file.
        frames: the frames.
        times: time of each frame in seconds.
        codec: encoder.
        pixels: FFmpeg's name of the format of the pixels.
        rotation: counter-clockwise angle in degrees by which a player turns the frames.
        hflip: a player then exchanges left and right.
        vflip: a player then exchanges top and bottom.
        sound: add silence.
        options: options of the file's format.
    """
    import av

    with av.open(str(path), "w", options=options) as file:
        stream = voice = None
        for number, picture in enumerate(frames):
            if stream is None:
                stream = file.add_stream(codec, rate=25)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pixels
                if rotation is not None:
                    stream.set_display_rotation(rotation, hflip, vflip)
                if codec == "libx264":
                    stream.codec_context.time_base = Fraction(1, 90_000)
                voice = file.add_stream("aac", rate=48_000) if sound else None
            if voice is not None:
                file.mux(voice.encode(_silence(number)))
            frame = av.VideoFrame.from_ndarray(picture)
            time = number / 25 if times is None else times[number]
            frame.time_base = Fraction(1, 90_000) if codec == "libx264" else Fraction(1, 25)
            frame.pts = round(time / frame.time_base)
            file.mux(stream.encode(frame))
        for each in filter(None, (stream, voice)):
            file.mux(each.encode())
    return path


def write_sound(path: Path) -> Path:
    """Write a file with sound only."""
    import av

    with av.open(str(path), "w") as file:
        voice = file.add_stream("aac", rate=48_000)
        for number in range(25):
            file.mux(voice.encode(_silence(number)))
        file.mux(voice.encode())
    return path


def _silence(number: int):
    """Return the silence during a frame."""
    import av

    silence = av.AudioFrame.from_ndarray(np.zeros((2, 1920), np.float32), format="fltp", layout="stereo")
    silence.rate, silence.pts, silence.time_base = 48_000, 1920 * number, Fraction(1, 48_000)
    return silence


def cut_short(source: Path, target: Path, share: float = 0.6) -> Path:
    """Copy the first part of a file, as an interrupted copy leaves it."""
    contents = source.read_bytes()
    target.write_bytes(contents[: int(share * len(contents))])
    return target
