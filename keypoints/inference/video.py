"""Clips: video files that are read and written frame by frame, with PyAV (the extra ``video``).

Only a few frames are in memory, whatever the length of a clip. Imports PyAV late.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np

from keypoints.errors import ConfigError, DataError, one_line
from keypoints.file_kinds import mistaken
from keypoints.formatting import counted
from keypoints.geometry import ByteArray
from keypoints.input_files import check_regular

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

SUFFIXES = frozenset(
    {
        *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
        *(".mxf", ".ogv", ".vob", ".webm", ".wmv"),
    }
)
"""Suffixes of clips, in lower case; not ``.asf``, which is the suffix of IMM's annotations too."""

INSTALL = "pip install -c constraints.txt -e '.[video]'"
_SECOND = 1_000_000
"""FFmpeg's unit of a file's duration is a microsecond."""
_CLOCK = 90_000
"""Ticks per second of a written clip: MPEG's clock, in which all usual frame rates are exact."""
_USUAL_RATE = 25.0
"""Frames per second of a clip that states no rate; only for frames without a usable time."""
_ENCODERS = ("libx264", "libopenh264", "mpeg4")
"""Encoders for the written clip in order of preference: H.264 where FFmpeg's build has it."""
_BT709 = 1
"""FFmpeg's number of the colours of ITU-R BT.709."""
_MISSING_END = 0.15
"""Seconds by which a clip without fault may end before its stated end."""
_LONGEST_PAUSE = 3600.0
"""Longest time between two frames of a written clip, in seconds; mp4 cannot hold more than a few hours."""
_STRETCHED = 4
"""Largest ratio of a pixel's sides that is believed."""


class Frame(NamedTuple):
    """Frame of a clip."""

    number: int
    """Index, from 0."""
    time: float
    """Seconds after the first frame, from the file's own times; rising."""
    pixels: ByteArray
    """(H, W, 3) RGB, upright, with square pixels."""


class Clip:
    """Opened clip, see :func:`open_clip`.

    Args:
        path: the file.
        container: the opened file.
        stream: its first video.

    Attributes:
        problems: what was wrong with the file, after all frames were read: lines that name it.
    """

    def __init__(self, path: Path, container: "InputContainer", stream: "VideoStream") -> None:
        self.path = path
        self.problems: list[str] = []
        self._container = container
        self._stream = stream
        self._damaged: list[float] = []
        self._start = (container.start_time or 0) / _SECOND
        self._reached = self._start
        self._shape = float(stream.sample_aspect_ratio or 1)
        if not 1 / _STRETCHED < self._shape < _STRETCHED:
            self._shape = 1.0

    @property
    def rate(self) -> float:
        """Frames per second, on average."""
        return float(self._stream.average_rate or self._stream.guessed_rate or 0) or _USUAL_RATE

    @property
    def duration(self) -> float | None:
        """Duration that the file states, in seconds; ``None`` if it states none."""
        return None if self._container.duration is None else self._container.duration / _SECOND

    @property
    def expected_frames(self) -> int | None:
        """Number of frames, which may be an estimate; ``None`` if it is not known."""
        if self._stream.frames:
            return self._stream.frames
        return None if self.duration is None else max(1, round(self.duration * self.rate))

    def frames(self) -> Iterator[Frame]:
        """Yield the frames. A damaged part is left out; if the clip breaks off, the frames end."""
        number, time = 0, -1.0
        zero: float | None = None  # the file's time of the first frame
        for number, decoded in enumerate(self._decoded(), 1):
            usual = 0.0 if number == 1 else time + 1 / self.rate
            own = None if decoded.pts is None else decoded.time
            zero = own - usual if zero is None and own is not None else zero
            since = usual if own is None or zero is None else own - zero
            time = since if since > time else usual
            yield Frame(number - 1, time, self._upright(decoded))
        self._conclude(number, 0.0 if number == 0 else time + 1 / self.rate)

    def _decoded(self) -> Iterator["VideoFrame"]:
        import av

        try:
            for packet in self._container.demux():
                self._reached = max(self._reached, _end(packet))
                if packet.stream is not self._stream:
                    continue
                try:
                    yield from self._stream.decode(packet)
                except av.InvalidDataError:
                    self._damaged.append(_end(packet) - self._start)
        except av.FFmpegError as error:
            self.problems.append(
                f"{self.path}: cannot be read after {self._reached - self._start:.2f} s "
                f"({one_line(error.strerror)})"
            )

    def _upright(self, frame: "VideoFrame") -> ByteArray:
        pixels: Any = frame.to_ndarray(format="rgb24", width=round(frame.width * self._shape))
        mirrored, turns = _orientation(frame)
        return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, turns))

    def _conclude(self, frames: int, end: float) -> None:
        """Note what is missing, after the last frame.

        Args:
            frames: number of read frames.
            end: time at which the last frame ends, in seconds.
        """
        if self._damaged:
            self.problems.append(
                f"{self.path}: is damaged: from {self._damaged[0]:.2f} s on, "
                f"{counted(len(self._damaged), 'frame')} cannot be decoded; the others are kept"
            )
        if not frames:
            return
        stated = self.duration or 0.0
        if self._start + stated - self._reached > max(_MISSING_END, 2 / self.rate):
            self.problems.append(
                f"{self.path}: breaks off after {counted(frames, 'frame')}, at {end:.2f} s of "
                f"{stated:.2f} s; these frames are kept"
            )


def _orientation(frame: "VideoFrame") -> tuple[bool, int]:
    """Return how a player shows a frame upright, as its display matrix says.

    PyAV's ``frame.rotation`` does not tell a mirrored frame from a turned one.

    Returns:
        True if left and right are exchanged first, and the number of counter-clockwise quarter turns then.
    """
    stored: Any = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return False, 0
    # (p, q) is shown at (a p + c q, b p + d q).
    a, b, _, c, d, *_ = np.frombuffer(bytes(stored), np.int32, 9).tolist()
    mirrored = a * d < b * c
    across, down = (-a, -b) if mirrored else (a, b)
    return mirrored, round(-2 * math.atan2(down, across) / math.pi) % 4


def _end(packet: "Packet[Any]") -> float:
    """Return the time at which a packet ends, in seconds; 0 if it states none."""
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def check_installed() -> None:
    """Check that PyAV is installed.

    Raises:
        ConfigError: if it is not.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"clips are read by PyAV, which is not installed: in the checkout, {INSTALL}"
        ) from error


@contextmanager
def open_clip(path: Path) -> Iterator[Clip]:
    """Open a clip for reading.

    Args:
        path: the file.

    Raises:
        ConfigError: if PyAV is not installed.
        DataError: if the file is no video, or has sound only.
    """
    check_installed()
    import av

    check_regular(path)
    try:
        # A file that refers to other files or addresses opens none of them.
        container = av.open(str(path.absolute()), container_options={"protocol_whitelist": "file"})
    except av.error.EOFError as error:
        raise DataError(f"{path}: has no frame") from error
    except (av.FFmpegError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read as a video: {mistaken(path, 'video', '')}") from error
    with container:
        covers = av.stream.Disposition.attached_pic
        streams = [each for each in container.streams.video if not each.disposition & covers]
        if not streams:
            raise DataError(f"{path}: has {'only sound' if container.streams.audio else 'no frame'}")
        stream = streams[0]
        if stream.codec_context is None:
            raise DataError(f"{path}: its coding is not known to this build of FFmpeg")
        stream.thread_type = "AUTO"
        yield Clip(path, container, stream)


class ClipWriter:
    """Writer of a clip in mp4, in H.264 where FFmpeg's build has an encoder for it; without sound.

    A context: at its end the file is complete, or empty if there was no frame.

    Args:
        path: the file.
        rate: frames per second, on average.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self._path = path
        self._rate = Fraction(rate).limit_denominator(1001)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._size = (0, 0)
        self._before = 0.0
        self._position = 0.0
        self._ticks = -1

    def __enter__(self) -> Self:
        self._path.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._container is None:
            return
        if error is not None:
            with suppress(Exception):  # the file is incomplete anyway
                self._container.close()
            return
        self._write(None)
        with self._naming_file():
            self._container.close()

    def add(self, pixels: ByteArray, time: float) -> None:
        """Write a frame; a frame of another size than the first is scaled to it.

        Args:
            pixels: (H, W, 3) RGB; an odd side gets one more row or column.
            time: seconds, later than the frame before.

        Raises:
            OSError: if it cannot be written, such as on a full disk.
        """
        from av import VideoFrame

        height, width = pixels.shape[:2]
        if self._stream is None:
            self._size = width + width % 2, height + height % 2
            with self._naming_file():
                self._open()
        if self._size == (width + width % 2, height + height % 2):
            pixels = np.pad(pixels, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
        frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            *self._size, format="yuv420p", dst_colorspace=_BT709
        )
        frame.colorspace = frame.color_primaries = frame.color_trc = _BT709
        self._position += min(time - self._before, _LONGEST_PAUSE)
        self._before, self._ticks = time, max(self._ticks + 1, round(self._position * _CLOCK))
        frame.pts, frame.time_base = self._ticks, Fraction(1, _CLOCK)
        self._write(frame)

    def _open(self) -> None:
        import av

        self._container = av.open(str(self._path.absolute()), "w", format="mp4")
        encoder = next(name for name in _ENCODERS if name in av.codecs_available)
        options = {"preset": "veryfast", "crf": "20"} if encoder == "libx264" else {}
        stream = cast("VideoStream", self._container.add_stream(encoder, rate=self._rate, options=options))
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        # With frames in another order than they are shown, mp4 states too short a duration after a pause.
        stream.codec_context.max_b_frames = 0
        stream.colorspace = stream.color_primaries = stream.color_trc = _BT709
        self._stream = stream

    def _write(self, frame: "VideoFrame | None") -> None:
        assert self._container is not None
        assert self._stream is not None
        with self._naming_file():
            self._container.mux(self._stream.encode(frame))

    @contextmanager
    def _naming_file(self) -> Iterator[None]:
        """Make errors of the disk name the file as it was given."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
