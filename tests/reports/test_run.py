import json
import os
import re
import shlex
import shutil
import socket
from html import unescape

import pytest

from keypoints.errors import CheckpointError, DataError
from keypoints.mean_face import collapse
from keypoints.reports.run import report_run
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status, record

pytestmark = pytest.mark.draws


@pytest.fixture
def run(finished_run, tmp_path):
    """Return a copy of a finished run that tests may change."""
    return RunFolder(shutil.copytree(finished_run, tmp_path / "run"))


def page(run):
    return report_run(run).read_text()


def change(run, **status):
    run.status_file.write_text(json.dumps({**json.loads(run.status_file.read_text()), **status}))


def test_the_page_is_complete_and_self_contained(run):
    html = page(run)
    for title in (
        "Validation",
        "Loss curves",
        "Good and bad faces",
        "First-layer filters",
        "Sample batch",
        "Architecture",
    ):
        assert f"<h2>{title}</h2>" in html
    assert html.count("data:image/png;base64,") == 4
    assert "<h3>The worst faces</h3>" in html
    assert html.count("data:image/jpeg;base64,") == html.count(" px</figcaption>") >= 2
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "mean-shape baseline" in html
    assert "<td>–</td>" in html
    assert "–: not measured in a training; <code>keypoints evaluate</code> measures" in html
    assert "4 × 54 × 74" in html
    assert 'name="viewport"' in html
    assert "@media print" in html


def test_the_report_can_be_made_again_from_the_folder(run, made_up_imm):
    before = {path.name for path in (run.path / "figures").iterdir()}
    shutil.copy(run.figure("batch"), run.path / "kept.png")
    for name in ("curves", "faces", "filters"):
        run.figure(name).unlink()
    page(run)
    assert {path.name for path in (run.path / "figures").iterdir()} == before


def test_the_page_has_the_command_that_trains_the_run_again(run):
    given = ["experiment=nose_tip", "data.root='/my data'", "~scheduler=null", "output='there'"]
    change(run, overrides=given, command=["keypoints", "train", "-m", "seed=0,1"])
    (command,) = re.findall('<pre class="command">(.*?)</pre>', page(run))
    words = shlex.split(unescape(command))
    assert words == ["keypoints", "train", "experiment=nose_tip", "data.root='/my data'", "~scheduler"]


def test_layers_are_those_of_the_network_only(run):
    assert set(re.findall(r"<tr><td>(\w+)\.", page(run))) == {"net"}
    assert "ConfidenceErrors" not in page(run).partition("module tree")[0]


def test_without_the_photos_the_figure_of_faces_is_kept(run, caplog):
    before = run.figure("faces").read_bytes()
    table = run.faces.read_text()
    run.faces.write_text(re.sub(r"^[^,\n]*?/([^/,]+\.jpg),", r"/gone/\1,", table, flags=re.MULTILINE))
    assert "Good and bad faces" in page(run)
    assert run.figure("faces").read_bytes() == before
    assert "is kept" in caplog.text
    assert page(run).count("data:image/png;base64,") == 5


def test_the_page_warns_of_collapse_to_the_mean_face(run):
    assert "same face for everyone" not in page(run) or read_status(run).metrics["best/variance_ratio"] < 0.1
    change(run, metrics={**read_status(run).metrics, "best/variance_ratio": 0.02})
    assert "same face for everyone: its predictions vary 2.0 %" in page(run)
    assert collapse(0.5) is None


def test_the_page_of_a_failed_run_shows_the_error(tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ValueError, match="<b>"), record(run):
        raise ValueError("kernel <b>too large</b>")
    html = page(run)
    assert "This run failed: ValueError: kernel &lt;b&gt;too large&lt;/b&gt;" in html
    assert "data:image" not in html


def test_the_page_says_that_a_run_is_running_or_was_killed(run):
    change(run, status="running", host=socket.gethostname(), process=os.getpid())
    assert "still running" in page(run)
    change(run, process=0x3FFFFFF0)
    assert "its process is gone" in page(run)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no run"):
        report_run(RunFolder(tmp_path))


def test_a_damaged_checkpoint_does_not_change_the_old_page(run):
    page(run)
    before = run.report.read_bytes()
    (run.checkpoints / "best.ckpt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"best\.ckpt: truncated"):
        report_run(run)
    assert run.report.read_bytes() == before
