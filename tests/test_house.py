"""The rooms' order holds: imports run one way."""

import ast

import pytest

from tests.conftest import ROOT

FLOORS = [
    {"_version", "errors", "files", "inputs", "logs", "older_names", "reading", "stopping", "workers"},
    {
        "landmarks",
        "geometry",
        "checkpoints",
        "components",
        "configuration",
        "options",
        "quoting",
        "registry",
        "run_names",
        "settings",
        "signatures",
        "runs",
        "ranks",
        "archives",
        "fetch",
        "exported",
        "file_kinds",
        "onnx_graph",
        "page_server",
    },
    {
        "datasets",
        "models",
        "losses",
        "metrics",
        "drawing",
        "sweeps",
        "tables",
        "augmentation",
        "loggers",
        "transforms",
        "detection",
        "matching",
        "prediction_lists",
        "support",
    },
    {"datamodules", "tasks"},
    {"measure", "stress", "predictor"},
    {"callbacks", "reports"},
    {"building"},
    {
        "train",
        "bench",
        "bench_prediction",
        "evaluate",
        "evaluation_result",
        "prediction_scores",
        "submit",
        "predict",
        "demo",
        "export",
        "preview",
        "report",
        "synthesize",
        "verify",
        "shrink",
        "convert",
        "download",
    },
    {"commands"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = [path for path in (ROOT / "keypoints").rglob("*.py") if not path.name.startswith("_")]


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keypoints."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_its_own_floor_and_below(path):
    room = path.relative_to(ROOT / "keypoints").parts[0].removesuffix(".py")
    assert room in FLOOR, f"{room} has no floor yet"
    assert all(FLOOR[other] <= FLOOR[room] for other in imported_rooms(path))


def test_every_module_has_its_tests_in_the_same_place():
    for path in MODULES:
        inside = path.relative_to(ROOT / "keypoints")
        if inside.stem in ("errors", "tensorboard", "face"):  # nothing of their own to test
            continue
        if inside.parent.name == "commands" and inside.stem not in ("help", "train"):
            inside = inside.with_name("verb.py")  # schemas are tested together; the work, where it is done
        assert (ROOT / "tests" / inside.parent / f"test_{inside.name}").is_file(), inside
