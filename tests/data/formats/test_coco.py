import json

import numpy as np
import pytest
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photos import Photo
from keypoints.data.readers.labelled import read_labelled, read_list, write_labelled
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.box_list import read_box_list
from keypoints.schemes import IBUG68

IMAGE = {"id": 5, "file_name": "a.png", "width": 64, "height": 48}
FACE = {"id": 7, "image_id": 5, "category_id": 1, "keypoints": [1, 2, 2, 3.5, 4, 1], "iscrowd": 0}

NAMED = {"id": 1, "name": "face", "keypoints": ["left_eye", "right_eye"], "skeleton": [[1, 2]]}


@pytest.fixture
def root(tmp_path):
    Image.new("L", (64, 48)).save(tmp_path / "a.png")
    return tmp_path


def read(root, **values):
    whole = {"images": [IMAGE], "annotations": [FACE], **values}
    (root / "list.json").write_text(json.dumps(whole))
    return read_labelled(root / "list.json").faces


@pytest.mark.parametrize(
    ("values", "box"),
    [
        ({}, None),
        ({"bbox": [1, 2, 30, 40]}, Box(1, 2, 30, 40)),
        ({"center": [19.5, 9.5], "scale": 0.1}, Box(10, 0, 20, 20)),
        ({"center": [19.5, 9.5], "scale": [0.1, 0.05]}, Box(10, 5, 20, 10)),
        ({"bbox": [1, 2, 30, 40], "center": [9, 9], "scale": 1}, Box(1, 2, 30, 40)),
    ],
    ids=str,
)
def test_a_box_is_read_from_bbox_or_from_center_and_scale(root, values, box):
    (face,) = read(root, annotations=[{**FACE, **values}])
    assert face.box == box
    np.testing.assert_array_equal(face.landmarks(), [[1, 2], [3.5, 4]])
    assert face.group.startswith("a.png ")


DAMAGES = {
    "no images": ({"images": None}, "has no list of images"),
    "no annotations": ({"annotations": {"a": 1}}, "has no list of annotations"),
    "one id twice": ({"images": [IMAGE, IMAGE]}, "two images have the id 5"),
    "no such image": ({"annotations": [{**FACE, "image_id": [6]}]}, "annotation 7: there is no image"),
    "an image without name": ({"images": [{"id": 5}]}, "annotation 7: there is no image with the id 5"),
    "another state": (
        {"annotations": [{**FACE, "keypoints": [1, 2, 2, 4, 5, 3]}]},
        r"annotation 7: point 1 has v = 3; v is 0 \(not labelled\), 1 \(hidden\) or 2 \(visible\)",
    ),
    "no label": (
        {"annotations": [{**FACE, "keypoints": [0, 0, 0, 0, 0, 0]}]},
        "annotation 7: none of its 2 points is labelled",
    ),
    "no points": ({"annotations": [{"id": 7, "image_id": 5}]}, "annotation 7: keypoints is no list"),
    "x, y alone": ({"annotations": [{**FACE, "keypoints": [1, 2, 3, 4]}]}, "annotation 7: keypoints is no"),
    "no number": (
        {"annotations": [{**FACE, "keypoints": [1, None, 2]}]},
        "annotation 7: None is not a number: point 0 needs x and y, or v = 0",
    ),
    "other points than the category": (
        {"annotations": [{**FACE, "keypoints": [1, 2, 2]}], "categories": [NAMED]},
        "annotation 7: has 1 point, and the category face names 2",
    ),
    "a name twice": (
        {"categories": [{**NAMED, "keypoints": ["a", "a"]}]},
        "category face: keypoints names the point a twice",
    ),
    "a line to no point": (
        {"categories": [{**NAMED, "skeleton": [[2, 3]]}]},
        r"category face: skeleton: \[2, 3\] is no pair of its 2 points",
    ),
    "not finite": (
        {"annotations": [{**FACE, "keypoints": [1, float("nan"), 2]}]},
        "annotation 7: nan is not",
    ),
    "a huge number": (
        {"annotations": [{**FACE, "keypoints": [10**400, 1, 2]}]},
        "annotation 7: 1000.* is not",
    ),
    "another number of points": (
        {"annotations": [FACE, {**FACE, "id": 8, "keypoints": [1, 2, 2]}]},
        "annotation 8: has 1 point, but 1 of the list's 2 faces has 2",
    ),
    "a box of three": ({"annotations": [{**FACE, "bbox": [1, 2, 3]}]}, "annotation 7: bbox is a list of 4"),
    "a flat box": ({"annotations": [{**FACE, "bbox": [1, 2, 3, 0]}]}, "annotation 7: .*positive sides"),
    "no id": ({"annotations": [{"image_id": 5}]}, "annotation in place 0: keypoints is no list"),
}


@pytest.mark.parametrize(("values", "says"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_list_is_reported_with_the_reason(root, values, says):
    with pytest.raises(DataError, match=rf"list\.json: {says}") as caught:
        read(root, **values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{", '{"images": [}', '{"a":' * 100_000], ids=["cut off", "broken", "too deep"]
)
def test_invalid_json_is_reported(root, text):
    (root / "list.json").write_text(text)
    with pytest.raises(DataError, match=r"list\.json: is no JSON"):
        read_labelled(root / "list.json")


def test_fields_of_other_programs_are_ignored(root):
    (face,) = read(
        root, info={}, annotations=[{**FACE, "tags": ["a"], "group": None, "attributes": {"x": 1}}]
    )
    assert (face.group.partition(" ")[0], face.tags) == ("a.png", {})


def test_a_written_list_has_the_fields_of_other_programs(root):
    points = np.random.default_rng(0).uniform(0, 48, (68, 2))
    faces = [
        Face(Photo(root / "a.png"), Box(10, 0, 20, 10), points, "person", {"view": "1"}),
        Face(Photo(root / "a.png"), None, points, "person"),
    ]
    write_labelled(faces, root / "list.json", "coco", scheme=IBUG68)
    whole = json.loads((root / "list.json").read_text())
    assert whole["images"] == [{**IMAGE, "id": 1}]
    first, second = whole["annotations"]
    assert (first["id"], first["image_id"], first["category_id"], first["iscrowd"]) == (1, 1, 1, 0)
    assert (first["bbox"], first["area"]) == ([10, 0, 20, 10], 200)
    assert (first["center"], first["scale"]) == ([19.5, 4.5], 0.1)
    assert first["num_keypoints"] == len(first["keypoints"]) / 3 == 68
    assert first["keypoints"][2::3] == [2] * 68
    assert not {"bbox", "center", "scale"} & set(second)
    (category,) = whole["categories"]
    assert (category["id"], category["name"], category["keypoints"][30]) == (1, "face", "nose_tip")
    assert category["supercategory"] == "person"
    assert [1, 2] in category["skeleton"]
    assert max(map(max, category["skeleton"])) == 68


@pytest.mark.parametrize("bbox", [[], [170.2, 60.1, 0.0, 0.0], None])
def test_an_empty_bbox_means_no_box(root, bbox):
    (face,) = read(root, annotations=[{**FACE, "bbox": bbox}])
    assert face.box is None


CATEGORIES = [
    {"id": 1, "name": "face", "keypoints": ["a", "b"]},
    {"id": 2, "name": "car"},
    {"id": 3, "name": "hand", "keypoints": ["a", "b"]},
]


def of(category, number=7, **values):
    return {**FACE, "id": number, "category_id": category, "bbox": [1, 2, 30, 40], **values}


def test_crowds_and_categories_without_keypoints_are_left_out(root):
    others = [of(2, 8, keypoints=[]), of(1, 9, iscrowd=1, keypoints=None)]
    (face,) = read(root, annotations=[*others, of(1)], categories=CATEGORIES)
    assert face.source.endswith("annotation 7")


def test_a_face_of_another_category_is_reported(root):
    annotations = [of(3, 5), of(1, 6), of(1, 7.0)]
    with pytest.raises(DataError, match="annotation 5: is of the category hand, and 2 of 3 are of face"):
        read(root, annotations=annotations, categories=CATEGORIES)
    faces, skipped = read_labelled(root / "list.json", strict=False)
    assert (len(faces), len(skipped)) == (2, 1)


def test_only_boxes_of_faces_are_predicted(root):
    annotations = [of(2, 5), of(1, 6), of(3, 7), of(1, 8, iscrowd=1)]
    (root / "list.json").write_text(
        json.dumps({"images": [IMAGE], "annotations": annotations, "categories": CATEGORIES})
    )
    (photo,) = read_box_list(root / "list.json")
    assert len(photo.boxes) == 1


@pytest.mark.parametrize("size", [(65, 48), (65.0, 48.0), ("65", "48")])
def test_sizes_are_compared_in_any_notation(root, size):
    with pytest.raises(DataError, match="the list says 65 × 48 pixels, and the photo has 64 × 48"):
        read(root, images=[{**IMAGE, "width": size[0], "height": size[1]}])
    assert read(root, images=[{**IMAGE, "width": None, "height": "tall"}])


def test_ids_may_be_floats_or_strings(root):
    assert read(root, images=[{**IMAGE, "id": 5.0}], annotations=[FACE, {**FACE, "image_id": 5.0}])
    assert read(root, annotations=[{**FACE, "image_id": "5"}])


def test_states_of_points_survive_reading_and_writing(tmp_path):
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    image = {"id": 5, "file_name": "a.png", "width": 40, "height": 30}
    given = {**FACE, "keypoints": [1, 2, 2, 7, 8, 0, 5, 6, 1]}
    (tmp_path / "list.json").write_text(json.dumps({"images": [image], "annotations": [given]}))
    (face,) = read_labelled(tmp_path / "list.json").faces
    assert face.visibility().tolist() == [2, 0, 1]
    assert face.labelled().tolist() == [True, False, True]
    assert np.isnan(face.landmarks()[1]).all()
    for format_name in ("coco", "csv"):
        path = tmp_path / f"again.{format_name}"
        write_labelled([face], path, format_name)
        (again,) = read_labelled(path).faces
        np.testing.assert_array_equal(again.landmarks(), face.landmarks())
        assert again.visibility().tolist() == [2, 0, 1]
    (written,) = json.loads((tmp_path / "again.coco").read_text())["annotations"]
    assert written["keypoints"] == [1, 2, 2, 0, 0, 0, 5, 6, 1]
    assert written["num_keypoints"] == 2


def test_a_list_describes_the_scheme_of_its_points(root):
    read(root, categories=[NAMED, {"id": 2, "name": "hand", "keypoints": ["a", "a"]}])
    scheme = read_list(root / "list.json").scheme
    assert (scheme.name, scheme.names) == ("face", ("left_eye", "right_eye"))
    assert (scheme.flip_indices, scheme.skeleton) == ((1, 0), ((0, 1),))
    read(root, categories=[{**NAMED, "keypoints": ["0", "1"], "skeleton": []}])
    assert read_list(root / "list.json").scheme is None


def test_a_scheme_survives_writing_and_reading(root):
    faces = read(root, categories=[NAMED])
    scheme = read_list(root / "list.json").scheme
    write_labelled(faces, root / "again.json", "coco", scheme=scheme)
    again = read_list(root / "again.json").scheme
    assert (again, again.names) == (scheme, scheme.names)
    (category,) = json.loads((root / "again.json").read_text())["categories"]
    assert category["skeleton"] == [[1, 2]]


def test_points_in_another_order_than_the_scheme_are_refused(root):
    read(root, categories=[NAMED])
    scheme = read_list(root / "list.json").scheme
    read(root, categories=[{**NAMED, "keypoints": ["right_eye", "left_eye"]}])
    with pytest.raises(DataError, match=r"another order: point 0 is right_eye, not left_eye; leave out the"):
        read_list(root / "list.json", scheme=scheme)
    read(root, categories=[{**NAMED, "keypoints": ["a", "b"]}])
    assert read_list(root / "list.json", scheme=scheme).faces


def test_v_is_read_and_the_stated_number_of_labels_is_not(root):
    (face,) = read(root, annotations=[{**FACE, "keypoints": [1, 2, 0, 3, 4, 2], "num_keypoints": 2}])
    assert face.visibility().tolist() == [0, 2]
