import json
import os

import pytest

from keypoints.errors import DataError
from keypoints.structured_files import (
    COUNT,
    MOST_BYTES,
    NUMBERS,
    check_kinds,
    read_json,
    read_text,
    read_yaml,
)

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
NO_YAML = {
    "a tab": ("a:\n\tb: 1\n", r"line 2: .*tab; use spaces"),
    "another encoding": ("a: 1\nb: ä\n".encode("latin-1"), "line 2: is not UTF-8"),
    "UTF-16": ("a: 1\n".encode("utf-16"), "line 1: is not UTF-8"),
    "a NUL": ("a: 1\nb: x\0y\n", "line 2: holds a NUL"),
    "a control character": ("a: 1\nb: \x07\n", "line 2: is not valid YAML .*control"),
    "a key twice": ("a: 1\nb: {c: 1,\n  c: 2}\n", "line 3: the key c is given twice"),
    "a number as a key twice": ("1: 1\n1: 2\n", "line 2: the key 1 is given twice"),
    "a recursive anchor": ("a: &x\n  b: *x\n", r"line 2: \*x refers to a value that contains it"),
    "an unknown anchor": ("a: *x\n", r"line 1: \*x refers to no anchor"),
    "billion laughs": (LAUGHS, r"line \d+: it has more than 100,000 values"),
    "deep lists": ("a: " + "[" * 100_000, "line 1: its values are nested more than 40 deep"),
    "deep mappings": ("{a: " * 100_000, "line 1: its values are nested more than 40 deep"),
    "a list": ("- 1\n", "is not a configuration"),
    "an open bracket": ("a: [1,\nb: 2\n", r"line \d: is not valid YAML"),
    "two documents": ("a: 1\n---\nb: 1\n", "line 2: is not valid YAML"),
    "a tag of Python's": ("a: 1\nb: !!python/object/apply:os.getcwd []\n", "line 2: the tag .*getcwd"),
    "a list as a key": ("? [a]\n: 1\n", "line 1: a key must be a plain text"),
    "a number of many digits": ("a: " + "9" * 5000, "cannot be read"),
    "a broken interpolation": ("a: ${b\n", "cannot be read"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.yaml"


def write(path, contents):
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())


@pytest.mark.parametrize(("contents", "says"), NO_YAML.values(), ids=NO_YAML)
def test_damaged_yaml_is_reported_with_its_line(path, contents, says):
    write(path, contents)
    with pytest.raises(DataError, match=rf"mine\.yaml: {says}") as error:
        read_yaml(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_anchors_merges_and_a_byte_order_mark_are_read(path):
    write(path, "\ufeffa: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n")
    assert read_yaml(path) == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}
    write(path, "")
    assert read_yaml(path) == {}


def test_a_resolved_file_holds_no_interpolation(path):
    write(path, "a: 1\nb: ${oc.env:HOME}\n")
    assert "b" in read_yaml(path)
    with pytest.raises(DataError, match=r"line 2: '\$\{oc\.env:HOME\}' is not resolved"):
        read_yaml(path, resolved=True)


def test_only_regular_files_of_limited_size_are_read(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_text(path)
    with pytest.raises(DataError, match="is a folder"):
        read_text(tmp_path)
    os.mkfifo(path)
    with pytest.raises(DataError, match="is a named pipe"):
        read_text(path)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(DataError, match=rf"longer than the {MOST_BYTES:,} bytes"):
        read_text(path)


@pytest.mark.parametrize(
    "contents", ["", "[1]", "1", "{", '{"a": 1, "a": 2}', '{"a":' * 100_000, "NaN", "\0"]
)
def test_damaged_json_is_reported_with_its_file(path, contents):
    write(path, contents)
    with pytest.raises(DataError, match=r"mine\.yaml: ") as error:
        read_json(path)
    assert "\n" not in str(error.value)


def test_a_value_of_another_type_is_reported_with_its_name():
    check_kinds({"job": 1, "other": "x"}, {"job": COUNT, "missing": COUNT})
    for value in (True, -1, 1.0, "1", None, 10**30):
        with pytest.raises(ValueError, match="job is a whole number from 0 up, not"):
            check_kinds({"job": value}, {"job": COUNT})
    check_kinds({"metrics": {"a": 1, "b": None}}, {"metrics": NUMBERS})
    for value in ({"a": float("nan")}, {"a": "1"}, {"a": 10**400}, {1: 1}, [1]):
        with pytest.raises(ValueError, match="metrics is numbers or null by name"):
            check_kinds({"metrics": value}, {"metrics": NUMBERS})
    with pytest.raises(ValueError, match="lacks 'status'"):
        check_kinds({}, {}, needed=["status"])


def test_json_is_read_as_it_was_written(path):
    write(path, json.dumps({"a": [1, {"b": None}]}))
    assert read_json(path) == {"a": [1, {"b": None}]}
