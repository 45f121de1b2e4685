import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.data.readers.ibug300w import PARSED_LIST, TEST_LIST, TRAIN_LIST
from keypoints.datatools.verify import verify
from keypoints.errors import ConfigError, DataError


def verified(dataset, root, *more):
    return verify(compose("verify", [f"dataset={dataset}", f"root={root}", *more]))


def wrongs(found):
    return {(finding.file, finding.what) for finding in found.findings if finding.wrong}


def test_a_correct_folder_has_counts_and_no_errors(made_up_imm, wild):
    found = verified("imm", made_up_imm)
    assert not found.wrong
    assert [tuple(count) for count in found.counts] == [("persons", 5, 40), ("faces", 30, 240)]
    found = verified("ibug300w", wild)
    assert not found.wrong, found.findings
    assert {count.what: count.found for count in found.counts} == {
        TRAIN_LIST: 3,
        TEST_LIST: 6,
        PARSED_LIST: 6,
        "annotated, train": 4,
        "annotated, common": 2,
        "annotated, challenge": 0,
    }
    assert all("instead of the" in finding.what for finding in found.findings)


def test_errors_in_imm_are_reported_by_file(own_imm):
    (own_imm / "01-1m.jpg").unlink()
    jpg = own_imm / "01-2m.jpg"
    jpg.write_bytes(jpg.read_bytes()[:-300])
    (own_imm / "01-3m.asf").write_text("58\n")
    (own_imm / "01-4m.asf").unlink()
    found = verified("imm", own_imm)
    assert found.wrong == 4
    told = dict(wrongs(found))
    assert "picture 01-1m.jpg is missing" in told["01-1m.asf"]
    assert "truncated or damaged" in told["01-2m.jpg"]
    assert "announces 58 points" in told["01-3m.asf"]
    assert told["01-4m.jpg"] == "has no annotation"


def damage_list(wild, old, new, name=TRAIN_LIST):
    path = wild / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut_picture(wild):
    path = wild / "afw" / "134212_1.jpg"
    path.write_bytes(path.read_bytes()[:-300])


def scale_picture(wild):
    path = wild / "afw" / "134212_1.jpg"
    Image.open(path).resize((150, 120)).save(path)


def move_points(wild):
    path = wild / "helen" / "testset" / "30844800_1.pts"
    lines = path.read_text().splitlines()
    lines[3] = "61 75"
    path.write_text("\n".join(lines))


DAMAGES = {
    "a cut picture": (cut_picture, "afw/134212_1.jpg", "truncated or damaged"),
    "a missing picture": (
        lambda wild: (wild / "afw" / "134212_1.jpg").unlink(),
        TRAIN_LIST,
        "image 1 (afw/134212_1.jpg): its picture afw/134212_1.jpg is missing",
    ),
    "a .pts without picture": (
        lambda wild: (wild / "afw" / "134212_1.jpg").unlink(),
        "afw/134212_1.pts",
        "its picture is missing",
    ),
    "a picture without annotation": (
        lambda wild: Image.new("L", (9, 9)).save(wild / "afw" / "134212_9.PNG"),
        "afw/134212_9.PNG",
        "has no annotation and is in no list",
    ),
    "a cut list": (
        lambda wild: (wild / TRAIN_LIST).write_text((wild / TRAIN_LIST).read_text()[:-99]),
        TRAIN_LIST,
        "is no XML, damaged or cut off",
    ),
    "a point too few": (
        lambda wild: damage_list(wild, "<part name='67'", "<piece name='67'"),
        TRAIN_LIST,
        "image 1 (afw/134212_1.jpg): has 67 points instead of 68",
    ),
    "another size": (scale_picture, "afw/134212_1.jpg", "is 150 × 120, and a list says 200 × 160"),
    "a box elsewhere": (
        lambda wild: damage_list(wild, "left='60'", "left='500'"),
        "afw/134212_1.jpg",
        "the box at (500, 40) of 80 × 70 misses the picture",
    ),
    "points unlike the .pts": (
        move_points,
        "helen/testset/30844800_1.jpg",
        "px off the points of its .pts file",
    ),
    "a twin's box elsewhere": (
        lambda wild: damage_list(wild, "left='57'", "left='50'", PARSED_LIST),
        "helen/testset/30844800_1_mirror.jpg",
        "the box at (50, 40) of 80 × 70 does not mirror the box of 30844800_1.jpg",
    ),
}


@pytest.mark.parametrize(("damage", "file", "what"), DAMAGES.values(), ids=DAMAGES.keys())
def test_errors_in_300w_are_reported_by_file(wild, damage, file, what):
    damage(wild)
    found = wrongs(verified("ibug300w", wild))
    assert any(file == other and what in text for other, text in found), found
    assert not any("has no annotation" in text for other, text in found if "has no annotation" not in what)


def test_duplicates_and_lone_copies_are_remarks(wild):
    for suffix in (".png", ".pts"):
        shutil.copy(
            wild / "lfpw" / "trainset" / f"image_0001{suffix}",
            wild / "lfpw" / "trainset" / f"image_0002{suffix}",
        )
    damage_list(wild, "helen/testset/30844800_1.jpg", "afw/134212_2.jpg", PARSED_LIST)
    found = verified("ibug300w", wild)
    remarks = {finding.file: finding.what for finding in found.findings if not finding.wrong}
    assert remarks["lfpw/trainset/image_0001.png"].startswith(
        "is the same picture as lfpw/trainset/image_0002.png"
    )
    assert remarks["helen/testset/30844800_1_mirror.jpg"].endswith("not in its list")
    assert found.wrong == 0 or all("134212_2" in finding.file for finding in found.findings if finding.wrong)


def test_the_findings_are_written_as_a_table(own_imm, tmp_path, capsys):
    (own_imm / "01-1m.jpg").unlink()
    output = tmp_path / "new" / "found, [1].csv"
    with pytest.raises(SystemExit, match="1"):
        main(["data", "verify", "imm", f"root={own_imm}", f"output={output}"])
    rows = list(csv.reader(output.open()))
    assert rows[0] == ["file", "kind", "what"]
    assert rows[1][:2] == ["01-1m.asf", "wrong"]
    assert [row[1] for row in rows[2:]] == ["remark"] * 2
    captured = capsys.readouterr()
    assert "01-1m.asf" in captured.out
    assert captured.err == f"error: {own_imm}: wrong entries: 1, see above\n"


def test_a_correct_folder_exits_without_error(made_up_imm):
    main(["data", "verify", "imm", f"root={made_up_imm}"])


def test_a_missing_or_empty_data_set_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="dataset is imm or ibug300w, not None"):
        verify(compose("verify"))
    for dataset, says in (("imm", r"holds no \.asf file"), ("ibug300w", "holds neither a list")):
        with pytest.raises(DataError, match=says):
            verified(dataset, tmp_path)


def test_the_real_data_sets_have_no_errors(real_imm, real_ibug):
    assert not verified("imm", real_imm).findings
    found = verified("ibug300w", real_ibug)
    assert not found.wrong, found.findings[:5]
    assert np.all([count.found <= count.published for count in found.counts])


def test_a_list_is_checked_row_by_row(tmp_path, capsys):
    for name, shade in {"a": 1, "b": 1, "c": 2, "d": 3, "other": 4}.items():
        Image.new("L", (60, 40), shade).save(tmp_path / f"{name}.png")
    broken = tmp_path / "d.png"
    broken.write_bytes(broken.read_bytes()[:60])
    rows = [
        "a.png,5,5,30,30,10,10,30,30",
        "b.png,5,5,30,30,10,10,30,30",
        "c.png,5,5,30,30,10,10,30,60",
        "c.png,5,5,5,5,30,20,50,39",
        "c.png,90,5,30,30,10,10,30,30",
        "d.png,5,5,30,30,10,10,30,30",
        "none.png,5,5,30,30,10,10,30,30",
    ]
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(["image,left,top,width,height,x0,y0,x1,y1", *rows, ""]))
    found = verify(compose("verify", [f"list={listed}", f"output={tmp_path}/found.csv"]))
    assert {(count.what, count.found) for count in found.counts} == {
        ("faces", 5),
        ("photos", 4),
        ("points a face", 2),
    }
    wrong = dict(wrongs(found))
    assert "line 8: its picture none.png is missing" in str(wrongs(found))
    assert "line 6: the box at (90, 5) of 30 × 30 misses the picture" in str(wrongs(found))
    assert "does not surround the points" in wrong["c.png"]
    assert "truncated" in wrong["d.png"] or "no picture" in wrong["d.png"]
    remarks = {finding.what for finding in found.findings if not finding.wrong}
    assert remarks == {
        "point 1 lies 21 px outside the picture of 60 × 40",
        "is the same picture as b.png: keep them in one group",
        "1 picture in it is not in the list",
    }
    with pytest.raises(SystemExit, match="1"):
        main(["data", "verify", f"list={listed}"])
    assert f"{tmp_path}: wrong entries: {found.wrong}, see above" in capsys.readouterr().err


def test_unpacked_pictures_of_another_list_are_no_finding(tmp_path):
    Image.new("L", (60, 40)).save(tmp_path / "a.png")
    other = tmp_path / "test_pictures"
    other.mkdir()
    Image.new("L", (60, 40)).save(other / "00001.png")
    (other / "unpacked.json").write_text("{}")
    listed = tmp_path / "list.csv"
    listed.write_text("image,x0,y0\na.png,1,2\n")
    assert not verify(compose("verify", [f"list={listed}"])).findings


def test_a_list_may_be_checked_against_a_scheme(tmp_path, capsys):
    Image.new("L", (60, 40)).save(tmp_path / "a.png")
    listed = tmp_path / "list.csv"
    listed.write_text("image,x0,y0\na.png,1,2\n")
    main(["data", "verify", f"list={listed}"])
    assert "nothing is wrong" in capsys.readouterr().out
    with pytest.raises(DataError, match="has 1 point, not the 68 of ibug68"):
        verify(compose("verify", [f"list={listed}", "scheme=ibug68"]))
    with pytest.raises(ConfigError, match="give only one of both: the data set imm, or list="):
        verify(compose("verify", [f"list={listed}", "dataset=imm"]))


def test_a_data_set_of_lists_is_checked_by_its_option(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYPOINTS_DATA", str(tmp_path))
    folder = tmp_path / "udacity_faces"
    (folder / "training").mkdir(parents=True)
    listed = folder / "training_frames_keypoints.csv"
    rows = [["", *range(136)], *([f"A_{place}.jpg", *[20] * 136] for place in range(3))]
    listed.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    for place in range(2):
        Image.new("RGBA", (60, 40), (place, 0, 0, 255)).save(folder / "training" / f"A_{place}.jpg", "PNG")
    found = verify(compose("verify", ["dataset=udacity"]))
    assert [tuple(count) for count in found.counts] == [("train faces", 2, 3462)]
    assert "line 4: its picture A_2.jpg is missing" in str(wrongs(found))
    with pytest.raises(DataError, match=r"list_98pt_rect_attr_train\.txt: .*"):
        verify(compose("verify", ["dataset=wflw"]))


def test_groups_in_both_lists_of_a_data_set_are_a_remark(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYPOINTS_DATA", str(tmp_path))
    lists = tmp_path / "wflw" / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    photos = tmp_path / "wflw" / "WFLW_images"
    lists.mkdir(parents=True)
    photos.mkdir()
    Image.new("L", (60, 40)).save(photos / "a.jpg")
    row = " ".join(map(str, [*(12, 12, 38, 37) * 49, 10, 10, 40, 39, *[0] * 6, "a.jpg"])) + "\n"
    for split in ("train", "test"):
        (lists / f"list_98pt_rect_attr_{split}.txt").write_text(row)
    found = verify(compose("verify", ["dataset=wflw"]))
    assert not wrongs(found)
    assert "1 group has other faces in train" in {finding.what for finding in found.findings}
