"""Commands that are killed at any file operation can be repeated; two at once do not interfere."""

import os
import re
import shutil
import sys
import traceback
import zipfile
from dataclasses import replace

import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.datatools import download as downloading
from keypoints.datatools.convert import convert
from keypoints.datatools.download import download
from keypoints.datatools.shrink import shrink
from keypoints.errors import DataError
from keypoints.files import locked
from keypoints.synthetic import synthesize as synthesizing
from keypoints.synthetic.synthesize import synthesize
from tests.conftest import SMALL
from tests.web import Answer, serve
from tests.working import predict

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")
DONE, REFUSED, KILLED, BROKEN = 0, 1, 9, 3


def in_fork(action, folder, kill_at=None, copies=None):
    """Run ``action`` in a fork, killed before its operation ``kill_at`` in ``folder``; return its status.

    With the folder ``copies``, ``folder`` is copied there before each operation, under its number.
    """
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = BROKEN
    try:
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)  # a fork does not have its parent's threads
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if kill_at is not None or copies is not None:
            watch(folder, kill_at, copies)
        action()
        status = DONE
    except DataError:
        status = REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def watch(folder, kill_at, copies):
    """Count this process's operations on files in ``folder``; see :func:`in_fork`."""
    done = 0

    def hook(event, arguments):
        nonlocal done
        if event not in OPERATIONS or not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        if done == kill_at:
            os._exit(KILLED)
        if copies is not None:
            shutil.copytree(folder, copies / str(done))
        done += 1

    sys.addaudithook(hook)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def kill_at_each_operation(action, prepare, folder, complete, step=1):
    """Repeat ``action`` after a kill at each file operation, and compare with an undisturbed one.

    It runs once, and ``folder`` is copied before each operation: what a kill would leave, as one kill shows.

    Args:
        action: the command.
        prepare: function that creates the contents of ``folder`` before the command.
        folder: folder that the command writes to.
        complete: function that returns whether the result exists; the command may then refuse to repeat it.
        step: distance of the operations at which the command is killed.
    """

    def empty():
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    copies = folder.with_name("copies")
    empty()
    prepare()
    assert in_fork(action, folder, copies=copies) == DONE
    wanted = contents(folder)
    numbers = range(0, len(list(copies.iterdir())), step)
    assert len(numbers) > 5
    empty()
    prepare()
    at = numbers[len(numbers) // 2]
    assert in_fork(action, folder, kill_at=at) == KILLED
    assert names(folder) == names(copies / str(at))
    before = None
    for at in numbers:
        empty()
        shutil.copytree(copies / str(at), folder, dirs_exist_ok=True)
        if contents(folder) == before:
            continue
        before = contents(folder)
        allowed = (DONE, REFUSED) if complete() else (DONE,)
        assert in_fork(action, folder) in allowed, at
        assert contents(folder) == wanted, at


def names(folder):
    """Return the names of all files and folders, without the random part of the names of temporary ones."""
    return {re.sub(r"\.\d+-[0-9a-f]+\.part", ".part", name) for name in contents(folder)}


@pytest.fixture
def photos(tmp_path):
    """List of two grey photos with one box each."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (64, 48), 90).save(folder / name)
    rows = ["image,left,top,width,height,x0,y0", "a.png,10,10,30,30,5,6", "b.png,12,10,30,30,7,8"]
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


def test_a_killed_predict_can_be_repeated(untrained, photos, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    photos.write_text("".join(photos.read_text().splitlines(keepends=True)[:2]))  # one photo
    given = [f"checkpoint={untrained}", f"input={photos}", f"output={place / 'out'}", "report=true"]
    cfg = compose("predict", given)
    (place / "mine.txt").write_text("mine")
    table = place / "out" / "predictions.csv"
    kill_at_each_operation(lambda: predict(cfg), lambda: None, place, table.is_file)


def test_a_killed_convert_can_be_repeated(photos, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    output = place / "list.json"
    cfg = compose("convert", [f"source={photos}", "format=coco", f"output={output}", f"root={photos.parent}"])
    kill_at_each_operation(lambda: convert(cfg), lambda: None, place, lambda: False)
    before = output.stat().st_mtime_ns
    convert(cfg)  # the same command again
    assert output.stat().st_mtime_ns == before
    output.write_text("mine")
    with pytest.raises(DataError, match="is there already; name another file"):
        convert(cfg)


@pytest.mark.parametrize("where", ["given", "fetched", "kept"])
def test_a_killed_download_can_be_repeated(tmp_path, monkeypatch, where):
    place, archive = tmp_path / "place", tmp_path / "imm.zip"
    place.mkdir()
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("01-1m.asf", "sub/readme"):
            packed.writestr(f"imm/{name}", "made up")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    known = downloading.SETS["imm"]
    cfg = compose("download", ["dataset=imm", f"output={place}", f"keep={where == 'kept'}"])

    def prepare():
        if where == "given":
            (place / known.archive).write_bytes(archive.read_bytes())

    with serve() as web:
        url = web.lay("imm", Answer(archive.read_bytes(), headers={"ETag": '"1"'}))
        monkeypatch.setattr(downloading, "SETS", {"imm": replace(known, urls=(url,))})
        kill_at_each_operation(lambda: download(cfg), prepare, place, (place / known.folder).is_dir)


def test_a_killed_shrink_can_be_repeated(wild, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    given = ["dataset=ibug300w", f"root={wild}", f"output={place / 'small'}", "side=20"]
    cfg = compose("shrink", given)
    kill_at_each_operation(lambda: shrink(cfg), lambda: None, place, lambda: False, step=5)


def test_a_killed_synthesize_can_be_repeated(tmp_path, monkeypatch):
    def write(root, number, seed):
        (root / "faces").mkdir(exist_ok=True)
        (root / "faces" / f"{number}.txt").write_text(f"{seed}")
        yield root

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(synthesizing, "write_imm", write)
    monkeypatch.setattr(synthesizing, "write_ibug", write)
    monkeypatch.setattr(synthesizing, "FOLDER", tmp_path / "data" / "synthetic")
    (tmp_path / "data").mkdir()
    old, new = (compose("synthesize", [f"seed={seed}"]) for seed in (1, 2))
    kill_at_each_operation(lambda: synthesize(new), lambda: synthesize(old), tmp_path / "data", lambda: False)


@pytest.mark.parametrize(
    ("arguments", "target", "beside"),
    [
        (["predict", "{checkpoint}", "input={photos}", "output={place}/out"], "out", False),
        (["data", "convert", "source={photos}", "format=coco", "output={place}/a.json"], "a.json", True),
        (["data", "download", "imm", "output={place}"], "imm_face_db", True),
        (["train", "-m", *SMALL, "seed=0,1", "output={place}/sweep"], "sweep", False),
        (["train", "resume={place}/old"], "old", False),
        (["data", "preview", "data.root={imm}", "output={place}/seen"], "seen", False),
        (["report", "{place}/old"], "old/report.html", True),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_second_of_two_commands_names_the_first_ones_process(
    arguments, target, beside, untrained, photos, made_up_imm, tmp_path, capsys
):
    place = tmp_path / "place"
    (place / "old" / "lr-0.1").mkdir(parents=True)
    (place / "old" / "multirun.yaml").write_text("hydra: {overrides: {task: [], hydra: []}}")
    (place / "old" / "lr-0.1" / "status.json").write_text('{"status": "finished"}')
    known = {"checkpoint": untrained, "photos": photos, "place": place, "imm": made_up_imm}
    with locked(place / target, beside=beside):
        before = contents(place)
        with pytest.raises(SystemExit, match="1"):
            main([argument.format(**known) if "{" in argument else argument for argument in arguments])
        assert contents(place) == before
    (*_, line) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {place / target}: process {os.getpid()} on ")
    assert "is writing it since" in line
