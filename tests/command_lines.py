"""Command lines in forks of one new process: to import torch takes longer than what most of them do."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

_PROGRAM = """
import atexit, json, os, sys, traceback
from keypoints.__main__ import run
{first}

def redirect(number, path):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)

def record(path):
    with open(path, "w") as file:
        json.dump(sorted(sys.modules), file)

def end(words, cwd, told):
    sys.argv[1:] = words
    os.chdir(cwd)
    redirect(1, told + "/out")
    redirect(2, told + "/err")
    atexit.register(record, told + "/modules")
    try:
        run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)

for words, cwd, told in json.load(sys.stdin):
    process = os.fork()
    if process == 0:
        end(words, cwd, told)
    with open(told + "/status", "w") as file:
        file.write(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])))
"""


BLANK_FIGURES = """
from matplotlib.figure import Figure
from PIL import Image

Figure.savefig = lambda figure, file, **_: Image.new("RGB", (40, 30)).save(file, "PNG")
"""
"""Code that leaves figures blank, as the tests do in their own process: to draw them takes seconds."""


@dataclass(frozen=True)
class Ended:
    """Result of a command line: its exit status, what it said, its folder, and the packages it imported."""

    returncode: int
    stdout: str
    stderr: str
    cwd: Path
    imported: frozenset[str]


def in_forks(
    commands: Mapping[str, Sequence[str]], folder: Path, first: str = "", **environment: str
) -> dict[str, Ended]:
    """Run ``python -m keypoints`` with the words of each command, sequentially.

    Args:
        commands: words of each command, by a name.
        folder: new folder; each command gets a working folder of its own in it.
        first: Python code that runs once before the forks, such as imports that they share.
        environment: additional environment variables.

    Returns:
        The result of each command, by its name.
    """
    places = {name: (folder / str(number), folder / f"told-{number}") for number, name in enumerate(commands)}
    for cwd, told in places.values():
        cwd.mkdir(parents=True)
        told.mkdir()
    asked = [[list(words), *map(str, places[name])] for name, words in commands.items()]
    subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(first=first)],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        text=True,
        check=True,
    )
    return {name: _ended(*place) for name, place in places.items()}


def _ended(cwd: Path, told: Path) -> Ended:
    imported = frozenset(name.partition(".")[0] for name in json.loads((told / "modules").read_text()))
    status, out, err = ((told / name).read_text(encoding="utf-8") for name in ("status", "out", "err"))
    return Ended(int(status), out, err, cwd, imported)
