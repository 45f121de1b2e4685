import pytest
from omegaconf import OmegaConf

from keypoints.commands import compose
from keypoints.crop import Crop
from keypoints.datamodules.ibug300w import IBUG300WDataModule
from keypoints.datamodules.imm import IMMDataModule
from keypoints.datamodules.labelled import LabelledDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.evaluation.chosen_data import chosen_data, chosen_split, faces_to_measure
from keypoints.runs.run_folder import RunFolder
from keypoints.schemes import IBUG68, IMM58


@pytest.fixture
def listed(made_up_imm, tmp_path):
    """Return a list of two photos with two points each, without boxes."""
    rows = "".join(f"01-{view}m.jpg,10,20,30,40\n" for view in (1, 2))
    (tmp_path / "list.csv").write_text(f"image,x0,y0,x1,y1\n{rows}")
    for view in (1, 2):
        (tmp_path / f"01-{view}m.jpg").symlink_to(made_up_imm / f"01-{view}m.jpg")
    return tmp_path / "list.csv"


def configured(*overrides):
    return compose("evaluate", list(overrides))


def test_chosen_data_take_precedence_over_the_runs(made_up_imm, finished_run):
    run = RunFolder(finished_run)
    own = chosen_data(configured(), run, "a model")
    other = chosen_data(configured("data=imm", f"data.root={made_up_imm}", "data.width=20"), run, "a model")
    assert own.crop.width == 80
    assert other.crop.width == 20
    assert chosen_data(configured("data.width=40"), run, "a model").crop.width == 40


def test_a_test_list_implies_labelled_photos(listed, finished_run):
    for run in (None, RunFolder(finished_run)):
        cfg = configured(f"data.test={listed}")
        data = chosen_data(cfg, run, "a model", "image")
        assert isinstance(data, LabelledDataModule)
        assert chosen_split(cfg, data) == "test"
        assert len(faces_to_measure(data, "test")) == 2
    data = chosen_data(configured(f"data.test={listed}"), None, "a model")
    with pytest.raises(DataError, match="2 of 2 faces have no box"):
        _ = data.splits


def test_the_data_set_of_the_models_training_is_the_last_choice(wild):
    cfg = configured("split=common", f"paths.data={wild.parent}")
    data = chosen_data(cfg, None, "a model", folder=wild.name)
    data.adopt(IBUG68, Crop(20, 20, source="box"))
    assert isinstance(data, IBUG300WDataModule)
    assert data.split == "official"
    assert chosen_split(cfg, data) == "common"
    for overrides in (["split=val"], ["split=common", "data.split=course"]):
        cfg = configured(*overrides, f"paths.data={wild.parent}")
        assert chosen_data(cfg, None, "a model", folder=wild.name).split == "course"
    with pytest.raises(DataError, match=r"no split 'full'; there is .*; data\.split=official has it"):
        chosen_split(configured("split=full"), IBUG300WDataModule(wild))


def test_the_split_is_val_unless_another_is_named(made_up_imm):
    data = IMMDataModule(made_up_imm)
    data.adopt(IMM58, Crop(20, 20))
    assert chosen_split(configured(), data) == "val"
    assert chosen_split(configured("split=train"), data) == "train"
    with pytest.raises(DataError, match="no split 'test'; there is train, val"):
        chosen_split(configured("split=test"), data)


def test_missing_data_are_reported_with_the_option_to_add(finished_run, tmp_path):
    with pytest.raises(ConfigError, match=r"best\.ckpt: is not in a run's folder, so say on which data"):
        chosen_data(configured(), None, "best.ckpt")
    bare = RunFolder(tmp_path)
    bare.config.write_text(OmegaConf.to_yaml({key: key for key in ("model", "name", "seed", "trainer")}))
    with pytest.raises(DataError, match=r"config\.yaml: "):
        chosen_data(configured(), bare, "best.ckpt")
