import pytest
from PIL import Image

from keypoints.data.readers.labelled import detect_format, read_labelled, read_list
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.box_list import read_box_list

BOX = '<box label="face" occluded="0" xtl="1.5" ytl="2" xbr="31.5" ybr="42" z_order="0"{}></box>'
POINTS = '<points label="face" occluded="0" points="3.25,4.00;15.00,16.50"{}></points>'
META = """<meta><task><labels>
<label><name>face</name><type>skeleton</type></label>
<label><name>right_eye</name><type>points</type><parent>face</parent></label>
<label><name>left_eye</name><type>points</type><parent>face</parent></label>
<label><name>thumb</name><type>points</type><parent>hand</parent></label>
</labels></task></meta>"""


def skeleton(*points, label="face"):
    inner = "".join(
        f'<points label="{name}" outside="{outside}" occluded="{occluded}" points="{at}"></points>'
        for name, at, outside, occluded in points
    )
    return f'<skeleton label="{label}" z_order="0">{inner}</skeleton>'


@pytest.fixture
def listed(tmp_path):
    """Return a function that writes a list of photos with the given shapes."""

    def write(*shapes, meta="", name="{}.png", folder=tmp_path):
        folder.mkdir(parents=True, exist_ok=True)
        images = []
        for place, inner in enumerate(shapes):
            Image.new("L", (64, 48)).save(folder / f"{place}.png")
            images.append(
                f'<image id="{place}" name="{name.format(place)}" width="64" height="48">{inner}</image>'
            )
        path = tmp_path / "annotations.xml"
        path.write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
            f"{meta}{''.join(images)}</annotations>"
        )
        return path

    return write


def test_a_shape_of_points_is_a_face_with_its_box(listed):
    path = listed(BOX.format("") + POINTS.format(""), POINTS.format(""))
    assert detect_format(path) == "cvat"
    first, second = read_labelled(path).faces
    assert first.landmarks().tolist() == [[3.25, 4], [15, 16.5]]
    assert (first.box, second.box) == (Box(1.5, 2, 30, 40), None)
    assert first.source.endswith("annotations.xml: image 0 (0.png)")
    assert read_list(path).scheme is None


def test_hidden_shapes_and_attributes_are_kept(listed):
    shape = POINTS.format("").replace('occluded="0"', 'occluded="1"')
    shape = shape.replace(
        "</points>", '<attribute name="pose">left</attribute><attribute name="x"/></points>'
    )
    (face,) = read_labelled(listed(shape)).faces
    assert face.visibility().tolist() == [1, 1]
    assert face.tags == {"pose": "left"}


def test_the_points_of_a_skeleton_have_states(listed):
    path = listed(skeleton(("2", "5,6", 0, 1), ("10", "7,8", 1, 0), ("1", "3,4", 0, 0)))
    (face,) = read_labelled(path).faces
    assert face.landmarks()[:2].tolist() == [[3, 4], [5, 6]]
    assert face.visibility().tolist() == [2, 1, 0]
    assert read_list(path).scheme is None


def test_named_points_are_ordered_as_in_the_task(listed):
    shape = skeleton(("left_eye", "5,6", 0, 0), ("right_eye", "7,8", 0, 0))
    found = read_list(listed(shape, meta=META))
    assert found.scheme.names == ("right_eye", "left_eye")
    assert (found.scheme.name, found.scheme.flip_indices) == ("face", (1, 0))
    assert found.faces[0].landmarks().tolist() == [[7, 8], [5, 6]]
    assert read_list(listed(shape)).scheme.names == ("left_eye", "right_eye")


def test_a_missing_point_of_a_skeleton_has_no_label(listed):
    both = skeleton(("a", "5,6", 0, 0), ("b", "7,8", 0, 0))
    _, face = read_labelled(listed(both, skeleton(("b", "7,8", 0, 0)))).faces
    assert face.labelled().tolist() == [False, True]


def test_boxes_belong_to_the_faces_of_their_group(listed):
    groups = [' group_id="1"', ' group_id="2"']
    other = BOX.format(groups[1]).replace("31.5", "21.5")
    faces = "".join(POINTS.format(group) for group in groups)
    found = read_labelled(listed(BOX.format(groups[0]) + other + faces)).faces
    assert [face.box.width for face in found] == [30, 20]
    assert found[1].source.endswith("image 0 (0.png): shape 2")
    assert [face.box for face in read_labelled(listed(BOX.format("") + faces)).faces] == [None, None]


def test_photos_may_be_in_the_archives_folder(listed, tmp_path):
    path = listed(POINTS.format(""), name="{}.png", folder=tmp_path / "images")
    assert read_labelled(path).faces[0].photo.path == tmp_path / "images" / "0.png"


def test_boxes_are_read_for_prediction(listed):
    first, second = read_box_list(listed(BOX.format("") * 2, ""))
    assert (len(first.boxes), second.boxes, first.size) == (2, (), (64, 48))


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (POINTS.format("").replace("3.25,4.00", "3.25"), r"points are written as x,y;x,y;…, not '3\.25;"),
        (POINTS.format("").replace("3.25", "left"), "'left' is not a number"),
        (POINTS.format("").replace(";15.00,16.50", ""), "has 1 point, but 2 of the list's 3 faces have 2"),
        (
            POINTS.format("").replace("face", "eye"),
            "has points of the label 'eye', and 2 of 3 shapes are points of the label 'face'; a face is one",
        ),
        (skeleton(("1", "3,4", 0, 0)), "has skeleton of the label 'face', and 2 of 3 shapes are points"),
        (BOX.format(' rotation="30"') + POINTS.format(""), "has a rotated box; draw it upright"),
        (BOX.format("").replace("31.5", "1.5") + POINTS.format(""), "positive sides"),
    ],
)
def test_a_shape_that_cannot_be_used_is_named(listed, shapes, says):
    path = listed(POINTS.format(""), POINTS.format(""), shapes)
    with pytest.raises(DataError, match=rf"annotations\.xml: image 2 \(2\.png\): .*{says}"):
        read_labelled(path)
    assert len(read_labelled(path, strict=False).faces) == 2


def test_a_damaged_skeleton_is_named(listed):
    twice = skeleton(("1", "3,4", 0, 0), ("1", "3,4", 0, 0))
    with pytest.raises(DataError, match=r"image 0 .*: has the point '1' twice"):
        read_labelled(listed(twice))
    with pytest.raises(DataError, match="its point '1' has 2 positions instead of one"):
        read_labelled(listed(skeleton(("1", "3,4;5,6", 0, 0))))
    with pytest.raises(DataError, match="none of its 1 point is labelled"):
        read_labelled(listed(skeleton(("1", "3,4", 1, 0))))


def test_other_exports_and_entities_are_refused(tmp_path):
    path = tmp_path / "annotations.xml"
    path.write_text("<annotations><track id='0'/></annotations>")
    with pytest.raises(DataError, match=r"lists no image; it is an export for video; .* images 1\.1"):
        read_labelled(path)
    path.write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><annotations/>")
    with pytest.raises(DataError, match="declares a document type"):
        read_labelled(path)
