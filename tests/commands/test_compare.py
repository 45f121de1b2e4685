import html
import re
import shlex

import pytest

from keypoints.cli import main
from keypoints.commands.compare import folder_names


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a", "b"], ["a", "b"]),
        ('["a", "b, c"]', ["a", "b, c"]),
        ("[a,b]", ["a", "b"]),
        ("a, b", ["a, b"]),
        ("2026", ["2026"]),
        ("[]", []),
    ],
)
def test_folders_are_a_list_or_one(given, names):
    assert folder_names(given) == names


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
