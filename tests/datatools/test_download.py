import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest

from keypoints.cli import main
from keypoints.data.readers.imm import read_imm
from keypoints.datatools import download as module
from keypoints.datatools import fetch
from tests.web import Answer, serve


@pytest.fixture
def web(monkeypatch):
    """Serve both data sets' official addresses, without pauses."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetch.time, "sleep", lambda _: None)
    with serve() as web:
        places = {name: tuple(f"{web.address}/{name}{n}" for n in (1, 2)) for name in module.SETS}
        sets = {name: replace(known, urls=places[name]) for name, known in module.SETS.items()}
        monkeypatch.setattr(module, "SETS", sets)
        yield web


@pytest.fixture
def data(tmp_path):
    return tmp_path / "my data, [1] = x"


def zipped(folder, top):
    """Return the IMM archive, with or without a top folder."""
    contents = io.BytesIO()
    with zipfile.ZipFile(contents, "w") as archive:
        archive.writestr("__MACOSX/imm/._01-1m.txt", "")
        for path in folder.iterdir():
            archive.write(path, f"{top}{path.name}")
    return contents.getvalue()


def packed(*names):
    contents = io.BytesIO()
    with tarfile.open(fileobj=contents, mode="w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return contents.getvalue()


IBUG = packed("some_name/labels_ibug_300W_train.xml", "some_name/afw/1.jpg")


def download(*arguments):
    main(["data", "download", *arguments])


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit, match="1"):
        download(*arguments)
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def left(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("top", ["", "imm_face_db/", "IMM Face Database/"])
def test_imm_is_downloaded_to_the_folder_of_its_reader(web, data, made_up_imm, capsys, top):
    web.lay("imm1", Answer(zipped(made_up_imm, top)))
    download("imm", f"output={data}")
    assert len(read_imm(data / "imm_face_db")) == 30
    assert left(data) == ["imm_face_db"]
    said = capsys.readouterr().out
    assert "free for education and research" in said
    assert f"downloaded to {data / 'imm_face_db'}" in said
    assert "faces" in said  # it was verified: 30 instead of the 240 published
    assert "240" in said


def test_300w_is_downloaded_to_the_folder_of_its_reader(web, data):
    web.lay("ibug300w1", Answer(IBUG))
    download("ibug300w", f"output={data}")
    assert left(data) == ["ibug_300W_large_face_landmark_dataset"]
    assert left(data / "ibug_300W_large_face_landmark_dataset") == ["afw", "labels_ibug_300W_train.xml"]


def test_the_default_output_is_the_data_folder(web, data, monkeypatch):
    monkeypatch.setenv("KEYPOINTS_DATA", str(data))
    web.lay("ibug300w1", Answer(IBUG))
    download("ibug300w")
    assert left(data) == ["ibug_300W_large_face_landmark_dataset"]


def test_the_second_address_is_used_if_the_first_fails(web, data, made_up_imm):
    web.lay("imm2", Answer(zipped(made_up_imm, "")))
    download("imm", f"output={data}")
    assert [path for path, _ in web.asked] == ["imm1", "imm2"]


def test_another_address_and_its_checksum_may_be_given(web, data, capsys):
    url = web.lay("a,b/c?x=1&y=(2)", Answer(IBUG))
    wrong = error_of(capsys, "ibug300w", f"output={data}", f"url={url}", f"sha256={'f' * 64}")
    assert "has the sha256" in wrong
    assert left(data) == []
    right = hashlib.sha256(IBUG).hexdigest()
    download("ibug300w", f"output={data}", f"url={url}", f"sha256={right}")
    assert left(data) == ["ibug_300W_large_face_landmark_dataset"]


def test_an_archive_may_be_kept_and_used_again(web, data, capsys):
    web.lay("ibug300w1", Answer(IBUG))
    download("ibug300w", f"output={data}", "keep=true")
    folder, archive = data / "ibug_300W_large_face_landmark_dataset", f"{module.SETS['ibug300w'].archive}"
    assert left(data) == [folder.name, archive]
    folder.rename(data / "away")
    other = error_of(capsys, "ibug300w", f"output={data}", f"url={web.address}/ibug300w1")
    assert "is there already; leave url out to use it, or delete it to download" in other
    download("ibug300w", f"output={data}")
    assert len(web.asked) == 1
    assert left(data) == ["away", folder.name]


def test_an_existing_data_set_is_never_overwritten(web, data, capsys):
    (data / "imm_face_db").mkdir(parents=True)
    assert "imm_face_db: is there already, and is not overwritten; move" in error_of(
        capsys, "imm", f"output={data}"
    )
    (data / "ibug_300W_large_face_landmark_dataset").symlink_to("nowhere")
    assert "is there already" in error_of(capsys, "ibug300w", f"output={data}")
    assert not web.asked


def test_a_partial_download_is_kept_and_resumed(web, data, made_up_imm, capsys):
    archive = (
        zipped(made_up_imm, "") + b"\0" * 200_000
    )  # zip looks for its directory from the end, and finds it
    archive = zipped(made_up_imm, "")
    padded = io.BytesIO(archive)
    with zipfile.ZipFile(padded, "a") as more:
        more.writestr("readme", bytes(300_000))
    archive = padded.getvalue()
    tag = {"ETag": '"1"'}
    web.lay("imm1", Answer(archive, headers=tag, sends=200_000), Answer(status=404))
    assert "imm_face_db.zip.part: run the same command to resume" in error_of(capsys, "imm", f"output={data}")
    assert left(data) == ["imm_face_db.zip.part", "imm_face_db.zip.part.json"]
    web.lay("imm1", Answer(archive, headers=tag))
    download("imm", f"output={data}")
    assert web.ranges()[-1] is not None
    assert left(data) == ["imm_face_db"]


def test_a_web_page_instead_of_the_archive_is_refused(web, data, made_up_imm, capsys):
    page = Answer(b"<html>we have moved</html>")
    web.lay("imm1", page)
    web.lay("imm2", page)
    assert "/imm2: imm_face_db.zip.part: is neither zip nor tar.gz: it begins with b'<htm'" in error_of(
        capsys, "imm", f"output={data}"
    )
    assert left(data) == []
    web.lay("imm2", Answer(zipped(made_up_imm, "")))
    download("imm", f"output={data}")
    assert left(data) == ["imm_face_db"]


def hostile_zip():
    contents = io.BytesIO()
    with zipfile.ZipFile(contents, "w") as archive:
        archive.writestr("1.asf", "")
        archive.writestr("../../outside", "")
    return contents.getvalue()


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (hostile_zip(), "leads outside"),
        (packed("other/readme"), "is not this data set: 0 folders in it have *.asf"),
        (packed("a/1.asf", "b/1.asf"), "is not this data set: 2 folders in it have *.asf"),
        (packed("1.asf")[:-10], "cannot be unpacked"),
        (packed(), "cannot be unpacked|is not this data set"),
    ],
    ids=["hostile", "another set", "two sets", "cut off", "empty"],
)
def test_another_archive_is_refused_and_kept(web, data, capsys, contents, says):
    web.lay("imm1", Answer(contents))
    line = error_of(capsys, "imm", f"output={data}")
    assert any(part in line for part in says.split("|"))
    assert line.endswith("; the archive is kept: try again, or delete it to download it again")
    assert left(data) == ["imm_face_db.zip"]
    assert left(data.parent) == [data.name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "dataset has no value (???): give dataset=<imm|ibug300w>, data set"),
        (["wflw"], "dataset is one of imm, ibug300w, not 'wflw'"),
        (["imm", "keep=perhaps"], "keep is true or false, not 'perhaps'"),
        (
            ["imm", "url=file:///etc/passwd"],
            "url begins with http:// or https://, not as 'file:///etc/passwd'",
        ),
        (["imm", "sha256=12"], "sha256 is 64 hexadecimal digits, not '12'"),
    ],
    ids=" ".join,
)
def test_an_invalid_value_is_refused_in_one_line(web, data, capsys, arguments, says):
    web.lay("imm1", Answer(b"x"))
    assert says in error_of(capsys, *arguments, f"output={data}")
    assert not data.exists() or not left(data)


def test_a_full_disk_while_unpacking_leaves_only_the_archive(web, data, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    web.lay("ibug300w1", Answer(IBUG))
    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    assert "cannot be unpacked: No space left on device" in error_of(capsys, "ibug300w", f"output={data}")
    assert left(data) == [module.SETS["ibug300w"].archive]
