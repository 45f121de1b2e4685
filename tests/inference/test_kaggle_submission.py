import gzip

import pytest
import torch
from pytorch_lightning import Trainer

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.errors import DataError
from keypoints.inference.kaggle_submission import KAGGLE15, read_locations, read_lookup
from keypoints.inference.submission import check, submit
from keypoints.models.convnet import ConvNet
from keypoints.tasks.regression import RegressionTask

LOOKUP = """RowId,ImageId,FeatureName,Location
1,7,left_eye_center_x,
2,7,left_eye_center_y,
3,7,mouth_center_bottom_lip_y,
4,3,nose_tip_x,
"""
GOOD = "RowId,Location\n1,10\n2,20.5\n3,96\n4,0\n"


@pytest.fixture
def kaggle(tmp_path):
    """A folder with Kaggle's test list of two pictures, and its lookup table."""
    grey = " ".join(["9"] * (96 * 96))
    folder = tmp_path / "facial-keypoints-detection"
    folder.mkdir()
    (folder / "test.csv").write_text(f"ImageId,Image\n7,{grey}\n3,8 {grey[2:]}\n")
    (folder / "IdLookupTable.csv").write_text(LOOKUP)
    return folder


@pytest.fixture
def model(tmp_path):
    """Checkpoint that predicts the same points for each face: point k at (k, 96 + 10 k) ÷ 96."""
    net = configure(ConvNet, kernel_sizes=[3], channels=[2], hidden=4)
    task = RegressionTask(KAGGLE15, Crop(96, 96), net=net)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.zero_()
        places = torch.arange(15.0)
        task.net.head[-1].bias.copy_(torch.stack([places, 96 + 10 * places], dim=1).flatten() / 96)
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "kaggle.ckpt")
    return tmp_path / "kaggle.ckpt"


def submitted(model, kaggle, output):
    return submit(
        compose("submit", [f"checkpoint={model}", f"list={kaggle / 'test.csv'}", f"output={output}"])
    )


def checked(kaggle, text):
    (kaggle / "sub.csv").write_text(text)
    return check(compose("submit", [f"check={kaggle / 'sub.csv'}", f"list={kaggle / 'test.csv'}"]))


def test_the_lookup_table_chooses_the_coordinates(kaggle, model, caplog):
    with caplog.at_level("INFO"):
        output = submitted(model, kaggle, kaggle / "new" / "a.csv")
    assert output.read_text().splitlines()[0] == "RowId,Location"
    # In pixels: the ratio 0 is the left edge of pixel 0, at -0.5. The y of each point is below the picture.
    assert read_locations(output) == {1: 0, 2: 95.5, 3: 96, 4: 9.5}
    assert "as they were outside: 2 of 4 coordinates" in caplog.text
    assert "has 4 coordinates of 2 pictures" in caplog.text


def test_a_submission_may_be_compressed(kaggle, model):
    output = submitted(model, kaggle, kaggle / "a.csv.gz")
    assert gzip.decompress(output.read_bytes()).startswith(b"RowId,Location\n1,0.0000\n")


def test_the_command_line_writes_and_checks_the_submission(kaggle, model, capsys):
    data = kaggle.parent
    main(["submit", str(model), f"output={data / 'sub.csv'}", f"paths.data={data}"])
    assert "sub.csv: is valid, and can be submitted" in capsys.readouterr().out
    main(["submit", f"check={data / 'sub.csv'}", f"paths.data={data}"])
    assert "sub.csv: is valid, for 2 images" in capsys.readouterr().out


def test_a_missing_test_list_is_reported_with_its_source(model, tmp_path):
    with pytest.raises(DataError, match=r"test\.csv: is missing; get it from https.*list=<test\.csv>"):
        submit(compose("submit", [f"checkpoint={model}", f"paths.data={tmp_path}"]))


def test_a_picture_that_the_table_names_must_be_in_the_list(kaggle, model):
    (kaggle / "IdLookupTable.csv").write_text(LOOKUP.replace("4,3,", "4,5,"))
    with pytest.raises(DataError, match=r"test\.csv: has no ImageId 5, which IdLookupTable\.csv names"):
        submitted(model, kaggle, kaggle / "a.csv")
    assert not (kaggle / "a.csv").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LOOKUP.replace("nose_tip_x", "nose_x"), "line 5: 'nose_x' is no feature"),
        (LOOKUP.replace("4,3,", "1,3,"), "line 5: RowId 1 occurs twice"),
        (LOOKUP.replace("4,3,", "4,x,"), "line 5: 'x' is not a whole number"),
        (LOOKUP.replace("FeatureName", "Feature"), "has no column FeatureName"),
        (LOOKUP.partition("\n")[0], "asks for no coordinate"),
    ],
)
def test_a_bad_lookup_table_is_reported(tmp_path, text, says):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=rf"table\.csv: {says}"):
        read_lookup(tmp_path / "table.csv")


def test_a_valid_submission_is_counted_in_pictures(kaggle):
    assert checked(kaggle, GOOD) == 2
    header, *rows = GOOD.splitlines()
    assert checked(kaggle, "\n".join([header, *reversed(rows)])) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("3,96\n", ""), "has no RowId 3, which IdLookupTable.csv names"),
        (GOOD + "5,1\n", "has the RowId 5, which IdLookupTable.csv does not name"),
        (GOOD.replace("3,96", "3,96.1"), "line 4: Location is 96.1; it is 0 to 96 pixels"),
        (GOOD.replace("3,96", "3,"), "line 4: '' is not a number"),
        (GOOD.replace("3,96", "2,96"), "line 4: RowId 2 occurs twice"),
        (GOOD.replace("3,96", "3,9,6"), "line 4: has 3 cells; the first line names 2"),
        (GOOD.replace("Location", "Place"), "has no column Location"),
    ],
)
def test_an_invalid_submission_is_refused(kaggle, text, says):
    with pytest.raises(DataError, match=says):
        checked(kaggle, text)
