import json
import logging
import shutil
from dataclasses import replace

import pytest
import pytorch_lightning as pl
from PIL import Image

from keypoints.commands import compose
from keypoints.crop import Crop
from keypoints.data.photos import Photo
from keypoints.data.provenance import TrainedOn
from keypoints.data.readers.labelled import FORMATS, read_labelled, write_labelled
from keypoints.datamodules.ibug300w import IBUG300WDataModule
from keypoints.datamodules.labelled import LabelledDataModule
from keypoints.errors import ConfigError, DataError
from keypoints.schemes import IMM58
from keypoints.tasks.regression import RegressionTask

SMALL = {"width": 16, "height": 16, "batch_size": 2}

WRITTEN = [name for name, known in FORMATS.items() if known.write is not None]
"""Formats that lists can be written in."""


@pytest.fixture
def photos(tmp_path):
    for number in range(10):
        Image.new("L", (40, 30), 20 * number).save(tmp_path / f"{number}.png")
    return tmp_path


def listed(folder, name, numbers, box="1,2,20,20", points="3,4,15,16"):
    columns = ",".join(f"{axis}{index}" for index in range(len(points.split(",")) // 2) for axis in "xy")
    rows = [f"{number}.png,{box},{points}" for number in numbers]
    (folder / name).write_text("\n".join([f"image,left,top,width,height,{columns}", *rows, ""]))
    return folder / name


def names(faces):
    return {face.name for face in faces}


def test_validation_is_split_off_by_photo_for_every_seed_alike(photos):
    path = listed(photos, "all.csv", [*range(10), 0, 1, 2])
    splits = [LabelledDataModule(path, seed=seed, **SMALL).splits for seed in (0, 1)]
    assert names(splits[0]["train"]) | names(splits[0]["val"]) == {str(number) for number in range(10)}
    assert not names(splits[0]["train"]) & names(splits[0]["val"])
    assert names(splits[0]["val"]) == names(splits[1]["val"])
    other = LabelledDataModule(path, val_seed=1, **SMALL).splits
    assert names(other["val"]) != names(splits[0]["val"])


def test_validation_faces_may_have_their_own_list(photos):
    data = LabelledDataModule(listed(photos, "a.csv", range(7)), val=listed(photos, "b.csv", [8, 9]), **SMALL)
    data.setup()
    assert (len(data.dataset("train")), len(data.dataset("val"))) == (7, 2)
    assert len(data.scheme) == 2
    assert next(iter(data.val_dataloader())).targets.shape == (2, 2, 2)


def test_every_training_face_validates_in_one_fold(photos):
    path = listed(photos, "all.csv", [*range(10), 0, 1, 2])
    sizes, validated = [], []
    for fold in range(3):
        splits = LabelledDataModule(path, folds=3, fold=fold, **SMALL).splits
        assert not names(splits["train"]) & names(splits["val"])
        assert len(splits["train"]) + len(splits["val"]) == 13
        sizes.append(len(splits["val"]))
        validated += names(splits["val"])
        again = LabelledDataModule(path, folds=3, fold=fold, seed=1, **SMALL).splits
        assert names(again["val"]) == names(splits["val"])
    assert sorted(validated) == sorted(str(number) for number in range(10))
    assert max(sizes) - min(sizes) <= 1
    other = LabelledDataModule(path, folds=3, fold=0, val_seed=1, **SMALL).splits
    assert names(other["val"]) != names(LabelledDataModule(path, folds=3, fold=0, **SMALL).splits["val"])


def test_folds_divide_the_training_list_alone(photos, caplog):
    train, val = listed(photos, "a.csv", range(6)), listed(photos, "b.csv", [8, 9])
    test = listed(photos, "c.csv", [7])
    with caplog.at_level("INFO"):
        data = LabelledDataModule(train, val=val, test=test, folds=2, fold=1, **SMALL)
    assert f"{val} is not used: fold 1 of {train} validates" in caplog.text
    assert names(data.splits["train"]) | names(data.splits["val"]) == {str(number) for number in range(6)}
    assert names(data.splits["test"]) == {"7"}
    alone = LabelledDataModule(test=test, folds=2, fold=1, **SMALL)
    assert list(alone.splits) == ["test"]


def test_a_list_with_fewer_photos_than_folds_is_refused(photos):
    path = listed(photos, "a.csv", [0, 0, 1])
    with pytest.raises(DataError, match=r"a\.csv: 2 groups of faces cannot be divided into 3 folds"):
        _ = LabelledDataModule(path, folds=3, fold=0, **SMALL).splits


def test_copies_of_photos_in_another_fold_are_reported(photos, caplog):
    for number in range(4):
        shutil.copy(photos / "5.png", photos / f"{number}.png")
    path = listed(photos, "a.csv", range(4))
    _ = LabelledDataModule(path, folds=2, fold=0, **SMALL).splits
    assert "val has copies of training photos under other names" in caplog.text


def test_a_photo_in_both_lists_is_refused(photos):
    data = LabelledDataModule(listed(photos, "a.csv", range(7)), val=listed(photos, "b.csv", [6, 9]), **SMALL)
    with pytest.raises(DataError, match=r"6\.png: has faces in train and in val"):
        data.setup()


def test_equal_names_in_different_folders_are_different_photos(photos):
    folders = [photos / "train", photos / "val"]
    for place, folder in enumerate(folders):
        folder.mkdir()
        for number in range(3):
            Image.new("L", (40, 30), 20 * number + place).save(folder / f"{number}.png")
    train, val = (listed(folder, "list.csv", range(3)) for folder in folders)
    data = LabelledDataModule(train, val=val, **SMALL)
    assert [len(data.splits[split]) for split in ("train", "val")] == [3, 3]
    # A group that the list names is the same in every folder.
    for path in (train, val):
        path.write_text(path.read_text().replace("y1\n", "y1,group\n").replace("15,16\n", "15,16,anna\n"))
    with pytest.raises(DataError, match="anna: has faces in train and in val"):
        _ = LabelledDataModule(train, val=val, **SMALL).splits


@pytest.mark.parametrize("format_name", WRITTEN)
def test_photos_of_300w_leak_in_every_list_format(wild, format_name):
    course = IBUG300WDataModule(wild)
    faces = [*course.splits["train"], *course.splits["val"]]
    path = wild.parent / f"list.{format_name}"
    write_labelled(faces, path, format_name)
    data = LabelledDataModule(path)
    seen = TrainedOn([face.group for face in faces], mean=[])
    assert len(data.leaks(seen, "train")) == len(data.splits["train"]) > 0


def test_lists_with_different_points_are_refused(photos):
    other = listed(photos, "b.csv", [8, 9], points="1,2,3,4,5,6")
    with pytest.raises(DataError, match=r"b\.csv: has 3 points a face, but .*a\.csv has 2"):
        LabelledDataModule(listed(photos, "a.csv", range(7)), val=other, **SMALL).read()


def test_faces_without_boxes_need_full_images(photos):
    path = listed(photos, "a.csv", range(7), box=",,,")
    with pytest.raises(DataError, match=r"a\.csv: 7 of 7 faces have no box; .*data\.source=image"):
        _ = LabelledDataModule(path, **SMALL).splits
    data = LabelledDataModule(path, source="image", **SMALL)
    data.setup()
    assert len(data.dataset("train")) + len(data.dataset("val")) == 7


def test_a_face_needs_all_points_of_the_scheme(photos):
    with pytest.raises(DataError, match="has 2 points, not the 68 of ibug68"):
        LabelledDataModule(listed(photos, "a.csv", range(7)), scheme="ibug68", **SMALL)
    with pytest.raises(ConfigError, match="no landmark scheme"):
        LabelledDataModule(listed(photos, "a.csv", range(7)), scheme="68", **SMALL)


def test_unusable_rows_are_left_out_and_named_unless_strict(photos, caplog):
    path = listed(photos, "a.csv", [*range(7), 99])
    with pytest.raises(DataError, match=r"99\.png"):
        LabelledDataModule(path, **SMALL)
    with caplog.at_level("WARNING"):
        splits = LabelledDataModule(path, strict=False, **SMALL).splits
    assert len(splits["train"]) + len(splits["val"]) == 7
    assert "left out: " in caplog.text


def test_a_run_trains_on_labelled_photos(photos, tmp_path):
    from tests.working import train

    path = listed(photos, "a, [1].csv", range(10))
    overrides = ["data=labelled", f"data.train={path}", f"output={tmp_path / 'run'}", "trainer=cpu"]
    small = [
        "trainer.max_epochs=1",
        "model.net.kernel_sizes=[3]",
        "model.net.channels=[2]",
        "~callbacks.progress",
    ]
    metrics = train(compose("train", [*overrides, *small]))
    assert metrics["best/mse"] > 0


@pytest.mark.parametrize("source", ["box", "image"])
def test_a_point_far_outside_its_photo_is_named_with_its_row(photos, source):
    path = listed(photos, "a.csv", range(9))
    path.write_text(path.read_text().replace("4.png,1,2,20,20,3,4", "4.png,1,2,20,20,3,90000"))
    data = LabelledDataModule(path, source=source, **SMALL)
    with pytest.raises(
        DataError, match=r"a\.csv: line 6: point 0 at \(3, 90000\) lies far outside its photo 4\.png"
    ):
        data.setup()
    data = LabelledDataModule(path, source=source, strict=False, **SMALL)
    data.setup()
    assert len(data.dataset("train")) + len(data.dataset("val")) == 8


def test_a_file_reached_from_two_folders_or_formats_leaks(photos):
    folder = photos / "images"
    folder.mkdir()
    for number in range(4):
        (photos / f"{number}.png").rename(folder / f"{number}.png")
    train = listed(photos, "train.csv", [f"images/{number}" for number in range(3)])
    inside = listed(folder, "val.csv", [2, 3])
    other = photos / "val.xml"
    write_labelled(read_labelled(inside).faces, other, "dlib")
    (photos / "link.png").symlink_to(folder / "1.png")
    own = listed(photos, "own.csv", [9])
    for held_out in (inside, other, listed(photos, "linked.csv", ["link"])):
        for split in ("val", "test"):
            with pytest.raises(DataError, match=rf"\.png: has faces in train and in {split}"):
                _ = LabelledDataModule(train, **{"val": own, split: held_out}, **SMALL).splits


def test_training_faces_are_recognised_after_the_data_moved(photos, tmp_path_factory):
    data = LabelledDataModule(listed(photos, "a.csv", range(6)), val=listed(photos, "b.csv", [6, 7]), **SMALL)
    seen = TrainedOn([face.group for face in data.splits["train"]], mean=[])
    moved = tmp_path_factory.mktemp("moved") / "elsewhere"
    shutil.copytree(photos, moved)
    path = listed(moved.parent, "c.csv", ["elsewhere/5", "elsewhere/6"])
    found = LabelledDataModule(test=path, **SMALL)
    assert [face.name for face in found.leaks(seen, "test")] == ["5"]


def test_group_names_of_older_models_are_recognised(photos):
    data = LabelledDataModule(test=listed(photos, "a.csv", range(3)), **SMALL)
    for name in (f"{photos.name}/1.png", "1"):
        assert [face.name for face in data.of_groups([name], "test")] == ["1"]


def test_every_row_of_a_test_list_is_used(photos):
    test = listed(photos, "test.csv", [7, 8, 9])
    data = LabelledDataModule(listed(photos, "a.csv", range(7)), test=test, **SMALL)
    assert {split: len(faces) for split, faces in data.splits.items()} == {"train": 6, "val": 1, "test": 3}
    alone = LabelledDataModule(test=test, **SMALL)
    assert list(alone.splits) == ["test"]
    with pytest.raises(DataError, match="there is no split 'train'; there is test"):
        alone.setup("fit")
    with pytest.raises(DataError, match=r"99\.png is missing"):
        LabelledDataModule(test=listed(photos, "c.csv", [8, 99]), strict=False, **SMALL)
    with pytest.raises(ConfigError, match=r"say which list of labelled photos: data\.train=<list>"):
        LabelledDataModule(**SMALL)


def test_points_without_names_become_the_checkpoints_landmarks(photos):
    data = LabelledDataModule(test=listed(photos, "a.csv", [1]), **SMALL)
    crop = Crop(8, 8, 1, source="image")
    scheme = IMM58.select("nose_tip")
    with pytest.raises(ConfigError, match=r"the checkpoint predicts .*1 point.*these faces have 2 points"):
        data.adopt(scheme, crop)
    data = LabelledDataModule(test=listed(photos, "b.csv", [1], box=",,,", points="3,4"), **SMALL)
    data.adopt(scheme, crop)
    assert (data.scheme, data.crop) == (scheme, crop)
    assert len(data.splits["test"]) == 1


def test_photos_are_read_once_for_all_checkpoints_of_a_training(wild, monkeypatch):
    from keypoints.datamodules import base

    looked, look = [], base.read_photo_facts
    monkeypatch.setattr(base, "read_photo_facts", lambda *given: looked.append(1) or look(*given))
    data = IBUG300WDataModule(wild)
    assert data.trained_on() == data.trained_on()
    assert len(looked) == 2  # once for the training and once for the validation faces


def test_copies_under_other_names_cause_a_warning(photos, caplog):
    shutil.copy(photos / "1.png", photos / "copy.png")
    val = listed(photos, "b.csv", ["copy", 9])
    with caplog.at_level("WARNING"):
        _ = LabelledDataModule(listed(photos, "a.csv", range(7)), val=val, **SMALL).splits
    assert "val has copies of training photos under other names" in caplog.text
    assert "copy.png of " in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING"):
        _ = LabelledDataModule(
            listed(photos, "c.csv", range(7)), val=listed(photos, "d.csv", [9]), **SMALL
        ).splits
    assert not caplog.text


def test_photos_named_by_a_camera_are_split_by_photo(photos):
    for number in range(6):
        shutil.copy(photos / f"{number}.png", photos / f"IMG_20240101_10000{number}.png")
    points = ",".join(f"{5 + place % 20},{5 + place // 20}" for place in range(68))
    names = [f"IMG_20240101_10000{number}" for number in range(6)]
    faces = read_labelled(listed(photos, "a.csv", names, points=points)).faces
    for format_name in WRITTEN:
        path = photos / f"list.{format_name}"
        write_labelled(faces, path, format_name)
        splits = LabelledDataModule(path, scheme="ibug68", **SMALL).splits
        assert (len(splits["train"]), len(splits["val"])) == (5, 1)


def test_faces_of_one_group_are_not_split(photos):
    path = listed(photos, "a.csv", range(7))
    path.write_text(path.read_text().replace("y1\n", "y1,group\n").replace("15,16\n", "15,16,anna\n"))
    with pytest.raises(DataError, match=r"a\.csv: all 7 faces are of one group, anna, .*data\.val=<list>"):
        _ = LabelledDataModule(path, **SMALL).splits


def with_groups(path, named):
    """Return the list with a column ``group``."""
    first, *rows = path.read_text().splitlines()
    lines = [f"{first},group", *(f"{row},{named}{place}" for place, row in enumerate(rows))]
    grouped = path.with_name(f"grouped-{path.name}")
    grouped.write_text("\n".join([*lines, ""]))
    return grouped


def test_photos_leak_even_in_different_groups(photos):
    train, val = listed(photos, "a.csv", range(7)), listed(photos, "b.csv", [6, 9])
    for first, second in ((train, with_groups(val, "x")), (with_groups(train, "y"), val)):
        with pytest.raises(DataError, match=r"6\.png: has faces in train and in val"):
            _ = LabelledDataModule(first, val=second, **SMALL).splits
    seen = LabelledDataModule(with_groups(train, "z"), val=listed(photos, "c.csv", [9]), **SMALL).trained_on()
    assert len(LabelledDataModule(test=train, **SMALL).leaks(seen, "test")) == 7


def test_copies_of_300w_photos_leak_in_other_folders(wild, tmp_path):
    course = IBUG300WDataModule(wild)
    seen = course.trained_on()
    flat = tmp_path / "flat"
    flat.mkdir()
    faces = [face for face in course.splits["train"] if face.box is not None]
    copied = [replace(face, photo=Photo(flat / face.photo.path.name)) for face in faces]
    for before, after in zip(faces, copied, strict=True):
        shutil.copy(before.photo.path, after.photo.path)
    write_labelled([replace(face, group="") for face in copied], flat / "list.csv", "csv")
    data = LabelledDataModule(test=flat / "list.csv")
    assert len(data.leaks(seen, "test")) == len(faces) > 0


NAMES = ["left_eye", "right_eye"]


def coco(folder, name, numbers, names=NAMES, keypoints=(3, 4, 2, 15, 16, 2)):
    """Write a COCO list of photos, whose category names the points."""
    annotations = [
        {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "bbox": [1, 2, 20, 20],
            "keypoints": [*keypoints],
        }
        for number in numbers
    ]
    images = [{"id": number, "file_name": f"{number}.png"} for number in numbers]
    categories = [{"id": 1, "name": "face", "keypoints": names, "skeleton": [[1, 2]]}]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    (folder / name).write_text(json.dumps(whole))
    return folder / name


def test_the_names_in_a_list_become_the_scheme(photos, caplog):
    caplog.set_level(logging.INFO)
    path = coco(photos, "a.json", range(7))
    scheme = LabelledDataModule(path, **SMALL).scheme
    assert (scheme.name, scheme.names, scheme.flip_indices) == ("face", ("left_eye", "right_eye"), (1, 0))
    assert scheme.skeleton == ((0, 1),)
    assert "a.json: names its 2 points: left_eye, right_eye" in caplog.text
    assert "face: flip_indices derived from the names: left_eye ↔ right_eye" in caplog.text
    assert LabelledDataModule(listed(photos, "a.csv", range(7)), scheme=path, **SMALL).scheme == scheme


def test_a_skeleton_of_numbered_points_is_used(photos, caplog):
    caplog.set_level(logging.INFO)
    scheme = LabelledDataModule(coco(photos, "a.json", range(7), ["1", "2"]), **SMALL).scheme
    assert (scheme.names, scheme.flip_indices, scheme.skeleton) == ((), None, ((0, 1),))
    assert "a.json: numbers its 2 points, and joins them by a skeleton" in caplog.text


def test_known_names_give_the_known_scheme(photos, caplog):
    caplog.set_level(logging.INFO)
    points = [value for place in range(58) for value in (5 + place % 20, 5 + place // 20, 2)]
    path = coco(photos, "a.json", range(7), list(IMM58.names), points)
    assert LabelledDataModule(path, **SMALL).scheme is IMM58
    assert "a.json: names the points of imm58" in caplog.text
    assert len(LabelledDataModule(path, landmarks="nose_tip", **SMALL).scheme) == 1


def test_lists_that_name_other_points_are_refused(photos):
    train, val = coco(photos, "a.json", range(7)), coco(photos, "b.json", [8, 9], ["left_eye", "nose"])
    with pytest.raises(
        DataError, match=r"b\.json: point 1 is nose, but right_eye in .*a\.json; .*data\.scheme="
    ):
        _ = LabelledDataModule(train, val=val, **SMALL).splits
    assert len(LabelledDataModule(train, val=val, scheme=train, **SMALL).splits["val"]) == 2


def test_a_list_without_names_has_the_others_order_with_a_warning(photos, caplog):
    named, nameless = coco(photos, "a.json", range(7)), listed(photos, "b.csv", [8, 9])
    for train, val in ((named, nameless), (nameless, named)):
        caplog.clear()
        assert LabelledDataModule(train, val=val, **SMALL).splits
        assert "b.csv does not name its points; they are taken for those of " in caplog.text
        assert "a.json, in its order: left_eye, right_eye; if they are others" in caplog.text
    caplog.clear()
    assert LabelledDataModule(named, val=nameless, scheme=named, **SMALL).splits
    assert "does not name its points" not in caplog.text


def test_a_checkpoints_landmarks_replace_the_names_of_a_list(photos):
    path, crop = coco(photos, "a.json", [1]), Crop(8, 8, 1)
    nameless = LabelledDataModule(test=listed(photos, "b.csv", [1]), **SMALL).scheme
    data = LabelledDataModule(test=path, **SMALL)
    data.adopt(nameless, crop)
    assert data.scheme == nameless
    turned = replace(data.scheme, names=("right_eye", "left_eye"))
    with pytest.raises(
        ConfigError, match=r"a\.json: has the checkpoint's points in another order: point 0 is"
    ):
        LabelledDataModule(test=path, **SMALL).adopt(turned, crop)


def test_a_point_without_labels_in_training_is_named(photos):
    path = coco(photos, "a.json", range(7), keypoints=(3, 4, 2, 0, 0, 0))
    with pytest.raises(
        DataError,
        match=r"a\.json: the point right_eye has no label in any of the 6 train faces; .*data\.landmarks=",
    ):
        LabelledDataModule(path, **SMALL).setup("fit")
    scheme = photos / "two.yaml"
    scheme.write_text("points: [left_eye, right_eye]\nparts: {left: 0, right: 1}\n")
    with pytest.raises(DataError, match=r"a\.json: the part right has no label in any of the 6 train faces"):
        LabelledDataModule(path, scheme=scheme, **SMALL).setup("fit")
    with pytest.raises(DataError, match=r"a\.json: the part right has no label"):
        LabelledDataModule(path, scheme=scheme, folds=2, fold=0, **SMALL).setup("fit")
    LabelledDataModule(path, scheme=scheme, landmarks="left", **SMALL).setup("fit")
    assert LabelledDataModule(path, scheme=scheme, **SMALL).dataset("val")  # a result shows it as –


def test_a_part_without_labels_in_validation_is_named(photos):
    train = coco(photos, "a.json", range(7))
    val = coco(photos, "b.json", [8, 9], keypoints=(3, 4, 2, 0, 0, 0))
    LabelledDataModule(train, val=val, **SMALL).setup("fit")  # its one part has labels
    scheme = photos / "two.yaml"
    scheme.write_text("points: [left_eye, right_eye]\nparts: {left: 0, right: 1}\n")
    with pytest.raises(DataError, match=r"b\.json: the part right has no label in any of the 2 val faces"):
        LabelledDataModule(train, val=val, scheme=scheme, **SMALL).setup("fit")
    with pytest.raises(DataError, match=r"b\.json: no point has a label in any of the 2 val faces"):
        LabelledDataModule(train, val=val, scheme=scheme, landmarks="right", **SMALL).setup("fit")


def measured(data, trained_on):
    task = RegressionTask(data.scheme, data.crop)
    task.trained_on = trained_on
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", **quiet)
    return trainer.test(task, datamodule=data, verbose=False), trainer.predict(task, datamodule=data)


BIG = {"width": 48, "height": 48, "batch_size": 2}


def test_lightning_tests_and_predicts_the_test_list(photos):
    lists = listed(photos, "a.csv", range(7)), listed(photos, "b.csv", [7, 8, 9])
    (metrics,), (predicted,) = measured(LabelledDataModule(lists[0], test=lists[1], **BIG), None)
    assert metrics["test/mse"] > 0
    assert predicted.points.shape == (3, 2, 2)


def test_lightning_refuses_to_test_on_training_faces(photos):
    train, test = listed(photos, "a.csv", range(7)), listed(photos, "b.csv", [7, 8, 9])
    seen = LabelledDataModule(test, **BIG).trained_on()
    with pytest.raises(ConfigError, match=r"b\.csv: the model was trained on [123] of the 3 faces"):
        measured(LabelledDataModule(train, test=test, **BIG), seen)


def test_data_without_test_faces_name_their_splits(photos):
    with pytest.raises(ConfigError, match=r"no split test, only train, val; .*data\.loader\('val'\)"):
        measured(LabelledDataModule(listed(photos, "a.csv", range(7)), **BIG), None)
