"""MATLAB files for tests, in both formats."""

import numpy as np
import scipy.io


def cells(arrays):
    """Return a cell array: a column of ``arrays``."""
    column = np.empty((len(arrays), 1), object)
    for place, array in enumerate(arrays):
        column[place, 0] = array
    return column


def write_format_5(path, variables):
    """Write the variables; a list is written as a cell array."""
    scipy.io.savemat(
        path,
        {name: cells(value) if isinstance(value, list) else value for name, value in variables.items()},
        do_compression=True,
    )


def write_format_73(path, variables):
    """Write the variables with h5py, with reversed dimensions and MATLAB's header, as MATLAB does."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, list):
                inside = file.create_group(f"#refs#/{name}")
                references = [
                    inside.create_dataset(str(place), data=each.T).ref for place, each in enumerate(value)
                ]
                file.create_dataset(name, (1, len(value)), h5py.ref_dtype)[0] = references
            else:
                file.create_dataset(name, data=np.asarray(value).T)
    with open(path, "r+b") as file:  # noqa: PTH123
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
