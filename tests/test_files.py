import errno
import json
import os
import time

import pytest

from keypoints import files
from keypoints.errors import DataError
from keypoints.files import (
    as_text,
    atomic_folder,
    holds_others,
    locked,
    part_folder,
    remove_leftovers,
    replaced,
    write_atomically,
)

GONE = 0x3FFFFFF0
"""Process number that is not in use."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def part(folder, process, host=None, name="a.txt"):
    path = folder / f".{name}.{process}-{host or files._host()}00000000.part"
    path.write_text("half")
    return path


def in_fork(action):
    """Run ``action`` in a fork of this process, and return its exit status."""
    process = os.fork()
    if process == 0:
        try:
            action()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_file_is_written_atomically(tmp_path):
    path = tmp_path / "status.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udc80")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["status.json"]


def test_a_file_is_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.txt", []
    write_atomically(path, "old")
    monkeypatch.setattr(files.os, "fsync", lambda _: seen.append(path.read_text()))
    write_atomically(path, "new")
    assert seen == ["old"]
    assert path.read_text() == "new"


def test_two_writers_of_one_file_use_different_parts(tmp_path):
    path = tmp_path / "a.txt"
    with replaced(path) as one, replaced(path) as two:
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"
    assert names(tmp_path) == ["a.txt"]


def test_parts_of_ended_processes_are_removed(tmp_path):
    gone, reused = part(tmp_path, GONE), part(tmp_path, os.getpid(), name="b.txt")
    os.utime(reused, (1, 1))  # older than this process, so from an earlier process with its number
    left = part(tmp_path, GONE, name="c")
    left.unlink()
    (left / "inner").mkdir(parents=True)
    write_atomically(tmp_path / "other.txt", "")
    assert names(tmp_path) == ["other.txt"]
    assert not gone.exists()


def test_parts_of_running_processes_and_files_of_users_stay(tmp_path):
    kept = [
        part(tmp_path, os.getpid()),
        part(tmp_path, os.getppid(), name="b.txt"),
        part(tmp_path, GONE, host="zzzz"),
        tmp_path / ".a.txt.part",
        tmp_path / "mine.12-000000000000.part",
    ]
    for path in kept:
        path.touch()
    other = part(tmp_path, GONE, host="0000" if files._host() != "0000" else "1111")
    write_atomically(tmp_path / "a.txt", "")
    assert all(path.exists() for path in [*kept, other])
    os.utime(other, (1, 1))
    remove_leftovers(tmp_path)
    assert all(path.exists() for path in kept)
    assert not other.exists()


@pytest.mark.parametrize("name", ["x" * 255, "ø" * 127, "a b, (1) = [x]", os.fsdecode(b"\xff" * 240)])
def test_files_with_any_valid_name_are_written(tmp_path, name):
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system does not allow such a name")
    write_atomically(tmp_path / name, "whole")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_the_error_of_a_full_disk_names_the_file(tmp_path, monkeypatch, number):
    def full(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"a\.txt") as caught:
        write_atomically(tmp_path / "a.txt", "")
    assert caught.value.filename == str(tmp_path / "a.txt")
    with (
        pytest.raises(OSError, match=r"b\.txt") as caught,
        atomic_folder(tmp_path / "new", "b.txt") as folder,
    ):
        write_atomically(folder / "b.txt", "")
    assert caught.value.filename == str(tmp_path / "new" / "b.txt")


def test_a_folder_with_the_files_name_is_reported(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_atomically(tmp_path / "a.txt", "")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert names(tmp_path) == ["a.txt"]


def test_a_file_is_written_on_a_file_system_without_fsync(tmp_path, monkeypatch):
    def unknown(_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", unknown)
    write_atomically(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_filled_at_the_end_or_stays_unchanged(tmp_path):
    for name in ("page", "picture", "stress", "mine"):
        (tmp_path / name).write_text("old")

    def fill():
        with atomic_folder(tmp_path, "page", own=["stress"]) as folder:
            for name in ("page", "picture", "sub/more"):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text("new")
            if failing:
                raise ZeroDivisionError

    failing = True
    with pytest.raises(ZeroDivisionError):
        fill()
    assert names(tmp_path) == ["mine", "page", "picture", "stress"]
    assert (tmp_path / "picture").read_text() == "old"
    failing = False
    fill()
    assert names(tmp_path) == ["mine", "page", "picture", "sub"]
    assert (tmp_path / "mine").read_text() == "old"
    assert (tmp_path / "page").read_text() == (tmp_path / "sub" / "more").read_text() == "new"


def test_a_part_folder_is_removed_unless_it_was_renamed(tmp_path):
    with part_folder(tmp_path / "a") as folder:
        (folder / "x").touch()
        folder.rename(tmp_path / "a")
    with part_folder(tmp_path / "a") as folder:
        (folder / "y").touch()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["x"]


@pytest.mark.parametrize("beside", [False, True])
def test_the_second_command_names_the_process_that_writes(tmp_path, beside):
    target = tmp_path / "out"
    says = rf"out: process {os.getpid()} on \S+ is writing it since \d{{4}}-.*; wait until it has ended"
    with locked(target, beside=beside):
        (target if not beside else tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=says), locked(target, beside=beside):
            pytest.fail("the block ran")
        with locked(tmp_path / "other", beside=beside):
            pass
    with locked(target, beside=beside):
        pass
    assert names(tmp_path) == (["x"] if beside else [])


def test_a_lock_ends_with_its_killed_process(tmp_path):
    def killed():
        with locked(tmp_path), part_folder(tmp_path / "a"):
            os._exit(9)

    assert in_fork(killed) == 9
    assert len(names(tmp_path)) == 2
    assert not holds_others(tmp_path)
    with locked(tmp_path):
        assert json.loads((tmp_path / ".keypoints.lock").read_text())["process"] == os.getpid()
    assert names(tmp_path) == []


def test_a_fork_does_not_keep_the_lock_of_its_parent(tmp_path):
    reading, writing = os.pipe()

    def parent():
        with locked(tmp_path):
            if os.fork() == 0:
                os.close(writing)
                os.read(reading, 1)  # lives until the test closes the pipe
            os._exit(9)

    assert in_fork(parent) == 9
    with locked(tmp_path):
        pass
    os.close(writing)
    os.close(reading)


def test_only_empty_folders_that_a_command_created_are_removed(tmp_path):
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"), locked(tmp_path / "new" / "deep"):
        pass
    assert names(tmp_path) == ["mine"]
    with locked(tmp_path / "new" / "deep"):
        (tmp_path / "new" / "x").touch()
    assert names(tmp_path / "new") == ["x"]


def test_only_one_process_holds_a_lock_at_a_time(tmp_path):
    inside = tmp_path / "inside"

    def work():
        done, until = 0, time.monotonic() + 30
        while done < 20 and time.monotonic() < until:
            try:
                with locked(tmp_path / "out"):
                    inside.mkdir()  # fails if another process is inside
                    inside.rmdir()
                    done += 1
            except DataError:
                continue
        os._exit(0 if done == 20 else 2)

    processes = []
    for _ in range(4):
        process = os.fork()
        if process == 0:
            try:
                work()
            finally:
                os._exit(1)
        processes.append(process)
    ended = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    assert ended == [0] * 4
    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


def test_a_text_that_cannot_be_encoded_keeps_the_old_file(tmp_path):
    path = tmp_path / "status.json"
    write_atomically(path, json.dumps({"a": 1}))
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udc80")
    assert path.read_text() == '{"a": 1}'
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_of_any_bytes_can_be_written_as_text():
    assert as_text("ä photo.jpg") == "ä photo.jpg"
    assert as_text(os.fsdecode(b"a\xff.jpg")) == "a\N{REPLACEMENT CHARACTER}.jpg"
