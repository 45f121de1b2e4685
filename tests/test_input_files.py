import gzip
import os
import socket

import pytest

from keypoints.data.compact_copy import read_map
from keypoints.data.formats.dlib_xml import read_entries
from keypoints.data.formats.pts import read_pts
from keypoints.data.photos import Photo
from keypoints.data.readers.imm import read_asf
from keypoints.data.readers.labelled import read_labelled
from keypoints.datatools.archives import check_kind
from keypoints.datatools.fetch import check_sum
from keypoints.errors import DataError
from keypoints.inference.box_list import read_box_list
from keypoints.inference.photo_inputs import find_photos
from keypoints.inference.submission_file import read_submission
from keypoints.input_files import (
    MOST_PHOTO,
    read_beginning,
    read_bytes,
    read_text,
    read_unpacked,
    read_unpacked_text,
)

NAME = "originals.csv"
READERS = {
    "photo": lambda path: Photo(path).decode(3),
    "size of a photo": lambda path: Photo(path).size,
    "labelled list": read_labelled,
    "box list": read_box_list,
    "dlib's list": lambda path: list(read_entries(path, 68)),
    "submission": lambda path: read_submission(path, 68),
    "pts": read_pts,
    "asf": read_asf,
    "map": lambda path: read_map(path.parent),
    "archive": check_kind,
    "sum": lambda path: check_sum(path, "0" * 64),
}


def make_loop(path):
    path.symlink_to(path.name)


def make_socket(path, monkeypatch):
    monkeypatch.chdir(path.parent)  # a socket's path may have at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)


SPECIAL = {
    "a pipe": (os.mkfifo, "is a named pipe, not a regular file"),
    "a link to a pipe": (
        lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")),
        "is a named pipe, not a regular file",
    ),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a regular file"),
    "links in a circle": (make_loop, r"cannot be read \(Too many levels of symbolic links\)"),
    "a folder": (os.mkdir, "is a folder, not a regular file"),
    "a socket": (make_socket, "is a socket, not a regular file"),
}


def make(kind, path, monkeypatch):
    made, says = SPECIAL[kind]
    _ = made(path, monkeypatch) if made is make_socket else made(path)
    return says


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", SPECIAL)
def test_a_path_that_is_no_regular_file_is_not_opened(tmp_path, monkeypatch, kind, reader):
    says = make(kind, tmp_path / NAME, monkeypatch)
    with pytest.raises(DataError, match=rf"{NAME}: {says}$") as caught:
        READERS[reader](tmp_path / NAME)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", sorted({*SPECIAL} - {"a folder"}))
def test_a_photo_to_predict_has_to_be_a_regular_file(tmp_path, monkeypatch, kind):
    says = make(kind, tmp_path / "a.jpg", monkeypatch)
    with pytest.raises(DataError, match=rf"a\.jpg: {says}"):
        find_photos(str(tmp_path / "a.jpg"))
    (photo,) = find_photos(str(tmp_path)).photos
    with pytest.raises(DataError, match=rf"a\.jpg: {says}"):
        Photo(photo.path).decode(3)


@pytest.mark.parametrize("reader", sorted({*READERS} - {"archive", "sum"}))
def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path, reader):
    (tmp_path / NAME).write_bytes(b"image,x0,y0\n")
    os.truncate(tmp_path / NAME, MOST_PHOTO + 1)  # a sparse file
    with pytest.raises(
        DataError, match=rf"{NAME}: is (longer than the [\d,]+ bytes that are read|in no format)"
    ):
        READERS[reader](tmp_path / NAME)


def test_a_file_that_grows_while_it_is_read_is_limited(tmp_path, monkeypatch):
    (tmp_path / NAME).write_bytes(b"12345")
    monkeypatch.setattr("os.fstat", lambda _: os.stat_result([0] * 10))
    assert read_bytes(tmp_path / NAME, 5) == b"12345"
    with pytest.raises(DataError, match="is longer than the 4 bytes"):
        read_bytes(tmp_path / NAME, 4)


def test_gzip_is_decompressed_whatever_the_name(tmp_path):
    packed = gzip.compress("ø\n".encode("utf-8-sig")) + gzip.compress(b"more")
    (tmp_path / NAME).write_bytes(packed)
    assert read_unpacked_text(tmp_path / NAME, 1000) == "ø\nmore"
    assert read_bytes(tmp_path / NAME, 1000) == packed
    assert read_beginning(tmp_path / NAME, 50) == "ø\n".encode("utf-8-sig")


@pytest.mark.parametrize("read", [read_unpacked, read_unpacked_text])
def test_decompressed_contents_above_the_limit_are_refused(tmp_path, read):
    (tmp_path / NAME).write_bytes(gzip.compress(bytes(10**7)))
    with pytest.raises(DataError, match=rf"{NAME}: unpacks to more than the 1,000,000 bytes"):
        read(tmp_path / NAME, 10**6)


@pytest.mark.parametrize("reader", ["labelled list", "box list", "dlib's list", "submission"])
@pytest.mark.parametrize("damage", ["cut off", "a wrong byte", "only a beginning", "a wrong sum"])
def test_a_damaged_gzip_file_is_named(tmp_path, reader, damage):
    packed = gzip.compress(b"image,x0,y0\n" + os.urandom(1000))
    end = {"cut off": packed[:-300], "only a beginning": packed[:2], "a wrong sum": packed[:-8] + bytes(8)}
    (tmp_path / NAME).write_bytes(end.get(damage, packed[:200] + b"\xff" * 100 + packed[300:]))
    with pytest.raises(
        DataError, match=rf"{NAME}: (cannot be read|is in no format|is no list of photos)"
    ) as caught:
        READERS[reader](tmp_path / NAME)
    assert "\n" not in str(caught.value)


def test_text_in_another_encoding_is_refused(tmp_path):
    (tmp_path / NAME).write_bytes("ø".encode("latin-1"))
    with pytest.raises(DataError, match=rf"{NAME}: is not UTF-8 .*; save it as such"):
        read_text(tmp_path / NAME, 10, "utf-8")
    assert read_text(tmp_path / NAME, 10, "latin-1") == "ø"
