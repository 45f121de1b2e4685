"""The example packages of docs/examples train as their how-to pages say."""

import re
import shlex
import sys

import numpy as np
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.errors import DataError
from tests.conftest import ROOT

EXAMPLES = ROOT / "docs" / "examples"
NAMES = ("own_augmentation", "own_dataset", "own_loss", "own_network")
SMALL = ["trainer=cpu", "debug=fast", "~callbacks.progress", "logger=none"]
"""Overrides of a training of one batch."""


@pytest.fixture
def package(request, monkeypatch):
    """Folder of an example, whose module can be imported during the test, as with ``PYTHONPATH``."""
    folder = EXAMPLES / request.param
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop(request.param, None)


def made_up_folders(root):
    """Write four persons with two photos each: ``<person>/<photo>.jpg`` and ``.txt`` with five points."""
    random = np.random.default_rng(0)
    for person in ("anna", "ben", "carl", "dora"):
        (root / person).mkdir(parents=True)
        for photo in "ab":
            Image.fromarray(random.integers(0, 256, (60, 50, 3), np.uint8)).save(
                root / person / f"{photo}.jpg"
            )
            np.savetxt(root / person / f"{photo}.txt", random.uniform(10, 40, (5, 2)), fmt="%.2f")
    return root


def command_of(name):
    """Return the arguments of the page's first training, from ``experiment=`` or the group on."""
    page = (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    line = next(line for line in page.replace("\\\n", " ").splitlines() if line.startswith("keypoints train"))
    words = shlex.split(line, comments=True)[2:]
    assert words[:2] == ["--config-dir", f"docs/examples/{name}/conf"]
    return words[2:]


@pytest.mark.parametrize(("package", "name"), [(name, name) for name in NAMES], indirect=["package"])
def test_an_example_trains_with_the_command_of_its_page(package, name, made_up_imm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = made_up_folders(tmp_path / "folders") if name == "own_dataset" else made_up_imm
    words = [word for word in command_of(name) if not word.startswith(("data.root=", "output="))]
    words += ["data.root=" + str(root), "output=run"]
    main(["train", "--config-dir", str(package / "conf"), *words, *SMALL])
    config = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    assert f"_target_: {name}." in config


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_its_example_completely(name):
    page = (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    included = re.findall(r"```\{literalinclude\} (\S+)", page)
    files = {str(path.relative_to(EXAMPLES / name)) for path in (EXAMPLES / name).rglob("*.py")}
    files |= {str(path.relative_to(EXAMPLES / name)) for path in (EXAMPLES / name).rglob("*.yaml")}
    assert {each.removeprefix(f"../examples/{name}/") for each in included} >= files


@pytest.mark.parametrize("package", ["own_loss"], indirect=True)
def test_the_loss_is_zero_without_an_error_and_grows_as_l1(package):
    import torch
    from own_loss import GeneralCharbonnierLoss

    loss, points = GeneralCharbonnierLoss(epsilon=0.01), torch.rand(2, 5, 2)
    assert loss(points, points) == pytest.approx(0, abs=1e-7)
    assert loss(points + 3, points) - loss(points + 2, points) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match="epsilon and power are positive"):
        GeneralCharbonnierLoss(power=0)


@pytest.mark.parametrize("package", ["own_network"], indirect=True)
@pytest.mark.parametrize("size", [(80, 60), (33, 47)], ids=str)
def test_the_network_takes_any_size(package, size):
    import torch
    from own_network import SeparableNet

    net = SeparableNet(size, 1, 6).eval()
    assert net(torch.zeros(2, 1, size[1], size[0])).shape == (2, 6)


@pytest.mark.parametrize("package", ["own_augmentation"], indirect=True)
def test_the_shade_darkens_one_edge_and_moves_nothing(package):
    from own_augmentation import SideShade

    from keypoints.data.augmentation import Augmentation

    white = np.full((40, 60, 1), 200, np.uint8)
    shaded = SideShade(darkest=(0.5, 0.5), p=1)(image=white)["image"]
    edges = sorted(int(shaded[0, column, 0]) for column in (0, -1))
    assert edges == [100, 200]
    with pytest.raises(ValueError, match="within 0 and 1"):
        SideShade(darkest=(0.5, 2))
    assert Augmentation({"shade": SideShade(p=1)}).check((96, 128, 1), may_mirror=True).moving == {}


@pytest.mark.parametrize("package", ["own_dataset"], indirect=True)
def test_the_data_set_is_split_by_person_and_names_bad_files(package, tmp_path):
    from own_dataset import FolderDataModule

    root = made_up_folders(tmp_path / "folders")
    splits = FolderDataModule(root).splits
    assert {face.group for face in splits["train"]}.isdisjoint(face.group for face in splits["val"])
    assert sum(map(len, splits.values())) == 8
    (root / "ben" / "a.txt").write_text("1 2\n3 4\n")
    with pytest.raises(DataError, match=r"a\.txt: has numbers of shape"):
        FolderDataModule(root).read()
    (root / "ben" / "a.txt").write_text("left eye\n")
    with pytest.raises(DataError, match=r"a\.txt: not lines of two numbers"):
        FolderDataModule(root).read()
    with pytest.raises(DataError, match="holds no"):
        FolderDataModule(tmp_path / "nothing").read()
