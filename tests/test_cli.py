import errno
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from keypoints import __version__
from keypoints.cli import _WITH_VALUE, NO_READER, _is_of_output, main, split_flags
from keypoints.errors import DataError
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from tests.command_lines import in_forks
from tests.conftest import SMALL

LARGE = {
    *("albumentations", "cv2", "matplotlib", "onnx", "onnxruntime", "pandas", "pytorch_lightning", "scipy"),
    *("tensorboard", "torch", "torchmetrics", "torchvision"),
}
"""Packages that take long to import."""


ENDING = """
import atexit, sys, threading, time
from keypoints import __main__ as command

def late():
    time.sleep(0.3)
    print("a thread ended")

def main():
    threading.Thread(target=late).start()
    sys.exit({status!r})

atexit.register(print, "exit handlers ran")
command.main = main
command.run()
print("not at once")
"""


@pytest.mark.parametrize(
    ("status", "code", "says"), [(None, 0, ""), (0, 0, ""), (3, 3, ""), ("no faces", 1, "no faces\n")]
)
def test_a_command_ends_after_threads_and_exit_handlers(status, code, says):
    done = subprocess.run(
        [sys.executable, "-c", ENDING.format(status=status)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, says)
    assert done.stdout == "a thread ended\nexit handlers ran\n"


ANSWERED = [
    (["--help"], 0, "train "),
    ([], 0, "train "),
    (["trian"], 2, "invalid choice: 'trian'"),
    (["train", "--help"], 0, r"  optimizer\n  \* adam "),
    (["train", "--cfg", "job"], 0, "max_epochs: 25"),
    (["train", "experiment=nose"], 1, "error: .*'experiment/nose' .*nose_tip"),
    (["train", "optimizer.speed=1"], 1, "error: .*'optimizer.speed'"),
    (["train", "model.net.kernel_sizes=[7"], 1, "error: "),
    (["report", "nowhere"], 1, "error: nowhere: no such folder"),
    (["data", "verify", "imm", "root=a, [b]"], 1, r"error: a, \[b\]: no such folder; get it .http"),
    (
        ["data", "shrink", "ibug300w"],
        1,
        "error: output has no value .* give output=<path>, folder of the copy",
    ),
    (["data", "convert", "source=no.csv", "format=coco", "output=x"], 1, "error: no.csv: cannot be read"),
    (
        ["predict", "model.onnx", "input=photos"],
        1,
        "error: output has no value .* give output=<path>, folder for the results",
    ),
    (
        ["predict", "a.onnx", "input=no, [1]", "output=out"],
        1,
        r"error: no, \[1\]: no such file or folder",
    ),
    (["data", "download", "wflw"], 1, "error: dataset is one of imm, ibug300w, not 'wflw'"),
    (["train", "optimizer=adamant"], 1, "error: .*optimizer/adamant.*adam, adamw, sgd|adamw"),
    (["train", "-m", "seed=3,4", "--cfg", "job", "--package=data"], 0, "seed: .*\\{?seed"),
    (["train", "experiment=ibug300w_fine"], 1, "error: start_from has no value .* a run's folder"),
]
"""Command lines that ask for help or have a mistake, with their exit statuses and what they say."""


WARM = "from keypoints.commands import compose; compose('train')"
"""Code that imports Hydra and its plugins, and none of the large libraries."""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Results of the command lines in ``ANSWERED``."""
    commands = {" ".join(words): words for words, _, _ in ANSWERED}
    return in_forks(commands, tmp_path_factory.mktemp("answered"), WARM)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    ANSWERED,
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_mistakes_load_no_large_library(answered, arguments, status, says):
    done = answered[" ".join(arguments)]
    assert done.returncode == status
    assert not LARGE & done.imported
    assert "Traceback" not in done.stderr
    if status == 1:
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: ")
    assert re.search(says, done.stdout + done.stderr), done.stdout + done.stderr
    assert not list(done.cwd.iterdir())


@pytest.fixture
def own(tmp_path):
    """Folder for ``--config-dir`` with a user's own data option, which lacks a value."""
    folder = tmp_path / "my conf"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "mine.yaml").write_text("_target_: mine.Faces\ntrain: ??? # a list\n")
    return folder


ANYWHERE = [
    ["{}", "--config-dir", "{own}", "--cfg", "job"],
    ["--config-dir={own}", "{}", "--cfg=job"],
    ["-m", "-c", "job", "-cd", "{own}", "{}"],
    ["{}", "-cjob", "--config-dir", "{own}", "--multirun", "-p", "_global_"],
]
"""Flags of Hydra with and around an override."""


@pytest.mark.parametrize(
    ("verb", "flags"),
    [
        *(("train", flags) for flags in ANYWHERE),
        *zip(("bench", "evaluate", "data preview", "evaluate"), ANYWHERE, strict=True),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_flags_of_hydra_may_be_anywhere(verb, flags, own, capsys):
    main([*verb.split(), *(flag.format("data=mine", own=own) for flag in flags)])
    shown = capsys.readouterr()
    assert "_target_: mine.Faces" in shown.out
    assert shown.err == "missing: data.train has no value (???): give data.train=<path>, a list\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cfg", "job", "-m", "seed=5,6"], "^seed: 5$"),
        (["-m", "--cfg", "job", "optimizer=sgd,adam"], "torch.optim.SGD"),
        (["--cfg", "hydra", "--package", "hydra.sweep"], "subdir: "),
        (["--cfg", "job", "--resolve", "name=my: é"], "dirpath: .?outputs/my: é/"),
        (["--hydra-help", "-m"], "--config-dir"),
        (["-m", "--help"], r"^  \* adam "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_configuration_of_a_multirun_can_be_shown(arguments, says, capsys):
    with suppress(SystemExit):
        main(["train", *arguments])
    shown = capsys.readouterr()
    assert re.search(says, shown.out, re.MULTILINE)
    assert shown.err == ""


def test_flags_with_values_are_those_of_hydra():
    from hydra._internal.utils import get_args_parser  # private: only this test sees a change of its flags

    actions = get_args_parser()._actions
    follows = {name for each in actions if each.nargs != 0 for name in each.option_strings}
    assert follows == _WITH_VALUE
    assert split_flags(["a=1", "-c", "job", "--info=all", "b=2"]) == (
        ["-c", "job", "--info=all"],
        ["a=1", "b=2"],
    )


@pytest.mark.parametrize(
    "arguments", [["train", "--help"], ["train", "--cfg", "job"], ["--help"], ["train", "-i"]]
)
def test_a_closed_output_pipe_is_no_error(arguments):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "keypoints", *arguments]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, NO_READER)


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"keypoints {__version__}\n"


def test_the_folders_of_data_and_output_may_have_any_name(made_up_imm, tmp_path, monkeypatch):
    odd, place = tmp_path / "my data, (1) = [x]", tmp_path / "place"
    odd.mkdir()
    place.mkdir()
    (odd / "imm_face_db").symlink_to(made_up_imm)
    monkeypatch.chdir(place)
    main(["train", *SMALL, "trainer.max_epochs=1", f"paths.data={odd}", "output=a run, [1]~ø"])
    run = RunFolder(place / "a run, [1]~ø")
    assert read_status(run).state == "finished"
    assert "validation MSE" in (run.path / "train.log").read_text()
    assert [path.name for path in place.iterdir()] == [run.path.name]


def test_a_failed_run_has_a_message_status_and_exit_code(own_imm, tmp_path, capsys):
    jpg = own_imm / "02-3m.jpg"
    jpg.write_bytes(jpg.read_bytes()[:-300])
    with pytest.raises(SystemExit, match="1"):
        main(["train", *SMALL, f"data.root={own_imm}", f"output={tmp_path / 'run'}"])
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert "02-3m.jpg: truncated or damaged" in errors
    assert errors.count("\n") == 1
    assert read_status(RunFolder(tmp_path / "run")).state == "failed"


def test_a_full_disk_is_reported_in_one_line(tmp_path, monkeypatch, capsys):
    def full(text, *how):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keypoints.synthetic.synthesize.write_imm", full)
    with pytest.raises(SystemExit, match="1"):
        main(["data", "synthesize", "persons=1", "faces=6"])
    assert capsys.readouterr().err == "error: No space left on device; free disk space\n"


def test_an_environment_variable_shows_the_full_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    from keypoints.errors import DataError

    with pytest.raises(DataError):
        main(["train", *SMALL, "data.root=nowhere", f"output={tmp_path / 'run'}"])
    last = (tmp_path / "run" / "train.log").read_text().splitlines()[-1]
    assert "[ERROR] - failed: nowhere: " in last


def test_a_sweep_continues_after_failures_and_lists_them(finished_sweep):
    summary = pd.read_csv(finished_sweep / "summary.csv")
    assert list(summary["status"]) == ["finished", "finished", "failed", "failed", "finished", "finished"]
    assert list(summary["run"])[:3] == [
        "kernel-sizes-7-5-3--seed-0",
        "kernel-sizes-7-5-3--seed-1",
        "kernel-sizes-90-5-3--seed-0",
    ]
    assert list(summary["seed"]) == [0, 1] * 3
    assert "larger than the 80 × 60" in summary["error"][2]
    assert {path.name for path in finished_sweep.iterdir()} >= {
        "comparison.png",
        "report.html",
        "summary.csv",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "resume=nowhere"], "nowhere: is neither a run's folder nor a sweep's"),
        (["train", "resume=nowhere", "seed=1"], "takes no other setting"),
        (["report"], "folder has no value .* give folder=<path>, folder of a run or of a sweep"),
        (["predict"], "give checkpoint=<path> input=<path> output=<path>; --help describes them$"),
        (["report", "nowhere"], "nowhere: no such folder"),
        (["report", "."], "is neither a run nor a sweep"),
        (["data", "synthesize", "persons=0"], "persons is a whole number from 1 up, not 0"),
        (["train", "output=/proc/nothing/x"], "/proc/nothing/x: cannot be made .*output=<folder>"),
        (["train", "-m", "seed=0,1", "output=/proc/nothing/x"], "/proc/nothing/x: cannot be made "),
        (["train", "sweep=learning_rate", "hydra.sweep.dir=/proc/x"], "/proc/x: cannot be made "),
        (["train", "hydra.run.dir=/proc/x"], "/proc/x: cannot be made "),
        (["train", "paths.outputs=/proc/x"], "/proc/x/imm/.*: cannot be made "),
        (["train", f"output={'x' * 300}"], "x: cannot be made or written to .File name too long"),
        (["train", "name=a/b"], "name='a/b': the name is also a folder's name: no / "),
        (["train", "-m", "name=a/b,c"], "name='a/b': the name is also a folder's name: no / "),
        (["train", "-m", "experiment=ibug300w_fine", "seed=0,1"], "start_from has no value"),
        (["train", "experiment=ibug300w_fine", "--cfg", "job", "--resolve"], "start_from has no value"),
        (["train", "--resolve"], "--resolve goes with --cfg or --help"),
        (["train", "--cfg", "job", "--info"], "--cfg --info: only one of them at a time"),
        (["train", "--config-dir", "nowhere", "data=mine"], "--config-dir nowhere: no such folder"),
        (["-sc"], "-sc install=<shell>"),
        (["train", "--experimental-rerun", "x"], "--experimental-rerun: is not supported; .*resume=<folder>"),
        (["train", "--experimental=x"], "--experimental-rerun: is not supported"),
        (["evaluate", "run0", "data=3"], "data=3: there is no such option; choose data=… of cofw"),
        (["train", "-m", "data=labelled", "data.train=no.csv,x.csv"], "data.train=no.csv: no such file or"),
        (["train", "sweep=learning_rate", "data.root=nowhere"], "data.root=nowhere: no such file or folder"),
        (["train", "output="], "output= is empty: name a folder"),
        (["evaluate", "run0", "output="], "output= is empty: name a folder"),
        (["export", "run0", "output="], "output= is empty: name a file"),
        (["train", "sweep=learning_rates"], "'sweep/learning_rates' .*kernel_size learning_rate"),
    ],
    ids=" ".join,
)
def test_an_invalid_command_is_reported_in_one_line(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="1"):
        main(arguments)
    errors = capsys.readouterr().err
    assert re.search(f"error: .*{says}", errors.splitlines()[-1])
    assert "Traceback" not in errors
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("given", ["output={}", "output={}/x", "hydra.run.dir={}", "paths.outputs={}"])
@pytest.mark.parametrize("several", [[], ["-m", "seed=0,1"]], ids=["run", "sweep"])
def test_a_file_in_place_of_the_output_folder_is_named(given, several, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    given = given.replace("run", "sweep") if several else given
    with pytest.raises(SystemExit, match="1"):
        main(["train", *several, given.format("taken")])
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"error: taken\S*: cannot be made or written to .*; name another folder", line)
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["predict", "{untrained}", "input={photos}", "output=/proc/q"], "folder"),
        (["data", "preview", "data.root={photos}", "output=/proc/q"], "folder"),
        (["data", "shrink", "imm", "root={photos}", "side=60", "output=/proc/q"], "folder"),
        (["submit", "{untrained}", "root={wild}", "output=/proc/q/x.csv"], "file"),
        (["data", "verify", "imm", "root={photos}", "output=/proc/q/x.csv"], "file"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_error_of_an_unwritable_output_says_how_to_change_it(
    arguments, kind, untrained, made_up_imm, wild, capsys
):
    known = {"untrained": untrained, "photos": made_up_imm, "wild": wild}
    with pytest.raises(SystemExit, match="1"):
        main([argument.format(**known) for argument in arguments])
    (*_, line) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        rf"error: /proc/q.*No such file or directory.*; name another {kind}: output=<{kind}>", line
    )


def caused_by(error, cause):
    """Return an error that was raised from another one."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "output", "its_own"),
    [
        (OSError(errno.EACCES, "no", "/there/out"), "/there/out", True),
        (OSError(errno.ENOENT, "no", "/there"), "/there/x/out", True),
        (OSError(errno.ENOSPC, "no", "/there/out/a.png"), "/there/out", True),
        (OSError(errno.EACCES, "no", "/photos/a.png"), "/there/out", False),
        (OSError(errno.EROFS, "no", "/run/evaluations"), None, True),
        (OSError(errno.EACCES, "no", "/dev/null"), None, False),
        (OSError(errno.ENOSPC, "no"), "/there/out", False),
        (ValueError("no"), "/there/out", False),
        (caused_by(DataError("name root=<folder>"), OSError(errno.EACCES, "no", "/data/new")), None, False),
        (caused_by(DataError("no"), OSError(errno.EACCES, "no", "/data/new")), None, True),
    ],
    ids=str,
)
def test_errors_of_the_output_are_recognised(error, output, its_own):
    assert _is_of_output(error, output) == its_own


def test_a_run_uses_the_prepared_folder(tmp_path, monkeypatch):
    """Check that the time in the folder's name is read once, however long Hydra takes."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="1"):  # the run begins, and then misses its data
        main(["train", *SMALL, "data.root=nowhere", "output='runs, 1/${now:%f}'"])  # microseconds
    (folder,) = (tmp_path / "runs, 1").iterdir()
    run = RunFolder(folder)
    assert read_status(run).state == "failed"
    assert run.setting("output") == str(folder)
    assert not [each for each in read_status(run).overrides if each.startswith("hydra")]


def test_a_refused_run_does_not_block_its_folder(made_up_imm, tmp_path, capsys):
    given = ["train", *SMALL, "trainer.max_epochs=1", f"output={tmp_path / 'run'}"]
    with pytest.raises(SystemExit, match="1"):
        main([*given, f"data.root={tmp_path / 'nowhere'}"])
    run = RunFolder(tmp_path / "run")
    assert read_status(run).state == "failed"
    (run.path / "mine.txt").touch()
    main([*given, f"data.root={made_up_imm}"])
    assert read_status(run).state == "finished"
    assert (run.path / "mine.txt").exists()
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        main([*given, f"data.root={made_up_imm}"])
    assert "holds a run already" in capsys.readouterr().err


def test_a_folder_that_holds_a_sweep_takes_no_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old" / "seed-0").mkdir(parents=True)
    (tmp_path / "old" / "seed-0" / "status.json").write_text("{}")
    with pytest.raises(SystemExit, match="1"):
        main(["train", "-m", "seed=0,1", "output=old"])
    says = "old: holds a sweep already; resume it with: keypoints train resume=old"
    assert says in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["seed-0"]


@pytest.mark.parametrize(
    "name", ["a\x1b[31m\u202e.png", "[red]", "b" * 200 + "/" + "c" * 200, "$x$"], ids=ascii
)
def test_names_in_a_list_cannot_control_the_terminal(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Path("list.csv").write_text(f"image,x0,y0\n{name},1,2\n")
    with pytest.raises(SystemExit, match="1"):
        main(["data", "convert", "source=list.csv", "format=coco", "output=new.json"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: list.csv: line 2: its picture ")
    assert line.isprintable()
    assert len(line) <= len("error: ") + 300


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("keypoints tr", "train"),
        ("keypoints da", "data"),
        ("keypoints data ", "synthesize"),
        ("keypoints data sh", "shrink"),
        ("keypoints data verify ro", "root="),
        ("keypoints data synthesize pers", "persons="),
        ("keypoints ", "train"),
        ("keypoints train experiment=", "experiment=nose_tip"),
        ("keypoints train optimizer.", "optimizer.lr="),
        ("keypoints train model", "model="),
    ],
)
def test_tab_completes_verbs_groups_and_values(monkeypatch, capsys, typed, offered):
    monkeypatch.setenv("COMP_LINE", typed)
    main(["-sc", "query=bash"])
    assert offered in capsys.readouterr().out.split()


def test_tab_completes_a_users_own_options(own, monkeypatch, capsys):
    monkeypatch.chdir(own.parent)
    own.rename(own.with_name("conf"))
    monkeypatch.setenv("COMP_LINE", "keypoints evaluate --config-dir conf data=m")
    main(["-sc", "query=bash"])
    assert capsys.readouterr().out.split() == ["data=mine"]


def test_completion_can_be_installed(monkeypatch, capsys):
    main(["train", "-sc", "install=bash"])
    assert capsys.readouterr().out.rstrip().endswith("-F hydra_bash_completion keypoints")
    main(["-sc", "install=bash"])
    assert capsys.readouterr().out.rstrip().endswith("-F hydra_bash_completion keypoints")


def test_a_value_that_refers_to_a_missing_one_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", *SMALL, "optimizer=none", "scheduler=one_cycle", f"output={tmp_path}/run"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "error: scheduler.max_lr refers to optimizer.lr, which is not set here; give sched"
    )
