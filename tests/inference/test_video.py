import resource
import sys

import numpy as np
import pytest
from PIL import Image

from keypoints.errors import ConfigError, DataError
from keypoints.inference.video import ClipWriter, check_installed, open_clip
from tests.clip_files import cut_short, write_clip, write_sound

av = pytest.importorskip("av", reason="PyAV is not installed (extra video)")

QUARTERS = np.zeros((48, 64, 3), np.uint8)
"""Picture with another colour in each quarter, (48, 64, 3)."""
QUARTERS[:24, :32], QUARTERS[:24, 32:], QUARTERS[24:, :32] = (200, 40, 40), (40, 200, 40), (40, 40, 200)


def read(path):
    """Return the frames of a clip, and its problems."""
    with open_clip(path) as clip:
        return list(clip.frames()), clip.problems


def noisy(count, size=(120, 160)):
    random = np.random.default_rng(0)
    first = random.integers(0, 255, (*size, 3), dtype=np.uint8)
    return [np.roll(first, 5 * number, axis=1) for number in range(count)]


def close(pixels, expected):
    """Return whether two pictures have about the same colours, but for the borders of areas."""
    return np.median(np.abs(pixels.astype(int) - expected.astype(int))) <= 4


@pytest.mark.parametrize(
    "times", [np.arange(6) / 25, np.arange(6) * 1001 / 30_000, [0, 0.011, 0.2, 0.25, 1.5, 1.6], [2, 3, 5]]
)
def test_times_are_the_frames_own_from_the_first_on(tmp_path, times):
    frames, problems = read(write_clip(tmp_path / "a.mp4", [QUARTERS] * len(times), times))
    assert [frame.number for frame in frames] == list(range(len(times)))
    assert [frame.time for frame in frames] == pytest.approx(np.array(times) - times[0], abs=1e-4)
    assert problems == []


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_frames_are_upright_as_a_player_shows_them(tmp_path, rotation):
    (frame, *_), _ = read(write_clip(tmp_path / "a.mp4", [QUARTERS] * 3, rotation=rotation))
    assert close(frame.pixels, np.rot90(QUARTERS, rotation // 90))


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
@pytest.mark.parametrize("flips", [{"hflip": True}, {"vflip": True}, {"hflip": True, "vflip": True}])
def test_mirrored_frames_are_as_a_player_shows_them(tmp_path, rotation, flips):
    path = write_clip(tmp_path / "a.mp4", [QUARTERS] * 3, rotation=rotation, **flips)
    shown = np.rot90(QUARTERS, rotation // 90)
    shown = shown[:, ::-1] if flips.get("hflip") else shown
    shown = shown[::-1] if flips.get("vflip") else shown
    assert close(read(path)[0][0].pixels, shown)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size"),
    [
        ("a.mp4", "libx264", "yuv420p10le", (48, 64)),
        ("a.mov", "prores_ks", "yuv422p10le", (48, 64)),
        ("a.mkv", "ffv1", "bgr0", (47, 63)),
        ("a.mkv", "ffv1", "gray", (47, 63)),
        ("a.avi", "mpeg4", "yuv420p", (48, 64)),
        ("a.avi", "mjpeg", "yuvj444p", (47, 63)),
        ("a.webm", "libvpx-vp9", "yuv444p", (47, 63)),
    ],
)
def test_all_formats_of_pixels_and_odd_sides_are_read(tmp_path, name, codec, pixels, size):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    picture = np.ascontiguousarray(QUARTERS[: size[0], : size[1]])
    frames, problems = read(write_clip(tmp_path / name, [picture] * 4, codec=codec, pixels=pixels))
    assert problems == []
    assert len(frames) == 4
    if pixels == "gray":
        picture = np.repeat(np.asarray(Image.fromarray(picture).convert("L"))[..., None], 3, axis=2)
    assert frames[0].pixels.shape == picture.shape
    assert close(frames[0].pixels, picture)


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {})])
@pytest.mark.parametrize("sound", [False, True])
def test_a_clip_that_breaks_off_gives_its_first_frames(tmp_path, name, options, sound):
    path = write_clip(tmp_path / name, noisy(50), sound=sound, **options)
    assert len(read(path)[0]) == 50
    assert read(path)[1] == []
    frames, (problem,) = read(cut_short(path, tmp_path / f"cut-{name}"))
    assert 10 < len(frames) < 40
    assert f"cut-{name}: breaks off after {len(frames)} frames, at {len(frames) / 25:.2f} s of 2.0" in problem


def test_a_damaged_part_is_left_out(tmp_path):
    path = write_clip(tmp_path / "a.mp4", noisy(50))
    contents = bytearray(path.read_bytes())
    start = len(contents) // 2
    contents[start : start + 2000] = bytes(2000)
    path.write_bytes(contents)
    frames, (problem,) = read(path)
    assert 30 < len(frames) < 50
    assert frames[-1].time == pytest.approx(49 / 25)
    assert "a.mp4: is damaged: from 0." in problem


def text(path):
    path.write_text("no video")


def playlist(path):
    """Write a list of other files, as players read them, one of which exists."""
    other = write_clip(path.with_name("other.mp4"), [QUARTERS] * 3)
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (text, "cannot be read as a video: truncated, damaged, or no video at all: it holds plain text"),
        (lambda path: path.touch(), "cannot be read as a video: is an empty file; get it again"),
        (lambda path: path.mkdir(), "is a folder, not a regular file"),
        (lambda path: None, "cannot be read (No such file or directory)"),
        (write_sound, "has only sound"),
        (
            lambda path: cut_short(write_clip(path, noisy(20)), path),
            "cannot be read as a video: truncated, damaged, or no video at all",
        ),
        (playlist, "cannot be read as a video: truncated, damaged, or no video at all: it holds plain text"),
    ],
)
def test_a_file_that_is_no_video_is_named(tmp_path, write, says):
    path = tmp_path / "a.mp4"
    write(path)
    with pytest.raises(DataError) as error, open_clip(path):
        pass
    assert str(error.value) == f"{path}: {says}"


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi"])
def test_a_clip_without_frames_is_named(tmp_path, name):
    with av.open(str(tmp_path / name), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        file.start_encoding()
    if name == "a.avi":
        assert read(tmp_path / name) == ([], [])
        return
    with pytest.raises(DataError, match=f"{name}: has no frame$"):
        read(tmp_path / name)


def test_names_may_have_any_characters(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [QUARTERS] * 3)
    for name in ("file:a b%20,[1].mp4", "ø ~.mp4", "\udcff.mp4"):
        assert len(read(path.rename(tmp_path / name))[0]) == 3
        path = tmp_path / name


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_a_written_clip_has_the_same_frames(tmp_path, size):
    picture = QUARTERS[: size[0], : size[1]]
    times = [0, 0.02, 0.1, 0.1000001, 5000.0, 5000.04]
    with ClipWriter(tmp_path / "out.part", 29.97) as writer:
        for time in times:
            writer.add(picture, time)
    frames, problems = read(tmp_path / "out.part")
    assert problems == []
    assert [frame.time for frame in frames] == pytest.approx(
        [*times[:4], times[3] + 3600, times[3] + 3600.04],
        abs=1e-3,  # an hour's pause at most
    )
    assert frames[0].pixels.shape == (48, 64, 3)
    assert close(frames[0].pixels[: size[0], : size[1]], picture)


def test_a_written_clip_states_its_duration_after_a_pause_too(tmp_path):
    with ClipWriter(tmp_path / "out.mp4", 5) as writer:
        for time, picture in zip([*np.arange(20) / 25, 5.0], noisy(21), strict=True):
            writer.add(picture, time)
    with open_clip(tmp_path / "out.mp4") as clip:
        assert clip.duration == pytest.approx(5.2, abs=0.05)


def test_frames_that_change_their_size_are_scaled_to_the_first(tmp_path):
    with ClipWriter(tmp_path / "out.mp4", 25) as writer:
        writer.add(QUARTERS, 0)
        writer.add(np.repeat(np.repeat(QUARTERS, 2, axis=0), 2, axis=1), 0.04)
    first, second = read(tmp_path / "out.mp4")[0]
    assert close(first.pixels, QUARTERS)
    assert close(second.pixels, QUARTERS)


def write(path, pictures):
    with ClipWriter(path, 25) as writer:
        for number, picture in enumerate(pictures):
            writer.add(picture, number / 25)


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "out.mp4"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            write(path, noisy(60, size=(240, 320)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.filename == str(path)


def test_without_pyav_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"PyAV, which is not installed: .* pip install .*\[video\]"):
        check_installed()
