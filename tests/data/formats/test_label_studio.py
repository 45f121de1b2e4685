import json

import pytest
from PIL import Image

from keypoints.data.readers.labelled import detect_format, read_labelled, read_list
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.box_list import read_box_list
from keypoints.landmarks import LandmarkScheme

SIZE = {"original_width": 200, "original_height": 100, "image_rotation": 0}


def point(name, x, y, **more):
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [name]}
    return {**SIZE, "id": f"{name}-{x}", "type": "keypointlabels", "value": value, **more}


def rectangle(key, x=10, y=20, **more):
    value = {"x": x, "y": y, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": ["face"], **more}
    return {**SIZE, "id": key, "type": "rectanglelabels", "value": value}


EYES = [point("right_eye", 50, 50), point("left_eye", 10.25, 20)]


def task(*results, image="/data/upload/1/0a1b2c3d-a.png", key=5, **more):
    annotations = [{"id": 1, "was_cancelled": False, "result": list(results)}]
    return {"id": key, "data": {"image": image}, "annotations": annotations, **more}


@pytest.fixture
def listed(tmp_path):
    """Return a function that writes a list of tasks beside the photos a.png and faces/b.png."""
    (tmp_path / "faces").mkdir()
    for name in ("a.png", "faces/b.png"):
        Image.new("L", (200, 100)).save(tmp_path / name)

    def write(*tasks):
        (tmp_path / "list.json").write_text(json.dumps(tasks))
        return tmp_path / "list.json"

    return write


def test_percents_become_pixels_of_centres(listed):
    path = listed(task(*EYES, rectangle("r")))
    assert detect_format(path) == "label_studio"
    found = read_list(path)
    (face,) = found.faces
    assert (found.scheme.names, found.scheme.flip_indices) == (("left_eye", "right_eye"), (1, 0))
    assert face.landmarks().tolist() == [[20, 19.5], [99.5, 49.5]]
    assert face.box == Box(20, 20, 50, 50)
    assert face.source.endswith("list.json: task 5")


def test_missing_and_noted_points_have_states(listed):
    hidden = point("left_eye", 1, 2, meta={"text": ["Occluded by hair"]})
    first, second = read_labelled(
        listed(task(hidden, EYES[0]), task(EYES[1], key=6, image="faces/b.png"))
    ).faces
    assert first.visibility().tolist() == [1, 2]
    assert second.labelled().tolist() == [True, False]
    assert second.box is None


def test_points_belong_to_the_rectangle_above_them(listed):
    results = [rectangle("r"), rectangle("s", 60)]
    results += [{**each, "parentID": key} for key in "sr" for each in EYES]
    second, first = read_labelled(listed(task(*results))).faces
    assert (first.box.left, second.box.left) == (20, 120)
    assert second.source.endswith("task 5: face 1")


def test_points_of_a_missing_region_are_refused(listed):
    lost = {**EYES[0], "parentID": "gone"}
    with pytest.raises(
        DataError, match="task 5: the point 'right_eye' belongs to the region 'gone', which is"
    ):
        read_labelled(listed(task(rectangle("r"), lost, {**EYES[1], "parentID": "r"})))


def test_cancelled_annotations_are_left_out(listed, caplog):
    caplog.set_level("INFO")
    good = {"result": [point("nose", 50, 50)]}
    cancelled = {"was_cancelled": True, "result": EYES}
    path = listed(
        {**task(), "annotations": [good, cancelled]}, task(), task(key=7), {**task(), "annotations": None}
    )
    (face,) = read_labelled(path).faces
    assert len(face.landmarks()) == 1
    assert "3 of 4 tasks without key points" in caplog.text


def test_the_ground_truth_or_the_last_annotation_is_read(listed):
    results = [{"result": [point("nose", x, 50)]} for x in (10, 20, 30)]
    (face,) = read_labelled(listed({**task(), "annotations": results})).faces
    assert face.landmarks().tolist() == [[59.5, 49.5]]
    results[0]["ground_truth"] = True
    (face,) = read_labelled(listed({**task(), "annotations": results})).faces
    assert face.landmarks().tolist() == [[19.5, 49.5]]


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/1/0a1b2c3d-a.png",
        "/data/upload/12/a.png",
        "/data/local-files/?d=somewhere/a.png",
        "https://example.org/photos/a.png?token=1",
        "s3://bucket/photos/a.png",
        "C:\\photos\\a.png",
        "../../a.png",
    ],
)
def test_photos_are_found_by_the_end_of_their_address(listed, tmp_path, image):
    (face,) = read_labelled(listed(task(*EYES, image=image))).faces
    assert face.photo.path == tmp_path / "a.png"


def test_the_longest_end_of_an_address_is_taken(listed, tmp_path):
    Image.new("L", (200, 100)).save(tmp_path / "b.png")
    local = "/data/local-files/?d=mine/faces%2Fb.png"
    (face,) = read_labelled(listed(task(*EYES, image=local))).faces
    assert face.photo.path == tmp_path / "faces" / "b.png"


def test_points_have_the_order_of_the_scheme(listed):
    scheme = LandmarkScheme("x", {"all": (0, 1, 2)}, None, None, (), names=("right_eye", "nose", "left_eye"))
    (face,) = read_labelled(listed(task(*EYES)), scheme=scheme).faces
    assert face.labelled().tolist() == [True, False, True]
    with pytest.raises(DataError, match=r"list\.json: names the point 'mouth', which x does not have"):
        read_labelled(listed(task(point("mouth", 1, 2), *EYES)), scheme=scheme)


def test_rectangles_are_read_for_prediction(listed):
    path = listed(task(rectangle("r"), rectangle("s", 60)), task(image="gone.png"))
    first, second = read_box_list(path)
    assert [box.left for box in first.boxes] == [20, 120]
    assert (second.path.name, second.boxes) == ("gone.png", ())


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (task(point("nose", "a", 2), key=6), "the point 'nose': 'a' is not a number"),
        (task(point("nose", 1, 2, value=None), key=6), "a key point has no label"),
        (task(point("nose", 1, 2, original_width=None), key=6), "None is not a number"),
        (task(point("nose", 1, 2, image_rotation=90), key=6), "its photo was rotated in Label Studio"),
        (task(point("nose", 1, 2, original_width=201), key=6), "the list says 201 × 100 pixels"),
        (task(point("nose", 1, 2), point("nose", 3, 4), key=6), "has the point 'nose' twice; draw a rect"),
        (
            task(point("nose", 1, 2), rectangle("r"), rectangle("s"), key=6),
            "the point 'nose' belongs to no rectangle, and there are several faces",
        ),
        (task(point("nose", 1, 2), rectangle("r", rotation=5), key=6), "has a rotated rectangle"),
        (task(point("nose", 1, 2), rectangle("r", width=0), key=6), "positive sides"),
        (task(point("nose", 1, 2), image="gone.png", key=6), "its picture gone.png is missing"),
        (task(point("nose", 1, 2), image=None, key=6), "names no photo: data.image is its path"),
        (
            task(point("nose", 1, 2), image="/data/upload/2/ffffffff-a.png", key=6),
            "both end like the photo a.png",
        ),
    ],
)
def test_a_task_that_cannot_be_used_is_named(listed, bad, says):
    path = listed(task(point("nose", 50, 50)), bad)
    with pytest.raises(DataError, match=rf"list\.json: task 6: .*{says}") as caught:
        read_labelled(path)
    assert "\n" not in str(caught.value)
    assert len(read_labelled(path, strict=False).faces) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"annotations": [}', "is no JSON"),
        ('[{"annotations": 1}, 2]', "is no list of Label Studio's tasks"),
        ('[{"annotations": []}]', "holds no face"),
        ('[{"annotations": ' + "[" * 100_000, "is no JSON"),
    ],
)
def test_a_file_that_is_no_export_is_named(tmp_path, text, says):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(DataError, match=rf"list\.json: {says}"):
        read_labelled(tmp_path / "list.json")
