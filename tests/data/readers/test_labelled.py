import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keypoints.data.face import Face
from keypoints.data.photo_facts import is_of_photo
from keypoints.data.photos import Photo
from keypoints.data.readers.labelled import detect_format, read_labelled, write_labelled
from keypoints.errors import ConfigError, DataError
from keypoints.geometry import Box
from keypoints.schemes import IBUG68, IMM58

NAMES = ("a.png", "in folders/b, ø.png", "in folders/c=[1].png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder with a few pictures, for lists."""
    root = tmp_path_factory.mktemp("photos")
    for name in NAMES:
        (root / name).parent.mkdir(exist_ok=True)
        Image.new("L", (64, 48)).save(root / name)
    return root


def write(root, text):
    path = root / "list.txt"
    path.write_text(text, encoding="utf-8")
    return path


def face(root, points, box=None, name=NAMES[0], group="", tags=None):
    return Face(Photo(root / name), box, np.array(points, float), group or name, tags or {})


coordinates = st.floats(0, 47)  # of photos of 64 × 48
sides = st.floats(1, 1e4)
boxes = st.builds(Box, coordinates, coordinates, sides, sides)
squares = st.builds(lambda x, y, side: Box(x, y, side, side), coordinates, coordinates, sides)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
tags = st.dictionaries(words.map(lambda word: f"tag {word}"), words, max_size=3)


def described(box, group, tags):
    """Return a strategy for the photo, points and other properties of a face."""
    return st.tuples(
        st.sampled_from(NAMES),
        st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=2).map(
            lambda some: [*some, (47, 2)]
        ),
        box,
        group,
        tags,
    )


ALL = described(boxes | st.none(), words, tags)
SAID = {"csv": ALL, "coco": ALL, "hrnet": described(squares, st.just(""), st.just({}))}


@pytest.mark.parametrize("name", SAID)
@given(st.data())
def test_faces_survive_a_round_trip(photos, name, data):
    said = data.draw(st.lists(SAID[name], min_size=1, max_size=5))
    faces = [face(photos, points, box, photo, group, tags) for photo, points, box, group, tags in said]
    path = photos / "list"
    write_labelled(faces, path, name)
    assert detect_format(path) == name
    back, skipped = read_labelled(path)
    assert not skipped
    for before, after in zip(faces, back, strict=True):
        assert after.photo.path == before.photo.path
        assert after.tags == before.tags
        own = before.group == before.photo.path.relative_to(photos).as_posix()
        assert is_of_photo(after.group) if own else after.group == before.group
        np.testing.assert_array_equal(after.landmarks(), before.landmarks())
        if before.box is None:
            assert after.box is None
        else:
            there = [(box.left, box.top, box.width, box.height) for box in (before.box, after.box)]
            np.testing.assert_allclose(*there, rtol=1e-9, atol=1e-8)


def test_blanks_in_tags_are_kept(photos):
    tags = {"tag ": "a ", " tag": " b", "tag, ": "", ";;;;;;;;;;;;": "1,5"}
    write_labelled([face(photos, [[1, 2]], None, NAMES[1], "g", tags)], photos / "list", "csv")
    (back,) = read_labelled(photos / "list").faces
    assert back.tags == {"tag ": "a ", " tag": " b", ";;;;;;;;;;;;": "1,5"}


def test_every_format_stores_all_points_of_a_scheme(photos):
    points = np.random.default_rng(0).uniform(0, 48, (68, 2))
    for name in SAID:  # without dlib's, which has integer pixels
        write_labelled([face(photos, points, Box(3, 4, 20, 20))], photos / "list", name, scheme=IBUG68)
        (back,) = read_labelled(photos / "list", scheme=IBUG68).faces
        np.testing.assert_array_equal(back.landmarks(), points)
        with pytest.raises(DataError, match=r"list: .*has 68 points, not the 58 of imm58"):
            read_labelled(photos / "list", scheme=IMM58)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "name,x,y\na.png,1,2\n", "<?xml version='1.0'?>", "[1]", "\0\1\2"],
    ids=repr,
)
def test_the_error_for_an_unknown_format_lists_the_known_ones(photos, text):
    with pytest.raises(DataError, match=r"list\.txt: is in no format known here: .*CSV .*HRNet's.*COCO's"):
        read_labelled(write(photos, text))


def test_a_missing_list_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_labelled(tmp_path / "none.csv")


def row(name):
    """Return a list with one face of the photo ``name``, in each format."""
    image = {"id": 1, "file_name": name}
    annotation = {"id": 7, "image_id": 1, "keypoints": [1, 2, 2]}
    return {
        "csv": f"image,x0,y0\n{name},1,2\n",
        "hrnet": f"image_name,scale,center_w,center_h,original_0_x,original_0_y\n{name},1,2,3,1,2\n",
        "coco": json.dumps({"images": [image], "annotations": [annotation]}),
    }


@pytest.mark.parametrize("name", SAID)  # dlib's messages are tested in test_dlib_xml.py
@pytest.mark.parametrize(
    ("photo", "says"),
    [
        ("none.png", r"its picture none\.png is missing from "),
        ("../a.png", r"'../a\.png' is not a name below "),
        ("in folders/../../a.png", "'.*' is not a name below "),
        ("/etc/passwd", "'.*' is not a name below "),
        ("", "'' is not a name below "),
        (".", "'.' is not a name below "),
        ("in folders", "its picture in folders is a folder, not a regular file"),
    ],
)
def test_a_missing_photo_is_reported_with_its_row(photos, name, photo, says):
    where = "annotation 7" if name == "coco" else "line 2"
    with pytest.raises(DataError, match=rf"list\.txt: {where}: {says}"):
        read_labelled(write(photos, row(photo)[name]))


@pytest.mark.parametrize("name", SAID)
def test_names_may_be_relative_to_another_folder(photos, tmp_path, name):
    (read,) = read_labelled(write(tmp_path, row("in folders/../a.png")[name]), root=photos).faces
    assert read.photo.path == photos / "a.png"
    assert read.group.startswith("a.png ")


def test_faces_of_one_photo_share_a_group(photos):
    text = "image,x0,y0\na.png,1,2\n./a.png,3,4\nin folders/c=[1].png,3,4\n"
    first, again, other = (face.group for face in read_labelled(write(photos, text)).faces)
    assert first == again != other


def test_without_strict_bad_rows_are_left_out_and_reported(photos):
    text = "image,x0,y0\na.png,1,2\nnone.png,1,2\na.png,1,x\na.png,5,6\na.png,7\n"
    path = write(photos, text)
    faces, skipped = read_labelled(path, strict=False)
    assert [face.landmarks().tolist() for face in faces] == [[[1, 2]], [[5, 6]]]
    assert [line.removeprefix(f"{path}: ").partition(":")[0] for line in skipped] == [
        "line 3",
        "line 4",
        "line 6",
    ]
    with pytest.raises(DataError, match=r"line 3: its picture none\.png is missing"):
        read_labelled(path)


def test_a_list_without_usable_faces_is_an_error(photos):
    with pytest.raises(DataError, match="holds no face"):
        read_labelled(write(photos, "image,x0,y0\n"))
    with pytest.raises(DataError, match=r"none of its 1 row can be used; .*line 2: .*missing"):
        read_labelled(write(photos, "image,x0,y0\nnone.png,1,2\n"), strict=False)


def test_a_failed_write_leaves_no_file(photos, tmp_path):
    path = tmp_path / "new"
    ours = face(photos, [[1, 2]], Box(0, 0, 5, 5))
    cases = [
        ([ours], "xml", None, ConfigError, "format is one of csv, hrnet, coco, dlib, not 'xml'"),
        ([ours], "csv", None, DataError, "is not below .*root=<folder>"),
        ([ours], "csv", IMM58, DataError, "the 58 points of imm58"),
        ([], "csv", None, DataError, "as many points each"),
        ([ours, face(photos, [[1, 2], [3, 4]])], "csv", None, DataError, "as many points each"),
        ([Face(Photo(Path("a.png")), None, None, "a")], "csv", None, DataError, "as many points each"),
    ]
    for faces, name, scheme, kind, says in cases:
        with pytest.raises(kind, match=says):
            write_labelled(faces, path, name, scheme=scheme)
    assert not list(tmp_path.iterdir())


def test_a_photo_name_that_is_no_text_is_reported(photos, tmp_path):
    odd = Face(Photo(tmp_path / "a\udc80.png"), None, np.ones((1, 2)), "a")
    with pytest.raises(DataError, match="new: a photo's name is no Unicode text"):
        write_labelled([odd], tmp_path / "new", "csv")
    assert not list(tmp_path.iterdir())


def sized(size, points=((10, 10), (30, 30)), name=NAMES[0], box=(5, 5, 30, 30)):
    """Return the same face in the formats that store a photo's size."""
    width, height = size
    image = {"id": 1, "file_name": name, "width": width, "height": height}
    keypoints = [value for x, y in points for value in (x, y, 2)]
    annotation = {"id": 7, "image_id": 1, "bbox": box, "keypoints": keypoints}
    parts = "".join(f"<part name='{place}' x='{x}' y='{y}'/>" for place, (x, y) in enumerate(points))
    left, top, across, down = box
    place = f"left='{left}' top='{top}' width='{across}' height='{down}'"
    return {
        "coco": json.dumps({"images": [image], "annotations": [annotation]}),
        "dlib": f"<dataset><images><image file='{name}' width='{width}' height='{height}'>"
        f"<box {place}>{parts}</box></image></images></dataset>",
    }


@pytest.mark.parametrize("name", ["coco", "dlib"])
@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((48, 64), "the list says 48 × 64 pixels, and the photo has 64 × 48 .*turned upright"),
        ((128, 96), "the list says 128 × 96 pixels, and the photo has 64 × 48 .*resized"),
    ],
)
def test_a_wrong_photo_size_is_reported_with_its_row(photos, name, size, says):
    path = write(photos, sized(size)[name])
    with pytest.raises(DataError, match=rf"list\.txt: (annotation 7|face 1 \(a\.png\)): {says}"):
        read_labelled(path)
    with pytest.raises(DataError, match="none of its 1 row can be used"):
        read_labelled(path, strict=False)
    assert len(read_labelled(write(photos, sized((64, 48))[name])).faces) == 1


def test_a_list_without_sizes_is_read(photos):
    assert len(read_labelled(write(photos, sized((0, 0))["coco"])).faces) == 1


@pytest.mark.parametrize(
    ("points", "box", "says"),
    [
        (((100, 100), (130, 130)), (5, 5, 30, 30), r"its points reach from \(100, 100\) to \(130, 130\)"),
        (((-0.2, 0), (1, 1.2)), (5, 5, 30, 30), "its points lie within a pixel"),
        (((0.2, 0.3), (0.5, 0.6)), (5, 5, 30, 30), "its points lie within a pixel"),
        (((10, 10), (30, 30)), (65, 5, 30, 30), "misses the picture of 64 × 48"),
    ],
)
def test_implausible_coordinates_are_an_error(photos, points, box, says):
    with pytest.raises(DataError, match=rf"list\.txt: annotation 7: .*{says}"):
        read_labelled(write(photos, sized((64, 48), points, box=box)["coco"]))


def test_a_single_point_far_outside_gives_a_warning(photos, caplog):
    points = ((10, 10), (30, 30), (20, 90))
    path = write(photos, sized((64, 48), points)["coco"])
    assert len(read_labelled(path).faces) == 1
    assert f"{path}: annotation 7: point 2 lies 43 px outside the picture of 64 × 48" in caplog.text


def test_rows_that_differ_from_most_are_left_out(photos):
    images = [{"id": 1, "file_name": NAMES[0]}]
    few, many = [10, 10, 2], [10, 10, 2, 30, 30, 2]
    annotations = [
        {"id": place, "image_id": 1, "keypoints": points} for place, points in enumerate([few, many, many])
    ]
    path = write(photos, json.dumps({"images": images, "annotations": annotations}))
    with pytest.raises(DataError, match=r"annotation 0: has 1 point, but 2 of the list's 3 faces have 2"):
        read_labelled(path)
    faces, skipped = read_labelled(path, strict=False)
    assert (len(faces), len(skipped)) == (2, 1)


def test_an_imglab_flag_of_some_faces_is_set_for_all(photos, caplog):
    box = "<box left='5' top='5' width='30' height='30' {}><part name='0' x='9' y='9'/></box>"
    marked, plain = box.format("occluded='1'"), box.format("")
    images = f"<image file='{NAMES[0]}'>{marked}{plain}</image><image file='{NAMES[2]}'/>"
    with caplog.at_level("INFO"):
        faces = read_labelled(write(photos, f"<dataset><images>{images}</images></dataset>")).faces
    assert [dict(face.tags) for face in faces] == [{"occluded": "1"}, {"occluded": "0"}]
    assert "1 of 2 pictures without a box" in caplog.text


@pytest.mark.parametrize("name", ["csv", "hrnet", "coco"])
def test_windows_paths_are_found_by_every_reader(photos, name):
    windows = NAMES[2].replace("/", "\\")
    path = write(photos, row(windows)[name])
    assert read_labelled(str(path)).faces[0].photo.path == photos / NAMES[2]
