import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keypoints.data.readers.ibug300w import (
    PARSED_LIST,
    TEST_LIST,
    TRAIN_LIST,
    detector_box,
    photo_of,
    read_dlib_xml,
    read_ibug_folder,
    split_official,
)
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.schemes import IBUG68
from tests.conftest import WILD, wild_points


def test_faces_of_a_list_keep_their_order_and_have_tags(wild):
    faces, skipped = read_dlib_xml(wild / TEST_LIST)
    assert not skipped
    assert [face.name for face in faces] == [
        "30844800_1",
        "image_0001",
        "image_0001",
        "30844800_1_mirror",
        "image_0001_mirror",
        "image_0001_mirror",
    ]
    assert [face.tags["subset"] for face in faces[:3]] == ["helen/testset", "lfpw/trainset", "lfpw/testset"]
    assert [face.tags["mirror"] for face in faces] == ["no"] * 3 + ["yes"] * 3
    assert [face.group for face in faces[:3]] == [face.group for face in faces[3:]]
    assert len({face.group for face in faces}) == 3  # the two image_0001 are different photos
    assert faces[0].box == Box(63, 40, 80, 70)
    np.testing.assert_array_equal(faces[0].landmarks(), np.rint(wild_points(3)))
    assert faces[0].photo.size == (200, 160)


def test_the_list_of_the_course_has_no_points(wild):
    faces, _ = read_dlib_xml(wild / PARSED_LIST)
    assert len(faces) == 6
    assert all(face.points is None for face in faces)


@pytest.mark.parametrize(
    ("pictures", "together"),
    [
        (("afw/134212_1.jpg", "afw/134212_2.jpg"), True),
        (("afw/134212_1.jpg", "afw/134212_2_mirror.jpg"), True),
        (("helen/trainset/2005566839_1.jpg", "helen/trainset/2005566839_3.jpg"), True),
        (("helen/trainset/2005566839_1.jpg", "helen/trainset/200556683_1.jpg"), False),
        (("lfpw/trainset/image_0457.png", "lfpw/trainset/image_0457_mirror.jpg"), True),
        (("lfpw/trainset/image_0457.png", "lfpw/trainset/image_0458.png"), False),
        (("lfpw/trainset/image_0001.png", "lfpw/testset/image_0001.png"), False),
        (("ibug/image_003_1.jpg", "ibug/image_004_1.jpg"), False),
        (("ibug/image_033_1.jpg", "ibug/image_033_2.jpg"), True),
    ],
)
def test_faces_of_a_photo_and_its_mirrored_copy_share_a_group(pictures, together):
    first, second = map(photo_of, pictures)
    assert (first == second) == together


def test_bad_faces_are_errors_or_are_skipped_with_a_reason(wild):
    path = wild / TRAIN_LIST
    text = path.read_text()
    path.write_text(
        text.replace("<part name='67'", "<part name='66'", 1).replace("width='80'", "width='-1'", 2)
    )
    with pytest.raises(DataError, match=r"train\.xml: image 1 \(afw/134212_1\.jpg\): "):
        read_dlib_xml(path)
    faces, skipped = read_dlib_xml(path, strict=False)
    assert [face.name for face in faces] == ["2005566839_1"]
    assert len(skipped) == 2
    assert re.search(r"train\.xml: image 2 \(afw/134212_2\.jpg\): a box needs positive sides", skipped[1])


def test_a_broken_list_is_an_error_in_any_mode(wild):
    path = wild / TRAIN_LIST
    path.write_text(path.read_text()[:-200])
    for strict in (True, False):
        with pytest.raises(DataError, match=r"train\.xml: is no XML, damaged or cut off"):
            read_dlib_xml(path, strict=strict)


def test_the_official_folders_are_read_with_their_pictures(wild):
    for old, new in (("afw/134212_1.jpg", ".JPG"), ("helen/trainset/2005566839_1.jpg", ".Jpeg")):
        (wild / old).rename((wild / old).with_suffix(new))
    (wild / "afw" / "._134212_1.pts").write_text("what a Mac leaves behind")
    mirror = wild / "afw" / "134212_2_mirror.jpg"
    shutil.copy(wild / "afw" / "134212_2.jpg", mirror)
    shutil.copy(wild / "afw" / "134212_2.pts", mirror.with_suffix(".pts"))
    faces, skipped = read_ibug_folder(wild)
    assert not skipped
    names = [str(face.photo.path.relative_to(wild)) for face in faces]
    assert names[:4] == [
        "afw/134212_1.JPG",
        "afw/134212_2.jpg",
        "afw/134212_2_mirror.jpg",
        "helen/testset/30844800_1.jpg",
    ]
    assert len(faces) == len(WILD) + 1
    assert {face.group for face in faces[:3]} == {"afw/134212"}
    assert faces[2].tags == {"subset": "afw", "mirror": "yes"}
    np.testing.assert_allclose(faces[1].landmarks(), wild_points(1), atol=1e-6)
    assert faces[1].box == detector_box(faces[1].landmarks())


def test_the_detector_box_is_shifted_and_enlarged():
    points = np.array([[100.0, 200.0], [300.0, 300.0], [150.0, 260.0]])
    box = detector_box(points)
    assert (box.left, box.top, box.width, box.height) == pytest.approx((91, 185.8, 209.6, 107))


BAD_FILES = {
    "a missing picture": (lambda pts: pts.with_suffix(".jpg").unlink(), "its picture is missing"),
    "two pictures": (
        lambda pts: shutil.copy(pts.with_suffix(".jpg"), pts.with_suffix(".PNG")),
        r"has two pictures beside it, 134212_1\.PNG and 134212_1\.jpg",
    ),
    "67 points": (
        lambda pts: pts.write_text("\n".join(["1 2"] * 67)),
        "has 67 points instead of 68",
    ),
    "a single place": (lambda pts: pts.write_text("\n".join(["1 2"] * 68)), "its points make no face"),
    "letters": (lambda pts: pts.write_text("x y"), "line 1: not a point"),
}


@pytest.mark.parametrize(("damage", "says"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_an_error_or_is_skipped(wild, damage, says):
    damage(wild / "afw" / "134212_1.pts")
    with pytest.raises(DataError, match=rf"134212_1\.pts: .*{says}"):
        read_ibug_folder(wild)
    faces, skipped = read_ibug_folder(wild, strict=False)
    assert len(faces) == len(WILD) - 1
    assert re.search(says, skipped[0])


def test_the_error_for_missing_annotations_tells_how_to_get_them(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.pts file.*dlib\.net"):
        read_ibug_folder(tmp_path)
    with pytest.raises(DataError, match=r"nowhere: no such folder.*dlib\.net"):
        read_ibug_folder(tmp_path / "nowhere")


def test_the_official_split_is_by_folder(wild):
    (wild / "ibug").mkdir()
    split = split_official(read_ibug_folder(wild).faces)
    assert [len(faces) for faces in (split.train, split.common, split.challenge, split.full)] == [4, 2, 0, 2]
    assert split.absent == ("ibug",)
    for suffix in (".jpg", ".pts"):
        shutil.copy((wild / WILD[0]).with_suffix(suffix), wild / "ibug" / f"image_003_1{suffix}")
    split = split_official(read_ibug_folder(wild).faces)
    assert [face.name for face in split.challenge] == ["image_003_1"]
    assert len(split.full) == 3
    assert not split.absent


def test_mirrored_copies_are_used_for_training_only(wild):
    split = split_official(read_dlib_xml(wild / TEST_LIST).faces)
    assert [face.name for face in split.train] == ["image_0001", "image_0001_mirror"]
    assert [face.tags["mirror"] for face in split.common] == ["no", "no"]


def test_a_folder_outside_the_protocol_is_reported(wild):
    (wild / "afw").rename(wild / "friends")
    with pytest.raises(DataError, match=r"134212_1\.jpg: the folder 'friends' is not in .* lfpw/testset"):
        split_official(read_ibug_folder(wild).faces)


@pytest.fixture(scope="module")
def training(real_ibug):
    return read_dlib_xml(real_ibug / TRAIN_LIST).faces


@pytest.fixture(scope="module")
def testing(real_ibug):
    return read_dlib_xml(real_ibug / PARSED_LIST).faces


REDUCED = (2208, 716)


def test_the_real_lists_are_read_completely(training, testing):
    assert (len(training), len(testing)) in (REDUCED, (6666, 1008))
    assert all(face.points is not None for face in training)
    assert all(face.points is None for face in testing)
    points = np.stack([face.landmarks() for face in training])
    # In nearly every face the eyes are above the mouth, and the left eye is nearer to x = 0.
    assert (points[:, 36, 1] < points[:, 57, 1]).mean() > 0.99
    assert (points[:, 36, 0] < points[:, 45, 0]).mean() > 0.99


def test_the_real_split_has_the_known_counts(training):
    if len(training) != REDUCED[0]:
        pytest.skip("counts of the reduced copy")
    split = split_official(training)
    assert (len(split.train), len(split.common), split.absent) == (1730, 478, ("ibug",))


def test_the_real_list_has_the_rounded_points_of_the_pts_files(training, real_ibug):
    exact = {face.photo.path: face for face in read_ibug_folder(real_ibug).faces}
    found = [exact[face.photo.path] for face in training if face.tags["mirror"] == "no"]
    listed = [face for face in training if face.tags["mirror"] == "no"]
    for face, other in zip(listed, found, strict=True):
        assert np.abs(face.landmarks() - np.rint(other.landmarks())).max() <= 1
        assert face.group == other.group
    # The box computed from the points overlaps the detector's box.
    overlaps = [overlap(face.box, other.box) for face, other in zip(listed, found, strict=True)]
    assert np.median(overlaps) > 0.7


def overlap(a, b):
    """Return the intersection over union."""
    width = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    height = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    common = max(width, 0) * max(height, 0)
    return common / (a.width * a.height + b.width * b.height - common)


def test_the_second_half_of_the_test_list_is_mirrored(testing):
    half = len(testing) // 2
    for face, copy in zip(testing[:half], testing[half:], strict=True):
        assert copy.name == f"{face.name}_mirror"
        assert copy.group == face.group
    for face, copy in zip(testing[:half:40], testing[half::40], strict=True):
        first, second = (np.asarray(Image.open(each.photo.path).convert("L"), float) for each in (face, copy))
        assert np.abs(first[:, ::-1] - second).mean() < 4
        width = face.photo.size[0]
        assert abs(width - face.box.width - face.box.left - copy.box.left) <= 1


def test_no_real_picture_is_in_both_lists(training, testing):
    assert not {face.photo.path for face in training} & {face.photo.path for face in testing}


def test_real_faces_have_all_points_of_the_scheme(training):
    assert {len(face.landmarks()) for face in training} == {len(IBUG68)}
