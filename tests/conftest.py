"""Shared fixtures and helpers: made-up faces in the data sets' layouts, and the real data if available."""

import os
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hydra.core.config_store import ConfigStore
from hypothesis import settings
from matplotlib.figure import Figure
from omegaconf import DictConfig
from PIL import Image, ImageDraw

from keypoints.commands import compose
from keypoints.config.registry import conf_dir
from keypoints.crop import Crop
from keypoints.data.formats.dlib_xml import Entry, format_dlib_xml
from keypoints.data.formats.pts import format_pts
from keypoints.data.readers.ibug300w import PARSED_LIST, TEST_LIST, TRAIN_LIST
from keypoints.data.readers.imm import format_asf
from keypoints.geometry import Box
from keypoints.inference.detectors import DETECTORS
from keypoints.landmarks import LandmarkScheme
from keypoints.reports import error_figures, face_figures, filter_figures, training_figures
from keypoints.schemes import IBUG68, IMM58
from keypoints.synthetic.portrait import Head, Person, Pose, portrait
from tests import compositions

if TYPE_CHECKING:
    from keypoints.reports.compared import Compared
    from keypoints.tasks.base import Task

settings.register_profile("keypoints", deadline=None)  # a busy machine is slow, and no test is about time
settings.load_profile("keypoints")

ROOT = Path(__file__).resolve().parents[1]
SIZE = (160, 120)
PERSONS = (1, 2, 3, 4, 33)
BOX_CROP = Crop(48, 48, source="box", margin=1.3)


def write_face(folder: Path, name: str, centre: tuple[float, float]) -> None:
    """Write a bright picture with a dark disc; points on a circle around it, the nose tip at its centre."""
    image = Image.new("L", SIZE, 200)
    x, y = centre
    ImageDraw.Draw(image).ellipse((x - 15, y - 15, x + 15, y + 15), fill=30)
    image.save(folder / f"{name}.jpg")
    angles = np.linspace(0, 2 * np.pi, len(IMM58), endpoint=False)
    points = np.stack([x + 20 * np.cos(angles), y + 20 * np.sin(angles)], axis=1)
    points[IMM58.indices("nose_tip")] = centre
    (folder / f"{name}.asf").write_text(format_asf(points, SIZE, f"{name}.jpg"))


def write_imm(folder: Path) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for person in PERSONS:
        for view in range(1, 7):
            write_face(folder, f"{person:02}-{view}m", tuple(random.uniform((40, 40), (120, 80))))
    return folder


def _blank() -> bytes:
    picture = BytesIO()
    Image.new("RGB", (40, 30), "white").save(picture, format="PNG")
    return picture.getvalue()


BLANK = _blank()
"""Picture in the place of a figure that is not drawn."""


def _figures() -> Iterator[tuple[ModuleType, str]]:
    """Yield the functions that plot a figure, each as a module and a name."""
    for module in (error_figures, face_figures, filter_figures, training_figures):
        for name, value in vars(module).items():
            if not name.startswith("_") and getattr(value, "__annotations__", {}).get("return") is Figure:
                yield module, name


DRAWN: list[tuple[Any, str, Any]] = [
    (Figure, "savefig", lambda figure, file, **_: Path(file).write_bytes(BLANK)),
    (face_figures, "draw_closeup", lambda *_, **__: np.zeros((30, 40, 3), np.uint8)),
    *((module, name, lambda *_, **__: Figure()) for module, name in _figures()),
]
"""What draws, and what replaces it where nobody looks: a run takes longer to draw than to train."""


@pytest.fixture(autouse=True, scope="session")
def real_drawing() -> Iterator[list[tuple[Any, str, Any]]]:
    """Write a blank picture for each figure; the functions that draw are returned."""
    real = [(place, name, getattr(place, name)) for place, name, _ in DRAWN]
    with pytest.MonkeyPatch.context() as patched:
        for place, name, blank in DRAWN:
            patched.setattr(place, name, blank)
        yield real


@pytest.fixture(autouse=True)
def drawing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, real_drawing: Any) -> None:
    """Draw the figures of tests that are marked ``draws``, and of modules about figures and pictures."""
    if request.node.get_closest_marker("draws") or request.path.stem.endswith(("figures", "pictures")):
        for place, name, draw in real_drawing:
            monkeypatch.setattr(place, name, draw)


@pytest.fixture(autouse=True, scope="session")
def remembering() -> Iterator[None]:
    """Compose equal configurations once: a composition takes a fifth of a second, and there are hundreds.

    Others are composed faster: Hydra copies its store of schemas each time, although it copies what it takes.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hydra.compose", compositions.compose)
        patched.setattr(ConfigStore, "__deepcopy__", lambda store, _: store, raising=False)
        yield


FIRST = (
    "test_killed",  # it forks: torch cannot train in a fork after its threads have been used
    "test_trust",
    "test_train",
    "test_page",
    "test_stopped",
    "test_distributed",
    "test_cli",
    "test_evaluated_model",
    "test_launchers",
    "test_instantiate",
    "test_onnx_export",
    "test_given_again",
)
"""Files of tests that take longest. They run first, so that all processes end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files in ``FIRST`` first, in this order."""
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(FIRST)))


@pytest.fixture(scope="session")
def made_up_imm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 30 made-up faces, persons 1 to 4 and 33; read-only."""
    return write_imm(tmp_path_factory.mktemp("data") / "imm_face_db")


@pytest.fixture
def own_imm(tmp_path: Path) -> Path:
    """Folder as :func:`made_up_imm`, which a test may change."""
    return write_imm(tmp_path / "data" / "imm_face_db")


@pytest.fixture(scope="session")
def real_imm() -> Path:
    """Folder of the real IMM Face Database."""
    root = Path(os.environ.get("KEYPOINTS_DATA", "data")) / "imm_face_db"
    if not root.is_dir():
        pytest.skip("the IMM Face Database is not at hand (KEYPOINTS_DATA)")
    return root


WILD = (
    "afw/134212_1.jpg",
    "afw/134212_2.jpg",
    "helen/trainset/2005566839_1.jpg",
    "helen/testset/30844800_1.jpg",
    "lfpw/trainset/image_0001.png",
    "lfpw/testset/image_0001.png",
)
"""Pictures of :func:`write_wild`, in the order of its lists: three for training, three for testing."""


def wild_points(number: int) -> np.ndarray:
    """Return 68 points with decimals on a ring, (68, 2); their box at (60, 40) has 80 × 70 pixels."""
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False) + 0.01 * number
    return np.stack([100 + 39 * np.cos(angles) + number, 75 + 34 * np.sin(angles)], axis=1)


def write_wild(folder: Path) -> Path:
    """Write a tiny 300-W: 200 × 160 pictures whose red is x and whose green is y, lists, ``.pts`` files.

    The test pictures have mirrored copies, which are in the test lists and have no ``.pts``.
    """
    x, y = np.meshgrid(np.arange(200), np.arange(160))
    train, test, mirrors = [], [], []
    for number, name in enumerate(WILD):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.stack([x, y, np.full_like(x, 10 * number)], axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=95)
        points = wild_points(number)
        path.with_suffix(".pts").write_text(format_pts(points))
        box = Box(60 + number, 40, 80, 70)
        if number < 3:
            train.append(Entry(name, box, np.rint(points), (200, 160)))
            continue
        test.append(Entry(name, box, np.rint(points), (200, 160)))
        mirror = f"{name.rpartition('.')[0]}_mirror.jpg"
        Image.fromarray(np.ascontiguousarray(pixels[:, ::-1])).save(folder / mirror, quality=95)
        flipped = np.rint(points)[list(IBUG68.flip_indices)] * (-1, 1) + (199, 0)
        mirrors.append(Entry(mirror, Box(60 - number, 40, 80, 70), flipped, (200, 160)))
    test += mirrors
    parsed = [entry._replace(points=None) for entry in test]
    for name, entries in ((TRAIN_LIST, train), (TEST_LIST, test), (PARSED_LIST, parsed)):
        (folder / name).write_text(format_dlib_xml(entries, "made up"), encoding="ascii")
    return folder


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    """Tiny folder in 300-W's layout, which a test may change."""
    return write_wild(tmp_path / "data" / "ibug_300W_large_face_landmark_dataset")


@pytest.fixture(scope="session")
def real_ibug() -> Path:
    """Folder of the real 300-W in dlib's layout, full or as a compact copy."""
    root = Path(os.environ.get("KEYPOINTS_DATA", "data")) / "ibug_300W_large_face_landmark_dataset"
    if not root.is_dir():
        pytest.skip("300-W is not at hand (KEYPOINTS_DATA)")
    return root


def draw_portrait(seed=0, centre=(320, 230), scale=66, size=(640, 480)) -> tuple[np.ndarray, np.ndarray]:
    """Return a made-up photo whose face a detector finds, and its 68 points."""
    random = np.random.default_rng(seed)
    head = Head(Person.draw(random), Pose(centre=centre, scale=scale))
    return portrait(head, random, size), head.ibug68()


def hide_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the libraries of all detectors look as if they were not installed."""
    for name in DETECTORS:
        monkeypatch.setitem(sys.modules, name, None)


def save_untrained(path: Path, scheme: LandmarkScheme = IBUG68, crop: Crop = BOX_CROP, **net: object) -> Path:
    """Save a checkpoint of a small untrained network, and return its path."""
    import torch

    from keypoints.components import configure
    from keypoints.models.convnet import ConvNet
    from keypoints.tasks.regression import RegressionTask

    torch.manual_seed(0)
    small = {"kernel_sizes": [5, 3], "channels": [4, 8], "hidden": 16, **net}
    return save_task(path, RegressionTask(scheme, crop, net=configure(ConvNet, **small)))


def save_task(path: Path, task: "Task") -> Path:
    """Save a checkpoint of a task, and return its path."""
    from pytorch_lightning import Trainer

    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)
    return path


def change_checkpoint(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the contents of a checkpoint file with the function ``change``."""
    import torch

    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint with 68 points on boxes; read-only."""
    return save_untrained(tmp_path_factory.mktemp("models") / "best.ckpt")


@pytest.fixture(scope="session")
def exported(untrained: Path) -> Path:
    """ONNX file of the checkpoint ``untrained``."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")
    from keypoints.inference.onnx_export import export

    output = untrained.with_name("model.onnx")
    export(compose("export", [f"checkpoint={untrained}", f"output={output}"]))
    return output


SMALL = (
    "experiment=nose_tip",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "model.net.channels=[4,4,4]",
    "model.net.hidden=8",
    "~callbacks.progress",
)
"""Overrides of a training that takes about a second."""


@pytest.fixture(scope="session")
def finished_run(made_up_imm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small run; read-only."""
    from tests.working import train

    folder = tmp_path_factory.mktemp("outputs") / "run"
    train(compose("train", [*SMALL, f"data.root={made_up_imm}", f"output={folder}"]), overrides=SMALL)
    return folder


@pytest.fixture(scope="session")
def finished_sweep(made_up_imm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small sweep over three networks and two seeds; one network cannot be built."""
    from keypoints.cli import main

    folder = tmp_path_factory.mktemp("sweeps") / "networks" / "first"
    varied = ["model.net.kernel_sizes=[7,5,3],[90,5,3],[5,3,2]", "seed=0,1"]
    with pytest.raises(SystemExit, match="1"):
        main(["train", "-m", *SMALL, *varied, f"data.root={made_up_imm}", f"output={folder}"])
    return folder


@pytest.fixture
def compared(finished_sweep: Path) -> "Compared":
    """Runs of the finished sweep, as the reports compare them."""
    from keypoints.reports.compared import Compared, completed, face_tables
    from keypoints.reports.setting_results import MEASURES
    from keypoints.runs.sweep_folder import SweepFolder

    sweep = SweepFolder(finished_sweep)
    runs = {run.path.name: run for run in sweep.runs()}
    faces = face_tables(runs)
    return Compared("networks", completed(sweep.table(), faces, runs), runs, faces, MEASURES["val/mse"])


@pytest.fixture(scope="session")
def conf() -> Path:
    return conf_dir()


@pytest.fixture
def configured(made_up_imm: Path, tmp_path: Path) -> Callable[..., DictConfig]:
    """Function that returns the configuration of a small training with further overrides."""

    def make(*overrides: str, output: str = "run") -> DictConfig:
        root = f"data.root={made_up_imm}"
        return compose("train", [*SMALL, root, f"output={tmp_path / output}", *overrides])

    return make
