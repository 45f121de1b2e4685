import numpy as np
import pytest

from keypoints.data.readers.ibug300w import PARSED_LIST, TEST_LIST, TRAIN_LIST, read_annotated, read_dlib_xml
from keypoints.datamodules.ibug300w import IBUG300WDataModule
from keypoints.errors import ConfigError, DataError
from tests.conftest import WILD, wild_points

SMALL = {"width": 32, "height": 32, "batch_size": 2, "val_fraction": 0.4}


def groups(faces):
    return {face.group for face in faces}


def test_the_courses_validation_faces_are_split_off_by_photo(wild):
    splits = IBUG300WDataModule(wild, **SMALL).read()
    assert len(splits["train"]) + len(splits["val"]) == 3
    assert not groups(splits["train"]) & groups(splits["val"])
    names = [face.name for face in splits["test"]]
    assert names[: len(names) // 2] == ["30844800_1", "image_0001", "image_0001"]


@pytest.mark.parametrize("split", ["course", "official"])
def test_folds_divide_the_training_photos_alone(wild, split):
    whole = IBUG300WDataModule(wild, split=split, **SMALL).splits
    trained = sorted(face.name for part in ("train", "val") for face in whole[part])
    parts = [IBUG300WDataModule(wild, split=split, folds=2, fold=fold, **SMALL).splits for fold in range(2)]
    assert sorted(face.name for splits in parts for face in splits["val"]) == trained
    for splits in parts:
        assert not groups(splits["train"]) & groups(splits["val"])
        assert list(splits) == list(whole)
        others = set(whole) - {"train", "val"}
        assert all(len(splits[name]) == len(whole[name]) > 0 for name in others)
    with pytest.raises(DataError, match=r"dataset: \d groups of faces cannot be divided into 4 folds"):
        _ = IBUG300WDataModule(wild, split=split, folds=4, fold=0, **SMALL).splits


def test_test_faces_have_no_points_even_from_dlibs_list(wild):
    (wild / PARSED_LIST).unlink()
    data = IBUG300WDataModule(wild, **SMALL)
    assert all(face.points is None for face in data.splits["test"])
    test = data.dataset("test")
    assert not test.has_points
    assert test.targets.isnan().all()  # metrics on them are NaN
    assert test.plain(0).to_images().isfinite().all()


def test_points_have_their_decimals(wild):
    splits = IBUG300WDataModule(wild, **SMALL).splits
    for face in (*splits["train"], *splits["val"]):
        number = [name.rpartition("/")[2].rpartition(".")[0] for name in WILD].index(face.name)
        np.testing.assert_allclose(face.landmarks(), wild_points(number), atol=1e-5)


def test_a_pts_file_with_other_points_is_ignored(wild):
    path = wild / "afw" / "134212_1.pts"
    path.write_text((wild / "afw" / "134212_2.pts").read_text().replace("1", "9"))
    splits = IBUG300WDataModule(wild, **SMALL).splits
    face = next(face for split in ("train", "val") for face in splits[split] if face.name == "134212_1")
    np.testing.assert_array_equal(face.landmarks(), np.rint(wild_points(0)))


def test_the_official_split_names_missing_folders(wild, caplog):
    with caplog.at_level("WARNING"):
        splits = IBUG300WDataModule(wild, split="official", **SMALL).splits
    assert "ibug is missing; the split challenge is incomplete" in caplog.text
    assert set(splits) == {"train", "val", "common"}  # full would equal common
    folders = {face.tags["subset"] for face in (*splits["train"], *splits["val"])}
    assert folders <= {"afw", "helen/trainset", "lfpw/trainset"}
    assert {face.tags["subset"] for face in splits["common"]} == {"helen/testset", "lfpw/testset"}
    assert all(face.tags["mirror"] == "no" for face in splits["common"])


def test_the_full_split_needs_common_and_challenge(wild):
    (wild / "ibug").mkdir()
    for suffix in (".jpg", ".pts"):
        (wild / "ibug" / f"image_003_1{suffix}").write_bytes(
            (wild / "afw" / f"134212_1{suffix}").read_bytes()
        )
    splits = IBUG300WDataModule(wild, split="official", **SMALL).splits
    assert len(splits["challenge"]) == 1
    assert len(splits["full"]) == len(splits["common"]) + 1


def test_only_needed_photos_are_decoded(wild):
    for path in (wild / "helen" / "testset").glob("*.jpg"):
        path.write_bytes(b"no picture")
    data = IBUG300WDataModule(wild, split="official", **SMALL)
    data.setup("fit")
    with pytest.raises(DataError, match=r"30844800_1\.jpg: is no picture"):
        data.dataset("common")


def test_models_of_the_courses_list_leak_the_common_faces(wild):
    (wild / TRAIN_LIST).write_text(
        (wild / TRAIN_LIST).read_text().replace("</images>", "")[: -len("\n</dataset>\n")]
        + (wild / TEST_LIST).read_text().partition("<images>")[2]
    )
    course = IBUG300WDataModule(wild, **SMALL)
    official = IBUG300WDataModule(wild, split="official", **SMALL)
    assert official.leaks(course.trained_on(), "common")
    assert not course.leaks(course.trained_on(), "val")
    assert not official.leaks(official.trained_on(), "common")


def test_unusable_settings_and_files_are_named(wild):
    with pytest.raises(ConfigError, match=r"data\.split is course or official, not 'common'"):
        IBUG300WDataModule(wild, split="common")
    with pytest.raises(DataError, match=r"nowhere: no such folder; .*data download ibug300w.*KEYPOINTS_DATA"):
        IBUG300WDataModule(wild / "nowhere").read()
    with pytest.raises(DataError, match="no split 'challenge'; there is train, val, common"):
        IBUG300WDataModule(wild, split="official", **SMALL).dataset("challenge")
    (wild / "afw" / "134212_1.jpg").unlink()
    with pytest.raises(DataError, match=r"134212_1\.jpg\): its picture .* is missing"):
        IBUG300WDataModule(wild, **SMALL).read()


def test_unusable_faces_are_left_out_unless_strict(wild, caplog):
    (wild / "helen" / "trainset" / "2005566839_1.jpg").unlink()
    (wild / "lfpw" / "trainset" / "image_0001.png").unlink()
    with caplog.at_level("WARNING"), pytest.raises(DataError, match="1 group of faces cannot be split"):
        IBUG300WDataModule(wild, strict=False, **SMALL).read()
    assert "left out: " in caplog.text


def test_undecodable_training_faces_are_left_out_unless_strict(wild, caplog):
    twice = wild / "afw" / "134212_1.jpg"
    for number in (3, 4):
        for suffix in (".jpg", ".pts"):
            (wild / "afw" / f"999_{number}{suffix}").write_bytes(twice.with_suffix(suffix).read_bytes())
    broken = wild / "afw" / "999_3.jpg"
    broken.write_bytes(broken.read_bytes()[:700])
    strict = IBUG300WDataModule(wild, split="official", **SMALL)
    with pytest.raises(DataError, match=r"999_3\.jpg: truncated"):
        strict.dataset("train"), strict.dataset("val")
    data = IBUG300WDataModule(wild, split="official", strict=False, **SMALL)
    with caplog.at_level("WARNING"):
        data.setup("fit")
    assert "999_3.jpg: truncated" in caplog.text
    assert "faces left out: 1 of" in caplog.text
    found = [face.name for split in ("train", "val") for face in data.dataset(split).faces]
    assert "999_3" not in found
    assert "999_4" in found
    for split in ("train", "val"):
        dataset = data.dataset(split)
        batches = data._loader(split, 4, shuffle=False)
        assert len(dataset) == len(dataset.targets) == sum(len(batch.to_images()) for batch in batches)


def test_a_face_with_a_damaged_annotation_is_left_out(wild):
    damaged = wild / "helen" / "trainset" / "2005566839_1.pts"
    damaged.write_text(damaged.read_text()[:90])
    with pytest.raises(DataError, match=r"2005566839_1\.pts"):
        IBUG300WDataModule(wild, **SMALL).read()
    for reading in (
        read_dlib_xml(wild / TRAIN_LIST, strict=False, exactly=True),
        read_annotated(wild, strict=False),
    ):
        assert "2005566839_1" not in {face.name for face in reading.faces}
        assert any("2005566839_1.pts" in problem for problem in reading.skipped)


def test_faces_to_evaluate_on_are_never_left_out(wild):
    (wild / "helen" / "testset" / "30844800_1.jpg").unlink()
    with pytest.raises(DataError, match="results are reported on are never left out"):
        IBUG300WDataModule(wild, split="official", strict=False, **SMALL).read()
    # A picture of the course's test list may be missing: its points are guessed for the submission.
    for strict in (True, False):
        splits = IBUG300WDataModule(wild, strict=strict, **SMALL).read()
        assert "30844800_1" in {face.name for face in splits["test"]}


@pytest.mark.parametrize(
    "wrong", [{"val_seed": -1}, {"val_seed": "x"}, {"val_fraction": "a"}, {"strict": "maybe"}]
)
def test_values_of_the_wrong_kind_are_refused(wild, wrong):
    with pytest.raises(ConfigError):
        IBUG300WDataModule(wild, **{**SMALL, **wrong}).read()


def test_the_real_splits_have_the_known_counts(real_ibug):
    course = IBUG300WDataModule(real_ibug)
    counts = {split: len(faces) for split, faces in course.splits.items()}
    if counts["test"] != 716:
        pytest.skip("counts of the reduced copy")
    assert counts == {"train": 1987, "val": 221, "test": 716}
    official = IBUG300WDataModule(real_ibug, split="official")
    counts = {split: len(faces) for split, faces in official.splits.items()}
    assert counts == {"train": 1557, "val": 173, "common": 478}
    assert not groups(official.splits["train"]) & groups(official.splits["common"])
