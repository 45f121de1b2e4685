import json
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image

from keypoints.data.formats import unpacked
from keypoints.data.formats.unpacked import RECORD, unpack
from keypoints.errors import DataError
from keypoints.files import locked


def decode(value):
    if value < 0:
        raise ValueError(f"{value} is no grey value")
    return np.full((4, 5), value, np.uint8)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "faces.csv"
    path.write_text("1 2 -3 1")
    return path


def numbers(path):
    return [int(value) for value in path.read_text().split()]


def unpack_numbers(path, root=None):
    return unpack(path, root or path.parent, lambda: numbers(path), decode)


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def refuse(value):
    raise AssertionError("the pictures are unpacked already")


def test_each_different_picture_becomes_a_png_file(source):
    pictures = unpack_numbers(source)
    folder = source.parent / "faces_pictures"
    assert names(folder) == ["00001.png", "00002.png", RECORD]
    assert [pictures.name(number) for number in (1, 2, 4)] == [
        *("faces_pictures/00001.png", "faces_pictures/00002.png", "faces_pictures/00001.png")
    ]
    with pytest.raises(ValueError, match="-3 is no grey value"):
        pictures.name(3)
    with Image.open(folder / "00002.png") as image:
        assert image.size == (5, 4)
        assert image.getextrema() == (2, 2)


def test_a_complete_folder_is_not_written_again(source):
    first = unpack_numbers(source)
    again = unpack(source, source.parent, lambda: [1, 2], refuse)
    assert again == first


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "00002.png").unlink(),
        lambda folder: (folder / RECORD).unlink(),
        lambda folder: (folder / RECORD).write_text("{"),
        lambda folder: (folder / RECORD).write_text("[]"),
        lambda folder: (folder / RECORD).write_text('{"files": [1], "refused": {"1": 2}}'),
    ],
)
def test_an_incomplete_folder_is_unpacked_again(source, damage):
    first = unpack_numbers(source)
    folder = source.parent / "faces_pictures"
    before = names(folder)
    damage(folder)
    assert unpack_numbers(source) == first
    assert names(folder) == before


def test_a_changed_file_replaces_the_pictures(source):
    unpack_numbers(source)
    folder = source.parent / "faces_pictures"
    (folder / "mine.txt").write_text("stays")
    source.write_text("7")
    pictures = unpack_numbers(source)
    assert names(folder) == ["00001.png", "mine.txt", RECORD]
    with Image.open(source.parent / pictures.name(1)) as image:
        assert image.getextrema() == (7, 7)


def test_a_failure_leaves_no_folder(source):
    def broken():
        yield 1
        raise DataError("the file ends here")

    with pytest.raises(DataError, match="the file ends here"):
        unpack(source, source.parent, broken, decode)
    assert names(source.parent) == ["faces.csv"]


def test_pictures_can_be_unpacked_into_another_folder(source, tmp_path):
    unpack_numbers(source, tmp_path / "other")
    assert names(tmp_path / "other" / "faces_pictures") == ["00001.png", "00002.png", RECORD]


def test_a_folder_that_cannot_be_written_is_named(source, monkeypatch):
    (source.parent / "faces_pictures").write_text("a file in the place of the folder")
    with pytest.raises(DataError, match=r"faces_pictures.*: cannot be written \(.*\).*root=<folder>"):
        unpack_numbers(source)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"faces\.csv: cannot be read"):
        unpack(tmp_path / "faces.csv", tmp_path, list, decode)


def test_processes_that_unpack_at_once_agree(source):
    source.write_text(" ".join(map(str, range(200))))
    with ProcessPoolExecutor(3, get_context("spawn")) as processes:
        found = list(processes.map(unpack_numbers, [source] * 3))
    assert found[0] == found[1] == found[2]
    assert names(source.parent / "faces_pictures") == [*(f"{n:05d}.png" for n in range(1, 201)), RECORD]


def test_a_process_waits_for_another_one(source, monkeypatch):
    folder = source.parent / "faces_pictures"
    free = threading.Event()
    monkeypatch.setattr("keypoints.files.sleep", lambda _: free.set() or held.__exit__(None, None, None))
    held = locked(folder)
    held.__enter__()
    unpack_numbers(source)
    assert free.is_set()


def test_waiting_for_another_process_has_an_end(source, monkeypatch):
    monkeypatch.setattr(unpacked, "_PATIENCE", -1)
    with (
        locked(source.parent / "faces_pictures"),
        pytest.raises(DataError, match=f"faces_pictures: process {os.getpid()} on .* is writing it"),
    ):
        unpack_numbers(source)


def test_the_record_tells_the_file_it_belongs_to(source):
    unpack_numbers(source)
    record = json.loads((source.parent / "faces_pictures" / RECORD).read_text())
    assert record["size"] == 8
    assert record["refused"] == {"3": "-3 is no grey value"}
