import json

import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.data.readers.labelled import read_labelled

LIST = "image,left,top,width,height,x0,y0,light\na.png,1,2,30,30,5,6,dim\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Write a list of one photo in a folder whose name Hydra's grammar refuses; work in its parent."""
    folder = tmp_path / "my photos, (1) = [x]"
    folder.mkdir()
    Image.new("L", (64, 48)).save(folder / "a.png")
    (folder / "list.csv").write_text(LIST)
    monkeypatch.chdir(tmp_path)
    return folder / "list.csv"


def convert(*arguments):
    main(["data", "convert", *map(str, arguments)])


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit, match="1"):
        convert(*arguments)
    *_, line = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("name", ["csv", "hrnet", "coco"])
def test_a_list_is_converted_to_each_format(source, capsys, name):
    output = source.with_name("new, [list]")
    convert(f"source={source}", f"format={name}", f"output={output}")
    said = capsys.readouterr().out
    assert f"1 face written to {output}" in said
    assert ("groups, tags and which points are hidden are left out" in said) == (name == "hrnet")
    (face,) = read_labelled(output).faces
    assert face.landmarks().tolist() == [[5, 6]]
    assert face.tags == ({} if name == "hrnet" else {"light": "dim"})


def test_file_names_are_relative_to_the_new_list(source, tmp_path):
    convert(f"source={source}", "format=coco", "output=list.json")
    assert read_labelled(tmp_path / "list.json").faces[0].photo.path == source.with_name("a.png")


def test_lists_and_photos_may_lie_in_different_folders(source, tmp_path):
    convert(f"source={source}", "format=coco", "output=list.json", f"root={source.parent}")
    assert json.loads((tmp_path / "list.json").read_text())["images"][0]["file_name"] == "a.png"
    convert("source=list.json", "format=csv", "output=list.csv", f"root={source.parent}")
    assert "a.png,1.0,2.0,30.0,30.0,5.0,6.0,,dim" in (tmp_path / "list.csv").read_text()


def test_names_and_skeleton_of_points_are_kept(source, tmp_path):
    category = {"id": 3, "name": "face", "keypoints": ["left_eye", "right_eye"], "skeleton": [[1, 2]]}
    face = {"id": 5, "image_id": 7, "category_id": 3, "keypoints": [15, 24, 2, 19, 24, 1]}
    whole = {"images": [{"id": 7, "file_name": "a.png"}], "annotations": [face], "categories": [category]}
    first = source.with_name("first.json")
    first.write_text(json.dumps(whole))
    convert(f"source={first}", "format=coco", "output=list.json")
    (written,) = json.loads((tmp_path / "list.json").read_text())["categories"]
    assert (written["keypoints"], written["skeleton"]) == (category["keypoints"], category["skeleton"])


def test_unusable_rows_are_errors_or_warnings(source, capsys):
    source.write_text(LIST + "none.png,,,,,1,2,\n" * 7)
    arguments = f"source={source}", "format=coco", f"output={source.with_name('list.json')}"
    assert "list.csv: line 3: its picture none.png is missing" in error_of(capsys, *arguments)
    assert not source.with_name("list.json").exists()
    convert(*arguments, "strict=false")
    said = capsys.readouterr().out
    assert "left out: " in said
    assert "line 3: its picture none.png is missing" in said
    assert "left out: 2 more" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "; format has no value (???): give format=<csv|hrnet|coco|dlib>, format to write; output has"),
        (["format=xml", "output={}/list.xml"], "error: format is one of csv, hrnet, coco, dlib, not 'xml'"),
        (["format=coco", "output={}/list.csv"], "list.csv: is there already; name another file"),
        (["format=coco", "output=none/list.json"], "error: none/list.json: its folder is missing"),
        (["format=coco", "output={}/new", "scheme=ibug68"], "has 1 point, not the 68 of ibug68"),
        (["format=coco", "output={}/new", "scheme=68"], "no landmark scheme '68'; there are cofw29, ibug68"),
        (["format=coco", "output={}/new", "strict=maybe"], "strict is true or false, not 'maybe'"),
    ],
    ids=" ".join,
)
def test_errors_are_one_line_and_leave_no_file(source, tmp_path, capsys, arguments, says):
    given = [argument.format(source.parent) for argument in arguments]
    line = error_of(capsys, *([f"source={source}"] if given else []), *given)
    assert line.startswith("error: ")
    assert says in line
    assert {path.name for path in tmp_path.rglob("*")} == {source.parent.name, "a.png", "list.csv"}
    assert source.read_text() == LIST
