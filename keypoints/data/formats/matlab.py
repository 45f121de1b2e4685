"""Variables of MATLAB's files: format 5 with scipy, format 7.3 (HDF5) with h5py, which is optional.

Arrays have MATLAB's order of dimensions, which HDF5 stores reversed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keypoints.errors import ConfigError, DataError, KeypointsError, one_line
from keypoints.geometry import FloatArray
from keypoints.input_files import read_beginning

_FORMAT_5 = b"MATLAB 5.0"
_HDF5 = (b"MATLAB 7.3", b"\x89HDF\r\n")

Array = npt.NDArray[Any]


def is_matlab(beginning: str) -> bool:
    """Return whether a file's beginning, as text, is that of a MATLAB file."""
    return beginning.startswith((_FORMAT_5.decode(), *(each.decode(errors="replace") for each in _HDF5)))


def read_names(path: Path) -> list[str]:
    """Return the names of a file's variables.

    Raises:
        ConfigError: if the file needs h5py, which is not installed.
        DataError: if it cannot be read.
    """
    with _reading(path):
        if _is_hdf5(path):
            with _opened(path) as file:
                return list(file)
        import scipy.io

        return [name for name, _, _ in scipy.io.whosmat(path)]


def read_matrix(path: Path, name: str) -> FloatArray:
    """Return a matrix of numbers.

    Args:
        path: the file.
        name: name of the variable.

    Raises:
        ConfigError: if the file needs h5py, which is not installed.
        DataError: if it cannot be read, or the variable is no matrix of numbers.
    """
    with _reading(path):
        if _is_hdf5(path):
            with _opened(path) as file:
                found = np.asarray(file[name][()]).T
        else:
            found = np.asarray(_variable(path, name))
    if found.ndim != 2 or found.dtype.kind not in "fiu":
        raise DataError(f"{path}: {name} is no matrix of numbers")
    return found.astype(np.float64)


def read_cells(path: Path, name: str) -> Iterator[Array]:
    """Yield the arrays in a cell array, in MATLAB's order.

    Args:
        path: the file.
        name: name of the variable.

    Raises:
        ConfigError: if the file needs h5py, which is not installed.
        DataError: if it cannot be read, or the variable is no cell array.
    """
    with _reading(path):
        if _is_hdf5(path):
            with _opened(path) as file:
                references = np.asarray(file[name][()])
                _check_cells(path, name, references)
                for reference in references.ravel():  # reversed dimensions: MATLAB's order is C's
                    yield np.asarray(file[reference][()]).T
            return
        cells = np.asarray(_variable(path, name))
        _check_cells(path, name, cells)
        yield from map(np.asarray, cells.ravel(order="F"))


def _check_cells(path: Path, name: str, cells: Array) -> None:
    if cells.dtype != np.object_:
        raise DataError(f"{path}: {name} is no cell array")


def _variable(path: Path, name: str) -> Array:
    """Return a variable of a file in format 5; the others are skipped."""
    import scipy.io

    found: Array = scipy.io.loadmat(path, variable_names=[name])[name]
    return found


def _is_hdf5(path: Path) -> bool:
    return read_beginning(path, 10).startswith(_HDF5)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file in format 7.3."""
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{path}: MATLAB's format 7.3 needs {error.name or 'h5py'}, which is not installed: in the "
            "checkout, pip install -c constraints.txt -e '.[cofw]'; or save it in MATLAB with -v7"
        ) from error
    with h5py.File(path, "r") as file:
        yield file


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Report any error of scipy or h5py as a file that cannot be read."""
    try:
        yield
    except KeypointsError:
        raise
    except Exception as error:  # damaged files lead to errors of many types
        raise DataError(
            f"{path}: cannot be read as a MATLAB file; it may be truncated ({one_line(error)})"
        ) from error
