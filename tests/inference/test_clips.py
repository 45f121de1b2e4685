import csv
import json
import resource
import sys

import numpy as np
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import pixels_to_ratio
from keypoints.inference.clips import ClipSettings, FaceFollower
from keypoints.inference.detectors import open_detector
from keypoints.inference.one_euro import OneEuro
from keypoints.inference.predictor import Predictor
from keypoints.inference.video import open_clip
from tests.clip_files import TILE, cut_short, face_tile, placed, write_clip, write_sound
from tests.conftest import ROOT, draw_portrait, save_untrained
from tests.working import predict

pytest.importorskip("av", reason="PyAV is not installed (extra video)")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")

MODEL = ROOT / "results/ibug300w_best/model.onnx"
RATE = 25


class CountingDetector:
    """Installed detector that counts its calls."""

    name = limits = "counting"

    def __init__(self):
        self.find = open_detector()
        self.calls = 0

    def __call__(self, pixels):
        self.calls += 1
        return self.find(pixels)


@pytest.fixture(scope="module")
def predictor():
    """Trained model that knows where faces lie in its input, and which confidence is low."""
    pytest.importorskip("dlib", reason="no detector is installed (extra detect)")
    found = Predictor(MODEL, detector=CountingDetector())
    tile, points = face_tile(1)
    (face,) = found.prepare(tile)
    found.mean_shape = pixels_to_ratio(face.affine(points), found.crop.size)
    found.confidence_calibration = ConfidenceCalibration(0.6, (0.6, 0.8), (0.05, 0.03), "pair", 100)
    return found


def followed(predictor, frames, settings=None):
    """Return the faces of each frame."""
    follower = FaceFollower(predictor, ClipSettings() if settings is None else settings)
    return [follower(pixels, number / RATE) for number, pixels in enumerate(frames)]


def test_two_faces_that_cross_keep_their_tracks(predictor):
    tiles, truths = zip(*(face_tile(seed) for seed in (5, 1)), strict=True)
    owners, both = {}, 0
    corners = [[(430 - 9 * number, 40), (-10 + 9 * number, 20)] for number in range(50)]
    frames = [placed(tiles, places, (660, 280)) for places in corners]
    for places, faces in zip(corners, followed(predictor, frames), strict=True):
        centres = [points.mean(axis=0) + place for points, place in zip(truths, places, strict=True)]
        if abs(places[0][0] - places[1][0]) < 0.8 * TILE:
            continue  # one hides the other
        both += len(faces) == 2
        for face in faces:
            distances = np.linalg.norm(np.array(centres) - face.points.mean(axis=0), axis=1)
            assert owners.setdefault(face.track, distances.argmin()) == distances.argmin()
    assert len(owners) == 2
    assert both >= 20


def test_between_detections_the_last_points_give_the_box(predictor):
    tile, truth = face_tile(1)
    frames = [placed([tile], [(4 * number, 10)], (500, 260)) for number in range(40)]
    found, calls = {}, {}
    for every in (0.0, 0.5):
        predictor.detector.calls = 0
        found[every] = followed(predictor, frames, ClipSettings(every))
        calls[every] = predictor.detector.calls
    assert calls == {0.0: 40, 0.5: 4}
    for number, (first, second) in enumerate(zip(*found.values(), strict=True)):
        for (face,) in (first, second):
            error = np.linalg.norm(face.points - truth - [4 * number, 10], axis=1).mean()
            assert error < 0.08 * np.linalg.norm(truth[36] - truth[45])
            assert face.track == 0
    assert [face.origin for (face,) in found[0.5]].count("tracked") == 39
    assert {face.origin for (face,) in found[0.0]} == {"tracked", "detected"}


def test_a_model_without_calibration_detects_in_every_frame(predictor, monkeypatch):
    monkeypatch.setattr(predictor, "confidence_calibration", None)
    monkeypatch.setattr(predictor.detector, "calls", 0)
    found = followed(predictor, [face_tile(1)[0]] * 5)
    assert predictor.detector.calls == 5
    assert [[(face.track, face.origin) for face in faces] for faces in found] == [[(0, "detected")]] * 5


def test_a_face_that_is_gone_is_given_up_until_it_returns(predictor):
    there = placed([face_tile(1)[0]], [(60, 10)], (360, 260))
    away = np.full_like(there, 110)
    found = followed(predictor, [there] * 5 + [away] * 10 + [there] * 10)
    tracks = [[face.track for face in faces] for faces in found]
    assert tracks[:15] == [[0]] * 5 + [[]] * 10
    assert tracks[22:] == [[0]] * 3  # detected again after a quarter of a second


def test_smoothing_reduces_jitter(predictor):
    random = np.random.default_rng(0)
    tile = face_tile(1)[0].astype(float)
    frames = [np.clip(tile + random.normal(0, 12, tile.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    raw, smooth = (
        np.array([face.points for (face,) in followed(predictor, frames, ClipSettings(smooth=each))])
        for each in (None, OneEuro())
    )
    assert np.diff(smooth, axis=0).std() < np.diff(raw, axis=0).std() / 2
    np.testing.assert_array_equal(raw[0], smooth[0])


def predicting(checkpoint, clips, output, **how):
    given = {"checkpoint": checkpoint, "input": clips, "output": output, **how}
    return predict(compose("predict", [f"{key}={value}" for key, value in given.items()]))


def table(folder):
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def points(rows):
    keys = [f"{axis}{index}" for index in range(68) for axis in "xy"]
    return np.array([[float(row[key]) for key in keys] for row in rows if row["x0"]]).reshape(-1, 68, 2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Folder with a photo and a clip of a face, and clips that cannot be used in full; read-only."""
    pytest.importorskip("dlib", reason="no detector is installed (extra detect)")
    root = tmp_path_factory.mktemp("written") / "clips, [1] ø"
    root.mkdir()
    tile = face_tile(1)[0]
    grain = np.random.default_rng(0).normal(0, 20, (30, *tile.shape))
    frames = np.clip(tile + grain, 0, 255).astype(np.uint8)
    write_clip(root / "a.mp4", frames[:6], [0, 0.04, 0.1, 0.5, 0.54, 0.6])
    whole = write_clip(root.with_name("whole.mp4"), frames, movflags="faststart")
    cut_short(whole, root / "cut.MP4", 0.4)
    write_clip(root / "lawn.mov", [np.full((100, 120, 3), (20, 160, 20), np.uint8)] * 3)
    write_sound(root / "song.mp4")
    (root / "text.avi").write_text("no video")
    Image.fromarray(tile).save(root / "photo.png")
    return root


def test_a_folder_of_photos_and_clips_is_predicted(clips, tmp_path, capsys):
    output = tmp_path / "out"
    with pytest.raises(SystemExit, match="1"):
        main(["predict", str(MODEL), f"input={clips}", f"output={output}"])
    said = "".join(capsys.readouterr())
    for problem in (
        "lawn.mov: no face was found",
        "song.mp4: has only sound",
        "text.avi: cannot be read as a video: truncated, damaged, or no video at all: it holds plain text",
        "error: 4 of 6 inputs have no face, or could not be predicted in full; see above",
    ):
        assert f"{problem}\n" in said
    rows = table(output)
    photo, *_ = [row for row in rows if row["image"] == "photo.png"]
    assert (photo["frame"], photo["time"], photo["track"], photo["face"]) == ("", "", "", "0")
    whole = [row for row in rows if row["image"] == "a.mp4"]
    assert [(row["frame"], row["track"], row["face"]) for row in whole] == [
        (str(n), "0", "0") for n in range(6)
    ]
    assert [float(row["time"]) for row in whole] == pytest.approx([0, 0.04, 0.1, 0.5, 0.54, 0.6], abs=1e-4)
    *kept, last = [row for row in rows if row["image"] == "cut.MP4"]
    assert len(kept) > 3
    assert (last["frame"], last["face"], last["x0"]) == ("", "", "")
    assert f"breaks off after {len(kept)} frames" in last["note"]
    document = json.loads((output / "predictions.json").read_text(encoding="utf-8"))
    assert document["clips"]["detect_every"] == 0.25
    own = [photo for photo in document["photos"] if photo["image"] == "a.mp4"]
    assert [(frame["frame"], frame["faces"][0]["track"]) for frame in own] == [(n, 0) for n in range(6)]
    names = {path.relative_to(output / "overlays").as_posix() for path in output.rglob("overlays/*")}
    assert names == {"photo.png.png", "a.mp4.mp4", "cut.MP4.mp4"}


def test_the_annotated_copy_has_the_times_and_shows_the_points(clips, tmp_path):
    done = predicting(MODEL, clips / "a.mp4", tmp_path / "out")
    assert (done.photos, done.clips, done.faces, done.with_problems) == (0, 1, 1, 0)
    with open_clip(tmp_path / "out/overlays/a.mp4.mp4") as copy, open_clip(clips / "a.mp4") as clip:
        drawn, plain = list(copy.frames()), list(clip.frames())
        assert copy.problems == []
    assert [frame.time for frame in drawn] == pytest.approx([frame.time for frame in plain], abs=1e-4)
    face = points(table(tmp_path / "out"))[3]
    scale = drawn[3].pixels.shape[1] / TILE
    for x, y in np.round((face + 0.5) * scale).astype(int)[[8, 33]]:  # the chin and below the nose
        red, green, _ = drawn[3].pixels[y, x].astype(int)
        assert red > green + 80


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_points_are_pixels_of_the_upright_frame(clips, tmp_path, rotation):
    tile, truth = face_tile(1)
    turned = np.ascontiguousarray(np.rot90(tile, -rotation // 90))
    clip = write_clip(tmp_path / "turned.mp4", [turned] * 3, rotation=rotation)
    predicting(MODEL, clip, tmp_path / "out")
    found = points(table(tmp_path / "out"))
    assert len(found) == 3
    errors = np.linalg.norm(found - truth, axis=2).mean(axis=1)
    assert errors.max() < 0.08 * np.linalg.norm(truth[36] - truth[45])


def test_a_model_of_full_images_takes_each_frame_as_one_face(clips, tmp_path):
    crop = Crop(48, 36)
    predicting(
        save_untrained(tmp_path / "full.ckpt", crop=crop), clips / "a.mp4", tmp_path / "out", smooth=True
    )
    rows = table(tmp_path / "out")
    assert [(row["track"], row["box"], row["width"]) for row in rows] == [("0", "image", "240.000")] * 6


def test_clips_alone_have_no_page_and_no_labels_to_correct(clips, tmp_path):
    for how in ({"report": True}, {"format": "coco"}):
        with pytest.raises(ConfigError, match=r"is for photos, and .* has only clips; leave it out"):
            predicting(MODEL, clips / "a.mp4", tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "how", "says"),
    [
        ("a.mp4", {"smooth_cutoff": 0.5}, "smooth_cutoff=0.5 is a setting of the filter; add smooth=true"),
        ("a.mp4", {"smooth_speed": 8}, "smooth_speed=8.0 is a setting of the filter; add smooth=true"),
        ("photo.png", {"smooth": True}, r"smooth=true is for clips, and .* has only photos; leave it out"),
    ],
)
def test_smoothing_that_would_have_no_effect_is_refused(clips, tmp_path, name, how, says):
    with pytest.raises(ConfigError, match=says):
        predicting(MODEL, clips / name, tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


def test_without_pyav_photos_are_predicted_and_clips_are_named(clips, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"PyAV, which is not installed"):
        predicting(MODEL, clips / "a.mp4", tmp_path / "out")
    done = predicting(MODEL, clips, tmp_path / "out")
    assert (done.photos, done.clips, done.faces, done.with_problems) == (1, 5, 1, 5)
    assert "a.mp4: clips are read by PyAV, which is not installed" in table(tmp_path / "out")[1]["note"]


def test_results_are_complete_or_not_there(clips, tmp_path, monkeypatch):
    before = FaceFollower.__call__

    def stopped(self, pixels, time):
        if time > 0.3:
            raise KeyboardInterrupt
        return before(self, pixels, time)

    with monkeypatch.context() as patch:
        patch.setattr(FaceFollower, "__call__", stopped)
        with pytest.raises(KeyboardInterrupt):
            predicting(MODEL, clips / "a.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    predicting(MODEL, clips / "a.mp4", tmp_path / "out")
    with pytest.raises(DataError, match="holds predictions already"):
        predicting(MODEL, clips / "a.mp4", tmp_path / "out")


def test_a_full_disk_is_named(clips, tmp_path, capsys):
    picture, _ = draw_portrait(3)
    clip = write_clip(tmp_path / "large.mp4", [np.roll(picture, 9 * number, axis=0) for number in range(12)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(SystemExit, match="1"):
            main(["predict", str(MODEL), f"input={clip}", f"output={tmp_path / 'out'}"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'out'}/")
    assert "File too large; the limit of a file's size is reached (ulimit -f)" in last
    assert not (tmp_path / "out").exists()
