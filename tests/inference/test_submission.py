import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.components import configure
from keypoints.crop import Crop
from keypoints.data.compact_copy import read_map
from keypoints.data.formats.dlib_xml import read_entries
from keypoints.data.readers.ibug300w import PARSED_LIST, TEST_LIST, TRAIN_LIST
from keypoints.datamodules.ibug300w import IBUG300WDataModule
from keypoints.datatools.shrink import shrink
from keypoints.errors import ConfigError, DataError
from keypoints.inference.submission import submit
from keypoints.inference.submission_file import read_submission, write_submission
from keypoints.models.convnet import ConvNet
from keypoints.schemes import IBUG68, IMM58
from keypoints.tasks.base import load_task
from keypoints.tasks.regression import RegressionTask

NET = configure(ConvNet, kernel_sizes=[3], channels=[2], hidden=4)


@pytest.fixture
def checkpoint(wild, tmp_path):
    """Checkpoint that predicts the mean of the training faces for every face, with 0.02 added to each x."""
    data = IBUG300WDataModule(wild, width=32, height=32, batch_size=2, val_fraction=0.4)
    task = RegressionTask(data.scheme, data.crop, net=NET)
    trainer = Trainer(max_epochs=0, logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.fit(task, datamodule=data)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.zero_()
        mean = torch.tensor(data.trained_on().mean) + torch.tensor([0.02, 0])
        task.net.head[-1].bias.copy_(mean.flatten())
    path = tmp_path / "mean, [1].ckpt"
    trainer.save_checkpoint(path)
    return path


def submitted(checkpoint, root, output, **how):
    overrides = [f"checkpoint={checkpoint}", f"root={root}", f"output={output}"]
    submit(compose("submit", [*overrides, *(f"{key}={value}" for key, value in how.items())]))
    return read_submission(output, 68)


def expected(checkpoint, entries):
    """Yield the mean shape in each box, in pixels of the photo, and the width of the crop's region."""
    task = load_task(checkpoint)
    mean = np.array(task.trained_on.mean)
    for entry in entries:
        region = task.crop.around(entry.box)
        yield mean * (region.width, region.height) + (region.left - 0.5, region.top - 0.5), region.width


def test_every_listed_image_gets_points_in_pixels_of_its_photo(wild, checkpoint, tmp_path):
    found = submitted(checkpoint, wild, tmp_path / "new folder" / "a.csv.gz")
    entries = list(read_entries(wild / PARSED_LIST, 68))
    assert found.shape == (6, 68, 2)
    for own, (mean, width) in zip(found, expected(checkpoint, entries), strict=True):
        np.testing.assert_allclose(own, np.add(mean, (0.02 * width, 0)), atol=0.01)


def test_unreadable_photos_get_the_mean_shape_and_are_named(wild, checkpoint, tmp_path, caplog):
    entries = list(read_entries(wild / PARSED_LIST, 68))
    (wild / entries[1].file).unlink()
    (wild / entries[2].file).write_bytes(b"no picture")
    with caplog.at_level("WARNING"):
        found = submitted(checkpoint, wild, tmp_path / "a.csv")
    for number in (1, 2):
        assert (
            f"using the mean shape in the box instead of a prediction: {wild / entries[number].file}: "
            in caplog.text
        )
        mean, _ = list(expected(checkpoint, entries))[number]
        np.testing.assert_allclose(found[number], mean, atol=0.01)
    assert len(found) == 6


def test_dlibs_list_or_a_named_list_replaces_the_courses_list(wild, checkpoint, tmp_path):
    first = submitted(checkpoint, wild, tmp_path / "a.csv")
    (wild / PARSED_LIST).rename(tmp_path / "list, [2].xml")
    np.testing.assert_array_equal(submitted(checkpoint, wild, tmp_path / "b.csv"), first)
    (wild / TEST_LIST).unlink()
    listed = {"list": tmp_path / "list, [2].xml"}
    np.testing.assert_array_equal(submitted(checkpoint, wild, tmp_path / "c.csv", **listed), first)
    with pytest.raises(DataError, match=rf"has neither {PARSED_LIST} nor {TEST_LIST}; name one: list="):
        submitted(checkpoint, wild, tmp_path / "d.csv")


def test_a_shrunken_copy_gives_pixels_of_the_originals(wild, checkpoint, tmp_path):
    copy = tmp_path / "copy"
    shrink(compose("shrink", ["dataset=ibug300w", f"root={wild}", f"output={copy}", "side=40"]))
    assert read_map(copy)
    whole = submitted(checkpoint, wild, tmp_path / "a.csv")
    small = submitted(checkpoint, copy, tmp_path / "b.csv")
    assert np.abs(small - whole).max() < 2  # boxes of the copy are rounded to its larger pixels


def test_a_warning_names_images_with_points_far_from_their_boxes(wild, checkpoint, tmp_path, capsys):
    points = submitted(checkpoint, wild, tmp_path / "a.csv")
    points[3, 5] += 500
    write_submission(tmp_path / "b.csv", points)
    main(["submit", f"check={tmp_path / 'b.csv'}", f"root={wild}"])
    said = capsys.readouterr().out
    assert "points far from their boxes: helen/testset/30844800_1_mirror.jpg (" in said
    assert "is valid, for 6 images" in said


def test_any_submission_file_can_be_checked(wild, checkpoint, tmp_path, capsys):
    submitted(checkpoint, wild, tmp_path / "a.csv")
    main(["submit", f"check={tmp_path / 'a.csv'}", f"list={wild / PARSED_LIST}"])
    assert "is valid, for 6 images" in capsys.readouterr().out
    main(["submit", f"check={tmp_path / 'a.csv'}", f"paths.data={tmp_path / 'nowhere'}"])
    said = capsys.readouterr().out
    assert "the list cannot be read, so the number of images is not checked" in said
    write_submission(tmp_path / "b.csv", np.zeros((5, 68, 2)))
    with pytest.raises(SystemExit, match="1"):
        main(["submit", f"check={tmp_path / 'b.csv'}", f"root={wild}"])
    assert "has 680 rows below its header instead of 6 × 136 = 816" in capsys.readouterr().err


def test_the_command_line_writes_a_submission(wild, checkpoint, tmp_path, capsys):
    output = tmp_path / "a, [b].csv"
    main(["submit", str(checkpoint), f"root={wild}", f"output={output}"])
    said = capsys.readouterr().out
    assert "coordinates are pixels of the listed pictures" in said
    assert f"{output}: is valid, and can be submitted" in said


def test_an_exported_model_writes_the_same_submission(wild, untrained, exported, tmp_path):
    found = [submitted(model, wild, tmp_path / "a.csv") for model in (untrained, exported)]
    assert np.abs(found[0] - found[1]).max() < 0.01


def test_several_models_submit_their_mean(wild, untrained, checkpoint, tmp_path):
    one, other = (
        submitted(path, wild, tmp_path / f"{number}.csv")
        for number, path in enumerate((untrained, checkpoint))
    )
    command = ["submit", str(untrained), str(checkpoint), f"root={wild}", f"output={tmp_path / 'mean.csv'}"]
    main(command)
    np.testing.assert_allclose(read_submission(tmp_path / "mean.csv", 68), (one + other) / 2, atol=0.01)


def test_the_training_list_gives_the_mean_shape_that_a_file_lacks(
    wild, checkpoint, exported, tmp_path, caplog
):
    entries = list(read_entries(wild / PARSED_LIST, 68))
    (wild / entries[1].file).unlink()
    with caplog.at_level("WARNING"):
        found = submitted(exported, wild, tmp_path / "a.csv")
    assert "has no mean shape: using the mean of the 3 faces of" in caplog.text
    true = [(face.points - (face.box.left, face.box.top)) for face in read_entries(wild / TRAIN_LIST, 68)]
    box = entries[1].box
    np.testing.assert_allclose(found[1], np.add(np.mean(true, axis=0), (box.left, box.top)), atol=0.01)


def test_models_and_outputs_unfit_for_a_submission_are_refused(wild, checkpoint, tmp_path):
    task = RegressionTask(IMM58, Crop(32, 32), net=NET)
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "imm.ckpt")
    with pytest.raises(ConfigError, match=r"imm\.ckpt: predicts imm58 \(58 points\); .*68 points of ibug68"):
        submitted(tmp_path / "imm.ckpt", wild, tmp_path / "a.csv")
    with pytest.raises(ConfigError, match=r"a\.txt: a submission is a \.csv or a \.csv\.gz"):
        submitted(checkpoint, wild, tmp_path / "a.txt")
    task = RegressionTask(IBUG68, Crop(32, 32, source="box"), net=NET)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "meanless.ckpt")
    (wild / "lfpw" / "testset" / "image_0001.png").unlink()
    (wild / TRAIN_LIST).unlink()
    with pytest.raises(DataError, match=r"image_0001\.png: cannot be read, and .*meanless\.ckpt has no mean"):
        submitted(tmp_path / "meanless.ckpt", wild, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_the_submission_covers_the_complete_real_list(real_ibug, tmp_path):
    task = RegressionTask(IBUG68, Crop(32, 32, source="box", margin=1.3), net=NET)
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert len(submitted(tmp_path / "a.ckpt", real_ibug, tmp_path / "a.csv.gz")) in (716, 1008)
