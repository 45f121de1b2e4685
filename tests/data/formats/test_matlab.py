import sys

import numpy as np
import pytest

from keypoints.data.formats.lists import beginning
from keypoints.data.formats.matlab import is_matlab, read_cells, read_matrix, read_names
from keypoints.errors import ConfigError, DataError
from tests.matlab_files import write_format_5, write_format_73

PICTURES = [np.arange(6, dtype=np.uint8).reshape(2, 3), np.full((4, 2, 3), 7, np.uint8)]
VARIABLES = {"note": "some text", "faces": PICTURES, "places": np.arange(10.0).reshape(2, 5)}


def write_73(path, variables):
    pytest.importorskip("h5py")
    write_format_73(path, {name: value for name, value in variables.items() if name != "note"})


@pytest.fixture(params=[write_format_5, write_73], ids=["5", "7.3"])
def file(request, tmp_path):
    request.param(tmp_path / "a.mat", VARIABLES)
    return tmp_path / "a.mat"


def test_matrices_and_cells_have_matlabs_dimensions(file):
    assert is_matlab(beginning(file))
    assert {"faces", "places"} <= set(read_names(file))
    np.testing.assert_array_equal(read_matrix(file, "places"), VARIABLES["places"])
    found = list(read_cells(file, "faces"))
    assert [(each.dtype, each.shape) for each in found] == [("uint8", (2, 3)), ("uint8", (4, 2, 3))]
    np.testing.assert_array_equal(found[0], PICTURES[0])


def test_other_kinds_of_variables_are_refused(file):
    with pytest.raises(DataError, match=r"a\.mat: places is no cell array"):
        list(read_cells(file, "places"))
    with pytest.raises(DataError, match=r"a\.mat: faces is no matrix of numbers"):
        read_matrix(file, "faces")


@pytest.mark.parametrize("share", [0.03, 0.3, 0.6, 0.95])
def test_truncated_files_are_reported_in_one_line(file, share):
    contents = file.read_bytes()
    file.write_bytes(contents[: int(len(contents) * share)])
    with pytest.raises(DataError, match=r"a\.mat: cannot be read as a MATLAB file; it may be truncated"):
        read_names(file), read_matrix(file, "places"), list(read_cells(file, "faces"))


def test_a_text_is_no_matlab_file():
    assert not is_matlab("image,x0,y0\n")


def test_format_73_without_h5py_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"a\.mat: MATLAB's format 7\.3 needs h5py, .* '\.\[cofw\]'"):
        read_names(tmp_path / "a.mat")
