import json

import numpy as np
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.data.formats.predictions import states_of
from keypoints.data.readers.labelled import detect_format, read_list
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.label_list import LabelList
from keypoints.inference.prediction_files import (
    DOCUMENT,
    PredictedFace,
    PredictedPhoto,
    prediction_files,
)
from keypoints.schemes import IBUG68

SCHEME = IBUG68.select("left_eye")
POINTS = np.arange(12).reshape(6, 2) + 0.25
SURE = np.array([0.5, 0.49, 1, 1, 1, 1])
PHOTOS = [
    PredictedPhoto(
        "a.png",
        (64, 48),
        [
            PredictedFace(Box(-1, 2, 30, 40.5), POINTS, "detected", 1.5, SURE),
            PredictedFace(Box(5, 6, 7, 8), POINTS + 1, "given"),
        ],
        [],
    ),
    PredictedPhoto("b.png", (64, 48), [], ["b.png: no face was found"]),
]


@pytest.fixture
def folder(tmp_path):
    Image.new("L", (64, 48)).save(tmp_path / "a.png")
    with prediction_files(tmp_path, SCHEME, {"model": "best.ckpt", "crop": {}}) as files:
        for photo in PHOTOS:
            files.add(photo)
    return tmp_path


def test_predictions_are_read_with_scheme_and_states(folder, caplog):
    caplog.set_level("INFO")
    path = folder / DOCUMENT
    assert detect_format(path) == "predictions"
    (first, second), _, scheme = read_list(path)
    assert (scheme, scheme.names) == (SCHEME, SCHEME.names)
    np.testing.assert_array_equal(first.landmarks(), POINTS)
    assert (first.visibility().tolist(), second.visibility().tolist()) == ([2, 1, 2, 2, 2, 2], [2] * 6)
    assert first.box == Box(-1, 2, 30, 40.5)
    assert second.source.endswith("photo a.png: face 1")
    assert "1 of 2 photos without a face" in caplog.text


def test_converted_predictions_are_the_list_to_correct(folder):
    (folder / "out").mkdir()
    labels = LabelList(folder, SCHEME, visible_from=0.5, worst_first=False)
    for photo in PHOTOS:
        labels.add(photo)
    labels.write(folder / "out")
    source, output = folder / DOCUMENT, folder / "out" / "again.json"
    main(["data", "convert", str(source), "format=coco", f"output={output}", f"root={folder}"])
    written, again = (
        json.loads((folder / "out" / name).read_text()) for name in ("labels.json", "again.json")
    )
    assert written == again


def test_a_damaged_document_is_named(folder):
    path = folder / DOCUMENT
    whole = json.loads(path.read_text())
    face = whole["photos"][0]["faces"][0]
    for damage, says in (
        ({"scheme": {}}, "is no document of keypoints predict, or is damaged"),
        ({"photos": {}}, "is damaged: photos is no list"),
        ({"photos": [{"image": "a.png", "faces": [{**face, "box": [1]}]}]}, "is damaged: photos is no list"),
        ({"photos": [{"image": "a.png", "faces": [{**face, "points": [[1, 2]]}]}]}, "face 0: has 1 point"),
        ({"photos": [{"image": "a.png", "faces": [{**face, "confidence": ["x"] * 6}]}]}, "'x' is not a num"),
        ({"photos": [{"image": "c.png", "faces": [face]}]}, "photo c.png: face 0: its picture c.png is miss"),
    ):
        path.write_text(json.dumps({**whole, **damage}))
        with pytest.raises(DataError, match=rf"{DOCUMENT}: .*{says}"):
            read_list(path)


def test_a_point_of_the_limits_confidence_is_visible():
    assert states_of(np.array([0.7, 0.69]), 0.7).tolist() == [2, 1]
