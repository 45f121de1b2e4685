import shutil

import pytest
from PIL import Image

from keypoints.data.photo_facts import count_groups, is_of_photo, read_photo_facts
from keypoints.data.readers.ibug300w import NAMING
from keypoints.errors import DataError


@pytest.fixture
def photo(tmp_path):
    def save(name, shade=0, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 30), shade).save(path, **options)
        return path

    return save


def groups(*paths):
    return [read_photo_facts(paths, NAMING)[path].group for path in paths]


def test_photos_with_one_name_in_two_folders_are_different(photo):
    one, other = groups(photo("train/images/1.png", 1), photo("val/images/1.png", 2))
    assert one != other


def test_photos_named_by_a_camera_are_separate_groups(photo):
    names = [f"IMG_20240101_10000{number}.png" for number in range(3)]
    assert len(set(groups(*(photo(name) for name in names)))) == 3


def test_a_moved_or_linked_photo_keeps_its_group(photo, tmp_path):
    path = photo("old/images/1.png")
    (before,) = groups(path)
    shutil.copytree(tmp_path / "old", tmp_path / "elsewhere")
    (tmp_path / "link.png").symlink_to(path)
    assert groups(tmp_path / "elsewhere/images/1.png", tmp_path / "link.png") == [before, before]


def test_a_mirrored_copy_has_the_group_of_its_original(photo):
    original, mirrored = photo("a.png", 1), photo("a_mirror.png", 2)
    alone = photo("b_mirror.png", 3)
    first, second, third = groups(original, mirrored, alone)
    assert first == second != third
    assert groups(mirrored) == [first]


def test_photos_in_300w_folders_are_grouped_by_name(photo):
    path = photo("helen/trainset/100032540_1.png")
    link = path.parents[2] / "link.png"
    link.symlink_to(path)
    assert groups(path, link) == ["helen/trainset/100032540"] * 2


def test_sizes_are_those_of_the_upright_photo(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photo("turned.jpg", exif=exif)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = read_photo_facts([turned, tmp_path / "broken.png", tmp_path / "none.png"])
    assert found[turned].size == (30, 40)
    assert found[tmp_path / "broken.png"].size is None
    assert isinstance(found[tmp_path / "none.png"], DataError)


def test_named_groups_are_counted_before_photos(photo):
    photos = [*groups(photo("a.png")), *groups(photo("b.png"))]
    assert count_groups(photos) == 2
    assert count_groups(["anna", *photos]) == 1


def test_photo_groups_are_distinguished_from_named_groups(photo):
    (group,) = groups(photo("a b.png"))
    assert is_of_photo(group)
    assert not any(map(is_of_photo, ["anna", "person 7", "helen/trainset/1", "", "a" * 32, f"x {'g' * 32}"]))


def test_other_photos_in_a_folder_named_like_300w_are_not_grouped(photo):
    one, other = groups(photo("aa/afw/0.png", 1), photo("bb/afw/0.png", 2))
    assert one != other


def test_a_copied_300w_photo_is_identified_by_its_contents(photo, tmp_path):
    path = photo("helen/trainset/100032540_1.png")
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    found = read_photo_facts([path, copy], NAMING)
    assert found[path].photo_id == found[copy].photo_id == found[copy].group
