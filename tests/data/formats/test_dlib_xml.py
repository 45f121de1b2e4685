import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from keypoints.data.formats.dlib_xml import Entry, format_dlib_xml, read_entries
from keypoints.errors import DataError
from keypoints.geometry import Box

HEAD = "<?xml version='1.0' encoding='ISO-8859-1'?>\n<dataset><images>"
TAIL = "</images></dataset>"
BOX = "<box left='1' top='2' width='3' height='4'>"
PARTS = "<part name='00' x='5' y='6'/><part name='01' x='7' y='8'/>"


@pytest.fixture
def listed(tmp_path):
    """Return a function that writes a list of images next to three pictures, and reads its faces."""
    for name in ("a.jpg", "b.jpg", "café.jpg"):
        (tmp_path / name).touch()

    def read(images, head=HEAD, tail=TAIL, count=2):
        path = tmp_path / "list.xml"
        path.write_bytes((head + images + tail).encode("latin-1"))
        return list(read_entries(path, count))

    return read


def face(file="a.jpg", inside=PARTS, box=BOX):
    return f"<image file='{file}'>{box}{inside}</box></image>"


def test_a_face_has_its_file_box_points_and_size(listed):
    (entry,) = listed(f"<image file='a.jpg' width='10' height='20'>{BOX}{PARTS}</box></image>")
    assert (entry.file, entry.box, entry.size) == ("a.jpg", Box(1, 2, 3, 4), (10, 20))
    np.testing.assert_array_equal(entry.points, [[5, 6], [7, 8]])


def test_attributes_and_parts_may_have_any_order(listed):
    parts = '<part y="8" x="7" name="01"/><part x=\'5\' name="00" y=\'6\'/>'
    (entry,) = listed(
        f'<image file="a.jpg"><box height="4" width="3" top="-2" left="-351">{parts}</box></image>'
    )
    assert entry.box == Box(-351, -2, 3, 4)
    assert entry.size is None
    np.testing.assert_array_equal(entry.points, [[5, 6], [7, 8]])


def test_a_picture_may_have_several_faces(listed):
    other = BOX.replace("1", "9")
    ignored = BOX.replace(">", " ignore='1'/>")
    entries = listed(
        f"<image file='a.jpg'>{BOX}{PARTS}</box>{other}</box>{ignored}</image>{face('b.jpg', '')}"
    )
    assert [(entry.file, entry.box.left) for entry in entries] == [("a.jpg", 1), ("a.jpg", 9), ("b.jpg", 1)]
    assert [entry.points is None for entry in entries] == [False, True, True]


def test_names_are_read_in_the_declared_encoding(listed):
    (entry,) = listed(face("café.jpg"))
    assert entry.file == "café.jpg"


BAD_FACES = {
    "a point too few": (
        face(inside=PARTS.partition("<part name='01'")[0]),
        "has 1 point instead of 2; '01' is missing",
    ),
    "an unknown part": (face(inside=PARTS.replace("01", "68")), "has a part '68'; .* '00' to '01'"),
    "a part without name": (face(inside="<part x='1' y='2'/>"), "has a part ''"),
    "a part twice": (face(inside=PARTS.replace("01", "00")), "has the part '00' twice"),
    "letters for a number": (
        face(inside=PARTS.replace("7", "l7")),
        "part '01': its part has x='l7'; a number",
    ),
    "not a number": (face(inside=PARTS.replace("7", "nan")), "x='nan'"),
    "a missing number": (face(inside=PARTS.replace("x='7'", "")), "its part has no x; a number"),
    "a box of no width": (face(box=BOX.replace("3", "0")), "positive sides, not 0 × 4"),
    "a box of negative height": (face(box=BOX.replace("4", "-4")), "positive sides, not 3 × -4"),
    "a box that is endless": (face(box=BOX.replace("3", "inf")), "its box has width='inf'"),
    "no box": ("<image file='a.jpg'/>", "has no box"),
    "letters for the size": (face().replace(".jpg'", ".jpg' width='big' height='1'"), "has width='big'"),
    "no file": (f"<image>{BOX}</box></image>", "does not name its file"),
    "a missing picture": (face("c.jpg"), r"its picture c\.jpg is missing from"),
    "a folder for a picture": (face("folder"), "its picture folder is a folder"),
    "an absolute path": (face("/etc/passwd"), "'/etc/passwd' is not a name below"),
    "a way out": (face("../secret.jpg"), r"'\.\./secret\.jpg' is not a name below"),
    "a link in a circle": (face("circle.jpg"), "its picture circle.jpg cannot be read"),
    "a name beyond all length": (face("x" * 5000), "its picture x.* cannot be read"),
}


@pytest.mark.parametrize(("bad", "says"), BAD_FACES.values(), ids=BAD_FACES.keys())
def test_a_bad_face_is_yielded_as_an_error(listed, tmp_path, bad, says):
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    before, error, after = listed(face() + bad + face("b.jpg"))
    assert isinstance(error, DataError)
    assert re.search(rf"list\.xml: image 2 \(.*\): .*({says})", str(error)), error
    assert "\n" not in str(error)
    assert (before.file, after.file) == ("a.jpg", "b.jpg")


def test_a_bad_box_is_reported_by_number(listed):
    good, bad = listed(f"<image file='a.jpg'>{BOX}</box>{BOX.replace('3', '0')}</box></image>")
    assert good.box == Box(1, 2, 3, 4)
    assert re.search(r"image 1 \(a\.jpg\): box 2: a box needs", str(bad))


BOMB = """<?xml version='1.0'?>
<!DOCTYPE dataset [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<dataset><images>&b;"""
STOLEN = """<?xml version='1.0'?>
<!DOCTYPE dataset [<!ENTITY secret SYSTEM "file:///etc/passwd">]>
<dataset><images>&secret;"""
DISTANT = "<?xml version='1.0'?><!DOCTYPE dataset SYSTEM 'http://example.com/x.dtd'><dataset><images>"


@pytest.mark.parametrize("head", [BOMB, STOLEN, DISTANT], ids=["bomb", "external entity", "external type"])
def test_a_hostile_list_is_refused(listed, head):
    with pytest.raises(DataError, match=r"list\.xml: declares a document type or entities"):
        listed(face(), head=head)


@pytest.mark.parametrize(
    ("head", "tail", "says"),
    [
        (HEAD, "</images>", r"damaged or cut off \(.*line 2"),
        (HEAD, "<image file='a.jpg'", "damaged or cut off"),
        ("<faces><images>", "</images></faces>", "lists no image"),
        ("", "", "lists no image"),
        (HEAD.replace("ISO-8859-1", "no-such"), TAIL, "damaged or cut off"),
        ("no XML", "", "damaged or cut off"),
    ],
)
def test_an_invalid_list_is_reported_with_the_reason(listed, head, tail, says):
    with pytest.raises(DataError, match=rf"list\.xml: .*{says}"):
        listed(face(), head=head, tail=tail)


def test_a_list_without_an_image_is_refused(listed):
    with pytest.raises(DataError, match="lists no image"):
        listed("")


def test_a_missing_list_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"none\.xml: cannot be read"):
        list(read_entries(tmp_path / "none.xml", 2))


letters = st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="/\\")
names = st.text(letters, min_size=1, max_size=40).filter(lambda name: name not in (".", ".."))
pixels = st.integers(-1000, 9000)
entries = st.builds(
    Entry,
    file=names,
    box=st.builds(Box, pixels, pixels, st.integers(1, 9000), st.integers(1, 9000)),
    points=st.none() | hnp.arrays(np.int64, (68, 2), elements=pixels),
    size=st.none() | st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    tags=st.just({}),
)


@given(st.lists(entries, min_size=1, max_size=4))
def test_lists_with_any_names_survive_a_round_trip(tmp_path_factory, faces):
    folder = tmp_path_factory.mktemp("lists")
    for entry in faces:
        (folder / entry.file).touch()
    (folder / "list.xml").write_text(format_dlib_xml(faces, "<a> & 'b'"), encoding="ascii")
    back = list(read_entries(folder / "list.xml", 68))
    assert [entry._replace(points=None) for entry in back] == [entry._replace(points=None) for entry in faces]
    for entry, other in zip(back, faces, strict=True):
        if other.points is None:
            assert entry.points is None
        else:
            np.testing.assert_array_equal(entry.points, other.points)


def test_lists_are_written_in_dlibs_layout_with_integer_pixels(tmp_path):
    text = format_dlib_xml(
        [
            Entry('it\'s "ø" & 1.jpg', Box(0.6, -1.4, 0.3, 3.5), np.array([[1.4, 2.6]]), (5, 6)),
            Entry("b.jpg", Box(1, 2, 3, 4), None),
        ],
        "made up",
    )
    assert text.splitlines() == [
        "<?xml version='1.0' encoding='ISO-8859-1'?>",
        "<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>",
        "<dataset>",
        "<name>made up</name>",
        "<images>",
        "  <image file='it&apos;s \"&#248;\" &amp; 1.jpg' width='5' height='6'>",
        "    <box top='-1' left='1' width='1' height='4'>",
        "      <part name='00' x='1' y='3'/>",
        "    </box>",
        "  </image>",
        "  <image file='b.jpg'>",
        "    <box top='2' left='1' width='3' height='4'/>",
        "  </image>",
        "</images>",
        "</dataset>",
    ]
    assert ElementTree.fromstring(text).find("images/image").get("file") == 'it\'s "ø" & 1.jpg'


@pytest.mark.parametrize("name", ["a\x01b", "a\udcffb"], ids=["control", "undecodable"])
def test_a_name_with_characters_that_xml_forbids_is_refused(name):
    with pytest.raises(DataError, match="cannot stand in an XML list"):
        format_dlib_xml([Entry(name, Box(1, 2, 3, 4), None)], "made up")


def parts_named(*names):
    return "".join(f"<part name='{name}' x='{place}' y='0'/>" for place, name in enumerate(names))


def read_all(listed, *inside):
    return listed("".join(face(inside=each) for each in inside), count=None)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_numbered_parts_are_sorted_by_number(listed, width):
    names = [f"{number:0{width}}" for number in range(120)]
    shuffled = np.random.default_rng(0).permutation(120)
    (entry,) = read_all(listed, parts_named(*(names[place] for place in shuffled)))
    np.testing.assert_array_equal(entry.points[:, 0], np.argsort(shuffled))


def test_named_parts_are_sorted_as_in_dlib(listed):
    (entry,) = read_all(listed, parts_named("nose", "left eye", "mouth"))
    assert entry.points[:, 0].tolist() == [1, 2, 0]


def test_missing_parts_have_no_label_and_additional_parts_are_reported(listed):
    good = parts_named("0", "1", "2")
    found = read_all(listed, parts_named("0", "2"), good, parts_named("0", "1", "2", "3"), good, "")
    lacks, first, more, second, bare = found
    assert np.isnan(lacks.points).all(axis=1).tolist() == [False, True, False]
    assert re.search(r"image 3 .*: has a part '3'; at least half of the list's 4 faces with parts", str(more))
    assert len(first.points) == len(second.points) == 3
    assert bare.points is None


def test_numbers_of_parts_may_start_anywhere(listed):
    (entry,) = read_all(listed, parts_named("10", "9", "8"))
    assert entry.points[:, 0].tolist() == [2, 1, 0]


def test_imglab_attributes_of_a_box_become_tags(listed):
    box = BOX.replace("<box", "<box occluded='1' truncated='true' difficult='0' age='23' pose=''")
    (entry,) = listed(f"<image file='a.jpg'>{box}<label> face </label></box></image>")
    assert entry.tags == {
        "occluded": "1",
        "truncated": "1",
        "difficult": "0",
        "age": "23",
        "label": "face",
    }


@pytest.mark.parametrize("ignored", ["1", "true", "True"])
def test_ignored_boxes_are_left_out(listed, ignored):
    box = BOX.replace("<box", f"<box ignore='{ignored}'")
    (error,) = listed(f"<image file='a.jpg'>{box}</box></image>")
    assert "has no box" in str(error)


def test_links_and_parent_folders_inside_the_root_are_followed(listed, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    assert [entry.file for entry in listed(face("link.jpg") + face("folder/../a.jpg"))] == [
        "link.jpg",
        "a.jpg",
    ]


def test_dlib_keeps_the_order_of_more_than_100_parts(tmp_path):
    dlib = pytest.importorskip("dlib", reason="dlib is not installed (extra detect)")
    random = np.random.default_rng(0)
    places = np.stack([np.arange(106) % 11 * 8 + 14, np.arange(106) // 11 * 8 + 14], axis=1)
    faces = []
    for number in range(4):
        picture = random.integers(0, 256, (120, 120), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        faces.append(Entry(f"{number}.png", Box(10, 10, 100, 100), places + number % 2, (120, 120)))
    (tmp_path / "list.xml").write_text(format_dlib_xml(faces, "106"))
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level, options.tree_depth = 2, 4, 2
    options.oversampling_amount, options.feature_pool_size, options.num_test_splits = 1, 40, 2
    options.num_threads = 1
    dlib.train_shape_predictor(str(tmp_path / "list.xml"), str(tmp_path / "model.dat"), options)
    shape = dlib.shape_predictor(str(tmp_path / "model.dat"))(picture, dlib.rectangle(10, 10, 109, 109))
    found = np.array([[part.x, part.y] for part in shape.parts()])
    np.testing.assert_allclose(found, places, atol=2)  # neighbours are 8 px apart
