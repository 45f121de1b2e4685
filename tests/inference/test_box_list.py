import json

import numpy as np
import pytest

from keypoints.data.formats.dlib_xml import Entry, format_dlib_xml
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.box_list import ListedPhoto, read_box_list


def listed(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_list_gives_each_photo_once_with_its_boxes(tmp_path):
    path = listed(
        tmp_path,
        "image,left,top,width,height,x0,y0,note\n"
        '"a, [1] ø.jpg",1,2.5,30,40,,,first\nsub/b.png,,,,,,,\n"a, [1] ø.jpg",-5,6,70,80,1,2,\n',
    )
    assert read_box_list(path) == [
        ListedPhoto(tmp_path / "a, [1] ø.jpg", (Box(1, 2.5, 30, 40), Box(-5, 6, 70, 80))),
        ListedPhoto(tmp_path / "sub" / "b.png", ()),
    ]


def test_a_list_may_have_no_boxes(tmp_path):
    path = listed(tmp_path, "image\na.jpg\nb.jpg\n")
    assert read_box_list(path, tmp_path / "photos") == [
        ListedPhoto(tmp_path / "photos" / "a.jpg", ()),
        ListedPhoto(tmp_path / "photos" / "b.jpg", ()),
    ]


def test_dlibs_lists_are_read_with_and_without_points(tmp_path):
    entries = [
        Entry("a.jpg", Box(1, 2, 30, 40), None),
        Entry("b.jpg", Box(-1, 2, 30, 40), np.ones((5, 2))),
        Entry("a.jpg", Box(5, 6, 7, 8), None),
    ]
    path = listed(tmp_path, format_dlib_xml(entries, "some"), "list.xml")
    assert read_box_list(path) == [
        ListedPhoto(tmp_path / "a.jpg", (Box(1, 2, 30, 40), Box(5, 6, 7, 8))),
        ListedPhoto(tmp_path / "b.jpg", (Box(-1, 2, 30, 40),)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no list of photos"),
        ("photo,left\n", "is no list of photos: .*column 'image'"),
        ("image,left,top,width\na.jpg,1,2,3\n", "it has only left, top, width"),
        ("image,image\n", "a name that occurs twice"),
        ("image,left,top,width,height\na.jpg,1,2,wide,4\n", r"list\.csv: line 2: 'wide' is not a number"),
        ("image,left,top,width,height\na.jpg,1,2,0,4\n", "line 2: a box needs positive sides"),
        ("image,left,top,width,height\na.jpg,1,2\n", "line 2: has 3 cells"),
        ("image\n../../etc/photo.jpg\n", "line 2: .* is not a name below"),
        ("image\n/etc/photo.jpg\n", "line 2: .* is not a name below"),
        ("image\n", "lists no photo"),
    ],
)
def test_errors_of_a_list_are_one_line(tmp_path, text, says):
    with pytest.raises(DataError, match=says) as error:
        read_box_list(listed(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no\.csv: cannot be read"):
        read_box_list(tmp_path / "no.csv")


def test_a_dlib_list_may_have_photos_without_boxes(tmp_path):
    ignored = "<box left='1' top='2' width='30' height='40' ignore='true'/>"
    images = f"<image file='a.jpg'/><image file='b.jpg'>{ignored}</image>"
    path = listed(tmp_path, f"<dataset><images>{images}</images></dataset>")
    assert read_box_list(path) == [ListedPhoto(tmp_path / "a.jpg", ()), ListedPhoto(tmp_path / "b.jpg", ())]


def test_cocos_and_hrnets_lists_are_read_and_points_ignored(tmp_path):
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 50, "height": 40} for number in range(3)]
    face = {"image_id": 1, "keypoints": [0, 0, 0], "bbox": [1, 2, 30, 40]}
    path = listed(tmp_path, json.dumps({"images": images, "annotations": [{**face, "id": 1}]}), "list.json")
    assert read_box_list(path) == [
        ListedPhoto(tmp_path / "1.jpg", (Box(1, 2, 30, 40),), (50, 40)),
        ListedPhoto(tmp_path / "0.jpg", (), (50, 40)),
        ListedPhoto(tmp_path / "2.jpg", (), (50, 40)),
    ]
    head = "image_name,scale,center_w,center_h,original_0_x,original_0_y"
    assert read_box_list(listed(tmp_path, f"{head}\na.jpg,0.1,9.5,9.5,,\n")) == [
        ListedPhoto(tmp_path / "a.jpg", (Box(0, 0, 20, 20),))
    ]


def test_missing_or_invalid_points_are_ignored(tmp_path):
    box = "<box left='1' top='2' width='30' height='40'>{}</box>"
    parts = "<part name='0' x='1' y='1'/><part name='1' x='1' y='1'/>"
    boxes = box.format(parts) * 2 + box.format("<part name='odd' x='left' y='1'/>")
    path = listed(tmp_path, f"<dataset><images><image file='a.jpg'>{boxes}</image></images></dataset>")
    assert read_box_list(path) == [ListedPhoto(tmp_path / "a.jpg", (Box(1, 2, 30, 40),) * 3)]
