"""Damaged lists: the same damage in every format."""

import gzip
import json
import os
import re
from xml.sax.saxutils import quoteattr

import pytest
from PIL import Image

from keypoints.data.compact_copy import read_map
from keypoints.data.formats.pts import read_pts
from keypoints.data.readers.labelled import read_labelled
from keypoints.errors import DataError
from keypoints.inference.box_list import read_box_list
from keypoints.inference.submission_file import read_submission


def csv(rows):
    lines = [f"{row['photo']},1,2,{row['width']},30,{row['x']},6" for row in rows]
    return "\n".join(["image,left,top,width,height,x0,y0", *lines, ""])


def hrnet(rows):
    scales = [
        row["width"] if not re.fullmatch(r"[\d.e]+", row["width"]) else float(row["width"]) / 200
        for row in rows
    ]
    lines = [f"{row['photo']},{scale},20,20,{row['x']},6" for row, scale in zip(rows, scales, strict=True)]
    return "\n".join(["image_name,scale,center_w,center_h,original_0_x,original_0_y", *lines, ""])


def coco(rows):
    images = [{"id": place, "file_name": row["photo"]} for place, row in enumerate(rows)]
    annotations = [
        {"id": place, "image_id": place, "keypoints": [row["x"], 6, 2], "bbox": [1, 2, row["width"], 30]}
        for place, row in enumerate(rows)
    ]
    return json.dumps({"images": images, "annotations": annotations})


def dlib(rows):
    images = [
        f"<image file={quoteattr(row['photo'])}>"
        f"<box left='1' top='2' width={quoteattr(row['width'])} height='30'>"
        f"<part name='00' x={quoteattr(row['x'])} y='6'/></box></image>"
        for row in rows
    ]
    return f"<?xml version='1.0' encoding='UTF-8'?><dataset><images>{''.join(images)}</images></dataset>"


def cvat(rows):
    images = [
        f"<image id='{place}' name={quoteattr(row['photo'])}>"
        f"<box label='face' xtl='0' ytl='2' xbr={quoteattr(row['width'])} ybr='32'/>"
        f"<points label='face' points={quoteattr(row['x'] + ',6')}/></image>"
        for place, row in enumerate(rows)
    ]
    return f"<?xml version='1.0' encoding='UTF-8'?><annotations>{''.join(images)}</annotations>"


FORMATS = {"csv": csv, "hrnet": hrnet, "coco": coco, "dlib": dlib, "cvat": cvat}
GOOD = {"photo": "a.png", "width": "30", "x": "5"}
SECOND = {
    **{"csv": "line 3", "hrnet": "line 3", "coco": "annotation 1"},
    **{"dlib": r"image 2 \(.*\)", "cvat": r"image 1 \(.*\)"},
}
BAD = {
    **{
        f"x is {x!r}": {"x": x}
        for x in ("0.5_1", "１２", "infinity", "nan", "0x10", "1e30", "-123456", "5 5")
    },
    **{f"width is {width!r}": {"width": width} for width in ("0.4", "1e17", "3_0", "-30", "0", "nan")},
}


@pytest.fixture
def written(tmp_path):
    Image.new("L", (64, 48)).save(tmp_path / "a.png")

    def write(text):
        (tmp_path / "list").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "list"

    return write


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_an_invalid_number_is_reported_with_its_row(written, name, bad):
    path = written(FORMATS[name]([GOOD, {**GOOD, **bad}, GOOD]))
    with pytest.raises(DataError, match=rf"list: {SECOND[name]}: .*(number|pixels|positive sides)") as caught:
        read_labelled(path)
    assert "\n" not in str(caught.value)
    faces, skipped = read_labelled(path, strict=False)
    assert [face.landmarks().tolist() for face in faces] == [[[5, 6]]] * 2
    assert len(skipped) == 1


@pytest.mark.parametrize("name", ["csv", "dlib", "cvat"])
@pytest.mark.parametrize("bad", [bad for bad in BAD.values() if "width" in bad], ids=str)
def test_boxes_to_predict_have_the_same_limits(written, name, bad):
    with pytest.raises(DataError, match=rf"list: {SECOND[name]}: .*(number|pixels|positive sides)"):
        read_box_list(written(FORMATS[name]([GOOD, {**GOOD, **bad}])))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("photo", "says"),
    [
        ("pipe.png", "is a named pipe"),
        ("circle.png", "Too many levels|no such name"),
        ("folder.png", "is a folder"),
    ],
)
def test_an_irregular_file_is_reported_with_its_row(written, tmp_path, name, photo, says):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=rf"list: {SECOND[name]}: .*({says})"):
        read_labelled(written(FORMATS[name]([GOOD, {**GOOD, "photo": photo}])))


@pytest.mark.parametrize("name", FORMATS)
def test_every_face_has_its_list_and_row_as_source(written, name):
    path = written(FORMATS[name]([GOOD, GOOD]))
    assert re.fullmatch(rf"{path}: ({SECOND[name]}|face 2 \(a\.png\))", read_labelled(path).faces[1].source)


@pytest.mark.parametrize("name", FORMATS)
def test_a_compressed_list_is_read(written, name):
    (face,) = read_labelled(written(gzip.compress(FORMATS[name]([GOOD]).encode()))).faces
    assert face.landmarks().tolist() == [[5, 6]]


@pytest.mark.parametrize("name", FORMATS)
def test_a_compressed_list_that_unpacks_too_large_is_refused(written, monkeypatch, name):
    for module in ("lists", "untrusted_xml"):
        monkeypatch.setattr(f"keypoints.data.formats.{module}.MOST_LIST", 10**6)
    path = written(gzip.compress(FORMATS[name]([GOOD]).encode() + b"\n" * 10**7))
    with pytest.raises(DataError, match="list: unpacks to more than the 1,000,000 bytes"):
        read_labelled(path)


FIRST = {
    "csv": "image,x0,y0",
    "hrnet": "image_name,scale,center_w,center_h,original_0_x,original_0_y",
    "submission": "Id,Predicted",
    "map": "picture,original,width,height,xx,xy,x0,yx,yy,y0",
    "boxes": "image,left,top,width,height",
}
READ = {
    "submission": lambda path: read_submission(path, 1),
    "boxes": read_box_list,
    "map": lambda path: read_map(path.rename(path.with_name("originals.csv")).parent),
}
LONG = {
    "a million columns": lambda first: first + "".join(f",c{number}" for number in range(10**6)) + "\n",
    "a row of a million cells": lambda first: first + "\na.png" + ",1" * 10**6 + "\n",
    "a row on a million lines": lambda first: first + "\n" + '"\n",' * 10**6 + "1\n",
    "a cell without end": lambda first: first + "\n" + "1" * (2 * 10**6) + "\n",
    "a cell too long": lambda first: first + "\n" + "1" * 200_000 + "\n",
    "a name too long": lambda first: first + "," + "1" * 200_000 + "\n",
}


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("long", LONG)
def test_a_too_long_row_is_reported_with_its_line(written, name, long):
    with pytest.raises(
        DataError, match=r"(list|originals\.csv): line \d+: is no CSV \((the row is|field) l"
    ) as caught:
        READ.get(name, read_labelled)(written(LONG[long](FIRST[name])))
    assert len(str(caught.value)) < 1000


def test_the_message_about_many_repeated_columns_is_short(written):
    with pytest.raises(DataError, match="occurs twice: 'c0', 'c1', 'c2' and 49997 more") as caught:
        read_labelled(
            written("image,x0,y0," + ",".join(f"c{number % 50_000}" for number in range(10**5)) + "\n")
        )
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"images": ' + "[" * 100_000, "is no JSON"),
        ('{"images": ' + '{"a":' * 100_000, "is no JSON"),
        ('{"images": [' + "9" * 5000 + "]}", "is no JSON"),
        ('{"images": [], "annotations": [' + "9" * 4000 + "]}", "has no list of annotations"),
        ("<?xml version='1.0'?><dataset>" + "<a>" * 100_000, "is no XML"),
        ("<?xml version='1.0'?><dataset>" + "<a>" * 10**5 + "</a>" * 10**5 + "</dataset>", "lists no image"),
        ("<annotations>" + "<a>" * 10**5 + "</a>" * 10**5 + "</annotations>", "lists no image"),
        ("image\rx0,y0\ra.png,1,2\r", "is in no format"),
        ('image,"x0,y0\n', "is in no format"),
    ],
    ids=[
        "lists in lists",
        "objects in objects",
        "a long number",
        "a number",
        "tags in tags",
        "closed",
        "closed in annotations",
        "\\r",
        "quote",
    ],
)
def test_deeply_nested_lists_are_refused(written, text, says):
    with pytest.raises(DataError, match=rf"list: {says}") as caught:
        read_labelled(written(text))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("x", ["0.5_1", "１２", "infinity", "1e30"])
def test_an_annotation_file_refuses_the_same_numbers(written, x):
    with pytest.raises(DataError, match=r"list: line 2: not a point, two numbers: '.* 7' \("):
        read_pts(written(f"1 2\n{x} 7\n"))


@pytest.mark.parametrize("x", ["0.5_1", "１２", "infinity", "nan"])
def test_a_submission_refuses_the_same_numbers(written, x):
    with pytest.raises(DataError, match=rf"list: line 3: '{x}' is not a number"):
        read_submission(written(f"Id,Predicted\n0,1\n1,{x}\n"), 1)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_list_in_utf_16_is_reported_as_such(written, name, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = written((mark + FORMATS[name]([GOOD])).encode(encoding))
    with pytest.raises(DataError, match=r"list: is not UTF-8 \(UTF-16\); save it as such"):
        read_labelled(path)
