import csv
import logging

import numpy as np
import pytest

from keypoints.benchmark.annotation_bias import (
    Points,
    compare,
    eye_corners,
    main,
    measure_bias,
    mirrored_part,
    nme,
    without_bias,
)
from keypoints.data.readers.ibug300w import read_annotated, split_official
from keypoints.errors import ConfigError
from keypoints.inference.model import load_model
from keypoints.inference.onnx_model import Located
from keypoints.schemes import IBUG68, IMM58
from keypoints.synthetic.portrait import Head, Person, Pose

PAIR = (36, 45)
FLIP = IBUG68.flip_indices


def heads(count, roll=15):
    """Return the points of made-up heads of several sizes and angles, (N, 68, 2)."""
    random = np.random.default_rng(0)
    return np.stack(
        [
            Head(
                Person.draw(random), Pose((0, 0), random.uniform(30, 90), roll=random.normal(0, roll))
            ).ibug68()
            for _ in range(count)
        ]
    )


def test_a_constant_offset_of_the_labels_is_found_and_taken_off():
    predicted = heads(5)
    bias = np.random.default_rng(1).normal(0, 0.01, (68, 2))
    labelled = without_bias(predicted, bias, PAIR)
    np.testing.assert_allclose(measure_bias(Points(predicted, labelled), PAIR), bias, atol=1e-12)
    assert nme(Points(predicted, labelled), PAIR) > 0.005
    assert nme(Points(labelled, labelled), PAIR) == 0


def test_the_bias_turns_with_the_face_and_grows_with_it():
    predicted = heads(1, roll=0)
    bias = np.tile([0.1, 0.0], (68, 1))
    moved = without_bias(predicted, bias, PAIR) - predicted
    eyes = predicted[0, 45] - predicted[0, 36]
    np.testing.assert_allclose(moved[0], np.tile(0.1 * eyes, (68, 1)), atol=1e-9)
    quarter = predicted[..., ::-1] * [-1, 1]  # turned by a quarter, and doubled
    np.testing.assert_allclose(
        without_bias(2 * quarter, bias, PAIR) - 2 * quarter, 2 * moved[..., ::-1] * [-1, 1], atol=1e-9
    )


def test_an_offset_to_one_side_has_no_symmetric_part():
    to_the_right = np.tile([0.01, 0.0], (68, 1))
    assert np.abs(mirrored_part(to_the_right, FLIP)).max() == 0
    down = np.tile([0.0, 0.01], (68, 1))
    np.testing.assert_array_equal(mirrored_part(down, FLIP), down)


class Shifted:
    """Model whose points are the labels, shifted along the eyes by a share of their distance."""

    def __init__(self, model, faces, shift):
        self.scheme, self.crop, self.at_once = model.scheme, model.crop, 3
        self._points = np.stack(
            [
                (model.crop(face.photo.decode(1), face.box)[1](face.landmarks()) + 0.5) / model.crop.size
                for face in faces
            ]
        )
        self._shift, self._mirrored, self._place = shift, False, 0

    def __call__(self, images):
        places = [(self._place + each) % len(self._points) for each in range(len(images))]
        mirrored = self._place >= 2 * len(self._points)  # training faces, test faces, mirrored test faces
        self._place += len(images)
        points = self._points[places]
        if mirrored:
            points = points[:, list(FLIP)] * [-1, 1] + [1, 0]
        return Located(points - self._shift * (points[:, [45]] - points[:, [36]]), None)


def test_training_faces_give_the_constants_of_the_test_faces(wild, untrained):
    faces = split_official(read_annotated(wild).faces).train
    model = load_model(untrained)
    bias, (seen, test, mirrored) = compare(Shifted(model, faces, 0.02), faces, faces)
    np.testing.assert_allclose(bias, np.tile([0.02, 0], (68, 1)), atol=1e-6)
    assert seen.number == test.number == mirrored.number == len(faces)
    assert seen.nme == pytest.approx(test.nme) == pytest.approx(mirrored.nme)
    assert test.nme == pytest.approx(0.02, rel=1e-4)
    assert max(test.nme_without_bias, mirrored.nme_without_bias) < 1e-5


def test_the_command_writes_a_table(wild, untrained, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    output = tmp_path / "bias.csv"
    assert main([str(untrained), str(wild.parent), "--output", str(output)]) == 0
    rows = list(csv.DictReader(output.open()))
    assert len(rows) == 68
    assert rows[0]["part"] == "jaw"
    assert "common (" in caplog.text


def test_missing_data_are_named_in_one_line(untrained, tmp_path, caplog):
    assert main([str(untrained), str(tmp_path), "--output", str(tmp_path / "bias.csv")]) == 1
    assert str(tmp_path) in caplog.messages[-1]
    assert not (tmp_path / "bias.csv").exists()


def test_other_landmarks_are_refused():
    with pytest.raises(ConfigError, match="imm58"):
        eye_corners(IMM58)
