import html
import re
import shlex

import pytest

from keypoints.cli import main


def test_runs_are_words_after_the_verb(finished_sweep, tmp_path, capsys):
    runs = [str(finished_sweep / f"kernel-sizes-{name}--seed-0") for name in ("5-3-2", "7-5-3")]
    output = tmp_path / "a, b"
    main(["compare", *runs, f"output={output}", "measure=distance_px"])
    shown = capsys.readouterr().out
    assert re.search(r"best\s*$", shown, re.MULTILINE)
    assert {path.name for path in output.iterdir()} >= {"report.html", "settings.csv", "summary.csv"}
    page = (output / "report.html").read_text()
    (command,) = re.findall(r'<h2>Command</h2><pre class="command">(.*?)</pre>', page)
    program, *arguments = shlex.split(html.unescape(command))
    assert program == "keypoints"
    main(arguments)
    assert capsys.readouterr().out == shown


def test_no_runs_are_refused_in_one_line(capsys):
    with pytest.raises(SystemExit, match="1"):
        main(["compare"])
    assert "give runs=" in capsys.readouterr().err


@pytest.mark.parametrize(("folder", "kind"), [("", "a sweep"), ("kernel-sizes-5-3-2--seed-0", "a run")])
def test_a_comparison_never_replaces_the_report_of_a_run(finished_sweep, capsys, folder, kind):
    output = finished_sweep / folder
    before = (output / "report.html").read_bytes()
    with pytest.raises(SystemExit, match="1"):
        main(["compare", str(finished_sweep), f"output={output}"])
    assert f"{output}: is the folder of {kind}, whose report would be replaced" in capsys.readouterr().err
    assert (output / "report.html").read_bytes() == before


def test_an_evaluation_never_replaces_the_faces_of_a_run(finished_sweep, capsys):
    run = finished_sweep / "kernel-sizes-5-3-2--seed-0"
    before = (run / "faces.csv").read_bytes()
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", str(run), "split=val", f"output={run}"])
    assert "is the folder of a run" in capsys.readouterr().err
    assert (run / "faces.csv").read_bytes() == before
