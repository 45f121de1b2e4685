import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from keypoints.errors import DataError
from keypoints.synthetic import layouts
from keypoints.synthetic.synthesize import FOLDER, synthesize

CFG = OmegaConf.create({"seed": 0, "persons": 1, "faces": 6})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_faces_are_written_to_their_own_folder():
    assert synthesize(CFG) == FOLDER == Path("data/synthetic")
    assert {path.name for path in FOLDER.iterdir()} == {
        layouts.IMM_FOLDER,
        layouts.IBUG_FOLDER,
        "made_up.json",
    }
    assert [path.name for path in Path("data").iterdir()] == ["synthetic"]


def test_the_folder_is_replaced_only_if_settings_differ(monkeypatch):
    FOLDER.mkdir(parents=True)
    from keypoints import __version__

    mark = {"version": __version__, "seed": 0, "persons": 1, "faces": 6}
    (FOLDER / "made_up.json").write_text(json.dumps(mark))
    synthesize(CFG)
    assert len(list(FOLDER.iterdir())) == 1
    synthesize(OmegaConf.merge(CFG, {"seed": 1}))
    assert len(list(FOLDER.iterdir())) == 3


def test_a_folder_that_was_not_generated_is_kept():
    (FOLDER / "imm_face_db").mkdir(parents=True)
    with pytest.raises(DataError, match="move it away first"):
        synthesize(CFG)
    assert [path.name for path in FOLDER.iterdir()] == ["imm_face_db"]


def test_an_error_leaves_no_partial_folder(monkeypatch):
    def breaks(*_):
        yield Path("one")
        raise OSError("disk full")

    monkeypatch.setattr("keypoints.synthetic.synthesize.write_ibug", breaks)
    with pytest.raises(OSError, match="disk full"):
        synthesize(CFG)
    assert not Path("data").exists()
