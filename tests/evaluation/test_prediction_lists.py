import json

import numpy as np
import pytest

from keypoints.data.formats.dlib_xml import Entry, format_dlib_xml
from keypoints.errors import DataError
from keypoints.evaluation.prediction_lists import photos_by_id, read_predictions
from keypoints.geometry import Box
from keypoints.inference.prediction_files import PredictedFace, PredictedPhoto, prediction_files
from keypoints.landmarks import LandmarkScheme

POINTS = np.array([[10.0, 20.0], [30.5, 40.25]])
TWO = LandmarkScheme("two", {"points": (0, 1)}, None, None, ())


def test_a_table_of_predict_is_read_without_its_photos(tmp_path):
    with prediction_files(tmp_path, TWO, {}) as files:
        face = PredictedFace(Box(1, 2, 30, 40), POINTS, "detected", 1.5, None)
        files.add(PredictedPhoto("a/1.jpg", (100, 80), [face, face], []))
        files.add(PredictedPhoto("a/2.jpg", (100, 80), [], ["a/2.jpg: no face was found"]))
    listed = read_predictions(tmp_path / "predictions.csv")
    assert [each.photo for each in listed.predictions] == ["a/1.jpg", "a/1.jpg"]
    assert listed.predictions[0].box == Box(1, 2, 30, 40)
    np.testing.assert_allclose(listed.predictions[0].points, POINTS)
    assert len(listed.unusable) == 1
    with pytest.raises(DataError, match=r"predictions\.json: is the document that predict writes; .*\.csv"):
        read_predictions(tmp_path / "predictions.json")


def written(path, text):
    path.write_text(text)
    return path


def own_csv(path):
    return written(path, "image,x0,y0,x1,y1\n/elsewhere/1.jpg,10,20,30.5,40.25\n")


def hrnet(path):
    head = "image_name,scale,center_w,center_h,original_0_x,original_0_y,original_1_x,original_1_y"
    return written(path, f"{head}\n/elsewhere/1.jpg,1,20,30,10,20,30.5,40.25\n")


def coco(path):
    image = {"id": 7, "file_name": "/elsewhere/1.jpg"}
    face = {"image_id": 7, "keypoints": [10, 20, 1, 30.5, 40.25, 2]}
    return written(path, json.dumps({"images": [image], "annotations": [face]}))


def results(path):
    face = {"image_id": "/elsewhere/1.jpg", "keypoints": [10, 20, 0, 30.5, 40.25, 0.9], "score": 0.5}
    return written(path, json.dumps([face]))


@pytest.mark.parametrize("write", [own_csv, hrnet, coco, results])
def test_lists_of_other_programs_are_read_without_their_photos(write, tmp_path):
    (face,) = read_predictions(write(tmp_path / "list")).predictions
    assert face.photo == "/elsewhere/1.jpg"
    np.testing.assert_allclose(face.points, POINTS)


def test_a_dlib_list_is_read_without_its_photos(tmp_path):
    text = format_dlib_xml([Entry("a/1.jpg", Box(1, 2, 30, 40), POINTS, None)], "another program's")
    (face,) = read_predictions(written(tmp_path / "list.xml", text)).predictions
    assert (face.photo, face.box) == ("a/1.jpg", Box(1, 2, 30, 40))
    np.testing.assert_allclose(face.points, np.rint(POINTS))


def test_photos_of_coco_results_are_named_by_the_true_list(tmp_path):
    truth = coco(tmp_path / "truth.json")
    assert photos_by_id(truth) == {7: "/elsewhere/1.jpg"}
    assert photos_by_id(own_csv(tmp_path / "list.csv")) is None
    text = json.dumps([{"image_id": 7, "keypoints": [10, 20, 0.1, 30.5, 40.25, 0]}, {"image_id": 8}])
    path = written(tmp_path / "results.json", text)
    listed = read_predictions(path, photos_by_id(truth))
    assert [each.photo for each in listed.predictions] == ["/elsewhere/1.jpg"]
    assert len(listed.unusable) == 1
    with pytest.raises(DataError, match="only by numbers; evaluate it on the COCO list"):
        read_predictions(path)


@pytest.mark.parametrize(("listed", "ours"), [(7, 7.0), (7.0, 7), ("a7", "a7")])
def test_ids_may_be_floats_or_texts(listed, ours, tmp_path):
    images = [{"id": listed, "file_name": "x/1.jpg"}]
    truth = written(tmp_path / "truth.json", json.dumps({"images": images, "annotations": []}))
    result = {"image_id": ours, "keypoints": [10, 20, 1, 30.5, 40.25, 1]}
    path = written(tmp_path / "results.json", json.dumps([result]))
    (face,) = read_predictions(path, photos_by_id(truth)).predictions
    assert face.photo == "x/1.jpg"


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([8.0, 9], "none of its image ids, such as 8, is one of the COCO list's, such as 7"),
        ([1.5, None], "has no image_id that is a whole number or a text"),
    ],
)
def test_ids_that_the_coco_list_lacks_are_named(ids, says, tmp_path):
    results = [{"image_id": key, "keypoints": [10, 20, 1]} for key in ids]
    path = written(tmp_path / "results.json", json.dumps(results))
    with pytest.raises(DataError, match=rf"results\.json: {says}"):
        read_predictions(path, photos_by_id(coco(tmp_path / "truth.json")))


def test_scores_that_are_numbers_are_kept(tmp_path):
    text = "image,score,x0,y0\n1.jpg,0.5,1,2\n1.jpg,,1,2\n1.jpg,good,1,2\n"
    listed = read_predictions(written(tmp_path / "list.csv", text))
    assert [each.score for each in listed.predictions] == [0.5, None, None]
    faces = [{"image_id": "1.jpg", "keypoints": [1, 2, 1], "score": score} for score in (1, 1e-7, None)]
    listed = read_predictions(written(tmp_path / "results.json", json.dumps(faces)))
    assert [each.score for each in listed.predictions] == [1, 1e-7, None]
    annotated = {"images": [{"id": "1.jpg", "file_name": "1.jpg"}], "annotations": faces}
    listed = read_predictions(written(tmp_path / "list.json", json.dumps(annotated)))
    assert [each.score for each in listed.predictions] == [1, 1e-7, None]


def test_rows_with_other_numbers_of_points_are_reported(tmp_path):
    faces = [{"image_id": "a.jpg", "keypoints": [1, 2, 2] * count} for count in (2, 2, 3)]
    listed = read_predictions(written(tmp_path / "r.json", json.dumps(faces)))
    assert len(listed.predictions) == 2
    assert "has 3 points, but most rows have 2" in listed.unusable[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello", "in no format known here"),
        ("image,x0,y0\n", "holds no predicted face"),
        ("image,x0,y0\na.jpg,,\n", "holds no predicted face; .*line 2"),
        ("[1, 2]", "is no list of COCO's results"),
        ("[1, ", "is no JSON"),
    ],
)
def test_a_file_without_predictions_is_refused(text, says, tmp_path):
    with pytest.raises(DataError, match=rf"list: .*{says}") as error:
        read_predictions(written(tmp_path / "list", text))
    assert "\n" not in str(error.value)
