import re
import subprocess
import sys
import time

import pytest

from keypoints import __version__
from keypoints.cli import main
from keypoints.runs import RunFolder

SMALL = ["train", "experiment=nose_tip", "trainer=cpu", "trainer.max_epochs=1", "~callbacks.progress"]


def call(*arguments, **how):
    """The command in a process of its own: its result, and how long it took."""
    began = time.perf_counter()
    command = [sys.executable, "-X", "importtime", "-m", "keypoints", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **how)
    imports = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    done.imported = {line.rpartition("|")[2].strip().split(".")[0] for line in imports}
    done.stderr = "\n".join(line for line in done.stderr.splitlines() if line not in imports)
    return done, time.perf_counter() - began


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--help"], 0, "train "),
        ([], 0, "train "),
        (["trian"], 2, "invalid choice: 'trian'"),
        (["train", "--help"], 0, "optimizer: adam, adamw, sgd"),
        (["train", "--cfg", "job"], 0, "max_epochs: 25"),
        (["train", "experiment=nose"], 1, "error: .*'experiment/nose' .*nose_tip"),
        (["train", "optimizer.speed=1"], 1, "error: .*'optimizer.speed'"),
        (["train", "model.net.kernel_sizes=[7"], 1, "error: "),
        (["train", "optimizer=adamant"], 1, "error: .*optimizer/adamant.*adam, adamw, sgd|adamw"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_mistakes_answer_at_once_without_torch(tmp_path, arguments, status, says):
    done, seconds = call(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert not {"torch", "pytorch_lightning", "albumentations"} & done.imported
    assert "Traceback" not in done.stderr
    if status == 1:
        assert done.stderr.count("\n") == 0, done.stderr
        assert done.stderr.startswith("error: ")
    assert re.search(says, done.stdout + done.stderr), done.stdout + done.stderr
    assert seconds < 3  # 0.5 on an idle machine; torch alone would take longer than the difference
    assert not list(tmp_path.iterdir())


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"keypoints {__version__}\n"


def test_a_run_is_where_output_says(made_up_imm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([*SMALL, f"data.root={made_up_imm}", "output=a run, [1]~ø"])
    run = RunFolder(tmp_path / "a run, [1]~ø")
    assert run.status()["status"] == "finished"
    assert "validation MSE" in (run.path / "train.log").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [run.path.name]


def test_the_data_root_may_be_any_folder_name(made_up_imm, tmp_path):
    odd = tmp_path / "my data, (1) = [x]"
    odd.mkdir()
    (odd / "imm_face_db").symlink_to(made_up_imm)
    main([*SMALL, f"paths.data={odd}", f"output={tmp_path / 'run'}"])
    assert RunFolder(tmp_path / "run").status()["status"] == "finished"


def test_a_failed_run_is_one_line_a_status_and_an_exit_code(own_imm, tmp_path, capsys):
    jpg = own_imm / "02-3m.jpg"
    jpg.write_bytes(jpg.read_bytes()[:-300])
    with pytest.raises(SystemExit, match="1"):
        main([*SMALL, f"data.root={own_imm}", f"output={tmp_path / 'run'}"])
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert "02-3m.jpg: truncated or damaged" in errors
    assert errors.count("\n") == 1
    assert RunFolder(tmp_path / "run").status()["status"] == "failed"


def test_the_whole_traceback_is_there_for_who_asks(own_imm, tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    from keypoints.errors import DataError

    with pytest.raises(DataError):
        main([*SMALL, "data.root=nowhere", f"output={tmp_path / 'run'}"])


def test_one_failed_job_of_a_multirun_stops_no_other(made_up_imm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="1"):
        main([SMALL[0], "-m", *SMALL[1:], f"data.root={made_up_imm}", "model.net.hidden=0,8"])
    runs = sorted((tmp_path / "outputs" / "sweeps" / "nose_tip").glob("*/*/status.json"))
    assert [RunFolder(path.parent).status()["status"] for path in runs] == ["failed", "finished"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("keypoints tr", "train"),
        ("keypoints ", "train"),
        ("keypoints train experiment=", "experiment=nose_tip"),
        ("keypoints train optimizer.", "optimizer.lr="),
    ],
)
def test_tab_completes_verbs_groups_and_values(monkeypatch, capsys, typed, offered):
    monkeypatch.setenv("COMP_LINE", typed)
    main(["-sc", "query=bash"])
    assert offered in capsys.readouterr().out.split()


def test_completion_can_be_installed(monkeypatch, capsys):
    main(["-sc", "install=bash"])
    assert capsys.readouterr().out.rstrip().endswith("-F hydra_bash_completion keypoints")
