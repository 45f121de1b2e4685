import csv
import json
from contextlib import suppress

import numpy as np

from keypoints.data.readers.labelled import read_labelled
from keypoints.geometry import Box
from keypoints.inference.prediction_files import (
    DOCUMENT,
    TABLE,
    PredictedFace,
    PredictedPhoto,
    prediction_files,
)
from keypoints.schemes import IBUG68

SCHEME = IBUG68.select("left_eye")
POINTS = np.arange(12).reshape(6, 2) + 0.25
PHOTOS = [
    PredictedPhoto(
        'odd "name", [1] ø.jpg',
        (40, 30),
        [
            PredictedFace(Box(-1, 2, 30, 40.5), POINTS, "detected", 1.5),
            PredictedFace(Box(5, 6, 7, 8), POINTS + 1, "given", confidence=np.full(6, 0.5)),
        ],
        [],
    ),
    PredictedPhoto("sub/empty.jpg", (40, 30), [], ["sub/empty.jpg: no face was found"]),
    PredictedPhoto("gone.jpg", None, [], ["gone.jpg: cannot be read"]),
]


def write(folder):
    with prediction_files(folder, SCHEME, {"model": "best.ckpt"}) as files:
        for photo in PHOTOS:
            files.add(photo)


def test_the_table_has_a_row_per_face_or_photo_without_faces(tmp_path):
    write(tmp_path)
    rows = list(csv.DictReader((tmp_path / TABLE).open(encoding="utf-8")))
    assert [row["image"] for row in rows] == [PHOTOS[0].name] * 2 + ["sub/empty.jpg", "gone.jpg"]
    assert [row["face"] for row in rows] == ["0", "1", "", ""]
    assert [row["box"] for row in rows] == ["detected", "given", "", ""]
    assert [rows[0][side] for side in ("left", "top", "width", "height")] == [
        "-1.000",
        "2.000",
        "30.000",
        "40.500",
    ]
    assert (rows[0]["score"], rows[0]["confidence"]) == ("1.500", "")
    assert (rows[1]["score"], rows[1]["confidence"]) == ("", "0.5000")
    assert (rows[1]["x0"], rows[1]["y5"]) == ("1.250", "12.250")
    assert rows[2]["note"] == "sub/empty.jpg: no face was found"
    assert not any(rows[3][f"{axis}{index}"] for index in range(6) for axis in "xy")


def test_the_json_document_has_the_same_predictions(tmp_path):
    write(tmp_path)
    found = json.loads((tmp_path / DOCUMENT).read_text(encoding="utf-8"))
    assert found["model"] == "best.ckpt"
    assert found["scheme"] == SCHEME.to_dict()
    first, empty, gone = found["photos"]
    assert first["image"] == PHOTOS[0].name
    np.testing.assert_array_equal(first["faces"][0]["points"], POINTS)
    assert first["faces"][0]["box"] == [-1, 2, 30, 40.5]
    assert first["faces"][1]["confidence"] == [0.5] * 6
    assert (empty["size"], empty["faces"], empty["problems"]) == ([40, 30], [], PHOTOS[1].problems)
    assert gone["size"] is None


def test_the_table_can_be_read_as_labelled_photos(tmp_path):
    (tmp_path / PHOTOS[0].name).touch()
    write(tmp_path)
    faces, skipped = read_labelled(tmp_path / TABLE, strict=False)
    assert len(faces) == 2
    assert len(skipped) == 2
    np.testing.assert_array_equal(faces[0].landmarks(), POINTS)
    assert faces[0].box == Box(-1, 2, 30, 40.5)


def test_the_files_appear_only_when_complete(tmp_path):
    with suppress(KeyboardInterrupt), prediction_files(tmp_path, SCHEME, {}) as files:
        files.add(PHOTOS[0])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with prediction_files(tmp_path, SCHEME, {}):
        pass
    assert json.loads((tmp_path / DOCUMENT).read_text())["photos"] == []
