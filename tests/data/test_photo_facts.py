import shutil

import pytest
from PIL import Image

from keypoints.data.photo_facts import count_groups, is_of_photo, look_at_photos
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
    return [look_at_photos(paths, NAMING)[path].group for path in paths]


def test_photos_of_one_name_in_different_folders_are_different(photo):
    one, other = groups(photo("train/images/1.png", 1), photo("val/images/1.png", 2))
    assert one != other


def test_camera_names_are_groups_of_their_own(photo):
    names = [f"IMG_20240101_10000{number}.png" for number in range(3)]
    assert len(set(groups(*(photo(name) for name in names)))) == 3


def test_a_photo_is_the_same_after_a_move_and_by_a_link(photo, tmp_path):
    path = photo("old/images/1.png")
    (before,) = groups(path)
    shutil.copytree(tmp_path / "old", tmp_path / "elsewhere")
    (tmp_path / "link.png").symlink_to(path)
    assert groups(tmp_path / "elsewhere/images/1.png", tmp_path / "link.png") == [before, before]


def test_a_mirror_image_goes_with_its_original_where_that_lies_beside_it(photo):
    original, mirrored = photo("a.png", 1), photo("a_mirror.png", 2)
    alone = photo("b_mirror.png", 3)
    first, second, third = groups(original, mirrored, alone)
    assert first == second != third
    assert groups(mirrored) == [first]


def test_in_300_ws_folders_a_photo_is_known_by_its_name(photo):
    path = photo("helen/trainset/100032540_1.png")
    link = path.parents[2] / "link.png"
    link.symlink_to(path)
    assert groups(path, link) == ["helen/trainset/100032540"] * 2


def test_sizes_are_those_of_the_upright_photo(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photo("turned.jpg", exif=exif)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = look_at_photos([turned, tmp_path / "broken.png", tmp_path / "none.png"])
    assert found[turned].size == (30, 40)
    assert found[tmp_path / "broken.png"].size is None
    assert isinstance(found[tmp_path / "none.png"], DataError)


def test_groups_are_counted_by_their_names_where_they_have_some(photo):
    photos = [*groups(photo("a.png")), *groups(photo("b.png"))]
    assert count_groups(photos) == 2
    assert count_groups(["anna", *photos]) == 1


def test_groups_of_photos_are_told_from_those_that_a_list_names(photo):
    (group,) = groups(photo("a b.png"))
    assert is_of_photo(group)
    assert not any(map(is_of_photo, ["anna", "person 7", "helen/trainset/1", "", "a" * 32, f"x {'g' * 32}"]))


def test_a_folder_of_300_ws_name_with_other_photos_is_none_of_300_ws(photo):
    one, other = groups(photo("aa/afw/0.png", 1), photo("bb/afw/0.png", 2))
    assert one != other


def test_a_copy_of_300_ws_photo_is_known_by_its_contents(photo, tmp_path):
    path = photo("helen/trainset/100032540_1.png")
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    found = look_at_photos([path, copy], NAMING)
    assert found[path].photo_id == found[copy].photo_id == found[copy].group
