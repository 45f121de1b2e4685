import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.data.compact_copy import MAP_FILE, read_map
from keypoints.data.readers.ibug300w import (
    PARSED_LIST,
    TEST_LIST,
    TRAIN_LIST,
    read_dlib_xml,
    read_ibug_folder,
)
from keypoints.data.readers.imm import read_imm
from keypoints.datatools.shrink import shrink
from keypoints.datatools.verify import verify
from keypoints.errors import ConfigError, DataError
from keypoints.files import _host
from tests.conftest import WILD


def shrunk(dataset, root, output, *more):
    return shrink(compose("shrink", [f"dataset={dataset}", f"root={root}", f"output={output}", *more]))


def contents(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def small(wild, tmp_path):
    copy = shrunk("ibug300w", wild, tmp_path / "small", "side=40", "context=1.3", "quality=98")
    assert (copy.pictures, copy.side) == (9, 40)
    return copy.root


def test_the_copy_has_the_same_layout_and_no_errors(wild, small):
    names = {str(path) for path in contents(small)}
    assert names >= {TRAIN_LIST, TEST_LIST, PARSED_LIST, MAP_FILE, "afw/134212_1.jpg", "afw/134212_1.pts"}
    assert "lfpw/trainset/image_0001.jpg" in names  # the original is a .png
    assert "lfpw/trainset/image_0001_mirror.jpg" in names
    found = verify(compose("verify", ["dataset=ibug300w", f"root={small}"]))
    assert not found.wrong, found.findings
    for name, number in ((TRAIN_LIST, 3), (TEST_LIST, 6), (PARSED_LIST, 6)):
        faces, before = read_dlib_xml(small / name).faces, read_dlib_xml(wild / name).faces
        assert [face.group for face in faces] == [face.group for face in before]
        assert len(faces) == number
        assert all(max(face.box.width, face.box.height) <= 40 for face in faces)


def test_points_and_boxes_map_back_to_the_original(wild, small):
    originals = read_map(small)
    before = {face.photo.path.relative_to(wild).as_posix(): face for face in read_ibug_folder(wild).faces}
    for face in read_ibug_folder(small).faces:
        original = originals[face.photo.path.relative_to(small).as_posix()]
        back = original.to_original(face.landmarks())
        np.testing.assert_allclose(back, before[original.file].landmarks(), atol=1e-5)
        assert original.size == (200, 160)
    # The list holds the rounded .pts points, not points that were rounded twice.
    exact = {face.photo.path: face.landmarks() for face in read_ibug_folder(small).faces}
    for face in read_dlib_xml(small / TRAIN_LIST).faces:
        np.testing.assert_array_equal(face.landmarks(), np.rint(exact[face.photo.path]))
        original = originals[face.photo.path.relative_to(small).as_posix()]
        corner = original.to_original([face.box.left - 0.5, face.box.top - 0.5]) + 0.5
        assert np.abs(corner - (60 + WILD.index(original.file), 40)).max() <= 1  # half a pixel of the copy


def test_every_pixel_matches_the_map_to_the_original(wild, tmp_path):
    root = shrunk("ibug300w", wild, tmp_path / "small", "side=16", "quality=98").root
    originals = read_map(root)
    for name in ("afw/134212_2.jpg", "lfpw/trainset/image_0001.jpg"):
        pixels = np.asarray(Image.open(root / name), float)
        height, width = pixels.shape[:2]
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2)
        # Red is x and green is y in the original pictures. The scale is 1/5: half a pixel is about 2 of them.
        off = (pixels[..., :2] - originals[name].to_original(grid))[2:-2, 2:-2]
        assert np.abs(off.mean(axis=(0, 1))).max() < 0.6
        assert np.abs(off).max() < 5  # JPEG


def test_pictures_are_not_enlarged_and_contain_all_landmarks(wild, tmp_path):
    root = shrunk("ibug300w", wild, tmp_path / "small", "side=900", "context=1").root
    for face in read_ibug_folder(root).faces:
        assert (face.landmarks() > 5).all()
        assert (face.landmarks() < np.array(face.photo.size) - 5).all()
    for original in read_map(root).values():
        np.testing.assert_array_equal(original.to_original.matrix[:, :2], np.eye(2))


def test_a_second_call_writes_only_missing_files(wild, small):
    before = contents(small)
    pictures = {path: time for path, time in before.items() if path.suffix in (".jpg", ".pts")}
    texts = {path: (small / path).read_bytes() for path in before}
    (small / "afw" / "134212_1.jpg").unlink()
    left = f".134212_1.jpg.{0x3FFFFFF0}-{_host()}00000000.part"  # of a process that has ended
    (small / "afw" / left).write_bytes(b"half a picture")
    (small / "afw" / "134212_2.pts").unlink()
    (small / MAP_FILE).unlink()
    shrunk("ibug300w", wild, small, "side=40", "context=1.3", "quality=98")
    after = contents(small)
    assert set(after) == set(before)
    assert {path: (small / path).read_bytes() for path in after} == texts
    changed = {str(path) for path in pictures if after[path] != before[path]}
    assert changed == {"afw/134212_1.jpg", "afw/134212_2.pts"}


def test_a_folder_with_other_contents_is_refused(wild, small, tmp_path):
    before = contents(small)
    with pytest.raises(
        DataError, match=r"holds a copy made with dataset=ibug300w, side=40, context=1\.3, quality"
    ):
        shrunk("ibug300w", wild, small, "side=50")
    assert contents(small) == before
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "letter.txt").touch()
    with pytest.raises(DataError, match="own: already holds other files"):
        shrunk("ibug300w", wild, tmp_path / "own", "side=50")
    (small / "shrink.json").write_text("{")
    with pytest.raises(DataError, match=r"shrink\.json: cannot be read"):
        shrunk("ibug300w", wild, small, "side=40")


def test_the_side_follows_from_the_total_size(wild, tmp_path):
    free = shrunk("ibug300w", wild, tmp_path / "free", "side=70")
    copy = shrunk("ibug300w", wild, tmp_path / "small", f"total_mb={free.megabytes * 0.9}")
    assert 16 <= copy.side < 70
    assert copy.megabytes <= free.megabytes * 0.9
    again = shrunk("ibug300w", wild, tmp_path / "small", f"total_mb={free.megabytes * 0.9}")
    assert again == copy
    with pytest.raises(
        ConfigError, match=r"total_mb=0\.01 is too little: 9 pictures take .* even with side=16"
    ):
        shrunk("ibug300w", wild, tmp_path / "tiny", "total_mb=0.01")


def test_a_copy_of_a_copy_maps_to_the_first_originals(wild, small, tmp_path):
    root = shrunk("ibug300w", small, tmp_path / "smaller", "side=25").root
    before = {face.photo.path.relative_to(wild).as_posix(): face for face in read_ibug_folder(wild).faces}
    for face in read_ibug_folder(root).faces:
        original = read_map(root)[face.photo.path.relative_to(root).as_posix()]
        assert original.size == (200, 160)
        back = original.to_original(face.landmarks())
        np.testing.assert_allclose(back, before[original.file].landmarks(), atol=1e-4)


def test_each_face_of_a_photo_becomes_a_picture(wild, tmp_path):
    (wild / "afw" / "134212_1.jpg").rename(wild / "afw" / "ø & 1.jpg")
    (wild / "afw" / "134212_1.pts").unlink()
    path = wild / TRAIN_LIST
    text = path.read_text().replace("134212_1.jpg", "&#248; &amp; 1.jpg")
    first, second = (
        "<box top='40' left='60' width='80' height='70'>",
        "<box top='30' left='20' width='90' height='90'/>",
    )
    path.write_text(text.replace(first, second + first))
    root = shrunk("ibug300w", wild, tmp_path / "small", "side=40").root
    faces = read_dlib_xml(root / TRAIN_LIST).faces
    assert [face.photo.path.name for face in faces[:2]] == ["-1.jpg", "-1_2.jpg"]
    assert faces[0].group == faces[1].group
    assert [face.points is None for face in faces[:2]] == [True, False]
    assert read_map(root)["afw/-1_2.jpg"].file == "afw/ø & 1.jpg"


def test_pts_folders_without_lists_are_copied(wild, tmp_path):
    for name in (TRAIN_LIST, TEST_LIST, PARSED_LIST):
        (wild / name).unlink()
    root = shrunk("ibug300w", wild, tmp_path / "small", "side=40").root
    assert len(read_ibug_folder(root).faces) == len(WILD)
    assert not list(root.glob("*.xml"))


def test_pictures_of_imm_are_scaled_uncropped(made_up_imm, tmp_path):
    copy = shrunk("imm", made_up_imm, tmp_path / "small", "side=80")
    assert copy.pictures == 30
    originals = read_map(copy.root)
    for face, before in zip(read_imm(copy.root), read_imm(made_up_imm), strict=True):
        assert face.photo.size == (80, 60)
        back = originals[face.photo.path.name].to_original(face.landmarks())
        np.testing.assert_allclose(back, before.landmarks(), atol=1e-4)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "give either side="),
        (["side=40", "total_mb=1"], "give either side="),
        (["side=0"], "side is a whole number from 1 up, or null, not 0"),
        (["side=2.5"], "side is a whole number"),
        (["side=big"], "side is a whole number .*not 'big'"),
        (["total_mb=0"], "total_mb is a finite number above 0 to 1e.09, or null, not 0"),
        (["side=40", "context=0.5"], "context is a finite number from 1 to 100, not 0.5"),
        (["side=40", "quality=101"], "quality is a whole number from 1 to 100, not 101"),
        (["side=40", "quality=87.5"], "quality is a whole number"),
        (["side=40", "dataset=faces"], "dataset is one of imm, ibug300w, not 'faces'"),
    ],
    ids=str,
)
def test_an_invalid_value_is_refused(wild, tmp_path, more, says):
    with pytest.raises(ConfigError, match=says):
        shrink(compose("shrink", ["dataset=ibug300w", f"root={wild}", f"output={tmp_path / 'small'}", *more]))
    assert not (tmp_path / "small").exists()


def test_an_output_inside_the_data_set_is_refused(wild):
    before = contents(wild)
    for output in (wild, wild / "small", wild / "afw" / ".." / "x"):
        with pytest.raises(ConfigError, match="lies in the data set itself"):
            shrunk("ibug300w", wild, output, "side=40")
    assert contents(wild) == before


def test_read_and_write_errors_are_one_line(wild, tmp_path, monkeypatch, capsys):
    def error_of(output, *more):
        with pytest.raises(SystemExit, match="1"):
            main(["data", "shrink", "ibug300w", f"root={wild}", f"output={output}", "side=40", *more])
        return capsys.readouterr().err.splitlines()[-1]

    (tmp_path / "file").touch()
    assert error_of(tmp_path / "file").startswith(f"error: {tmp_path / 'file'}")
    assert error_of("/proc/nothing/x").startswith("error: /proc/nothing/x")

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert ".jpg: cannot be written (No space left on device)" in error_of(tmp_path / "full")
    assert not list((tmp_path / "full").rglob("*.part"))

    jpg = wild / "afw" / "134212_2.jpg"
    whole = jpg.read_bytes()
    jpg.write_bytes(whole[:-300])
    assert f"error: {jpg}: truncated or damaged" in error_of(tmp_path / "full")
    jpg.write_bytes(whole)
    main(["data", "shrink", "ibug300w", f"root={wild}", f"output={tmp_path / 'full'}", "side=40"])
    assert "9 pictures, side 40" in capsys.readouterr().out


def test_a_box_outside_its_picture_is_refused(wild, tmp_path):
    path = wild / PARSED_LIST
    path.write_text(path.read_text().replace("left='63'", "left='800'", 1))
    with pytest.raises(DataError, match=r"30844800_1\.jpg: .* outside the picture of 200 × 160"):
        shrunk("ibug300w", wild, tmp_path / "small", "side=40")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds neither a list"):
        shrunk("ibug300w", tmp_path / "empty", tmp_path / "small", "side=40")


def test_a_copy_of_real_faces_has_no_errors(real_ibug, tmp_path):
    few = tmp_path / "few"
    faces = read_ibug_folder(real_ibug).faces[::100]
    for face in faces:
        for path in (face.photo.path, face.photo.path.with_suffix(".pts")):
            target = few / path.relative_to(real_ibug)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    root = shrunk("ibug300w", few, tmp_path / "small", "side=100").root
    originals = read_map(root)
    for face, before in zip(read_ibug_folder(root).faces, faces, strict=True):
        name = face.photo.path.relative_to(root).as_posix()
        np.testing.assert_allclose(
            originals[name].to_original(face.landmarks()), before.landmarks(), atol=1e-4
        )
    assert not verify(compose("verify", ["dataset=ibug300w", f"root={root}"])).wrong
