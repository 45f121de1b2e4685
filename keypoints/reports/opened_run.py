"""A finished or running run in Python and notebooks: tables, figures, and its trained task.

>>> import keypoints
>>> run = keypoints.open_run("outputs/mine/2026-01-31_12-00-00")  # doctest: +SKIP
>>> run.metrics["val/mse"].min(), run.figures["curves"], run.task()  # doctest: +SKIP
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup
from omegaconf import DictConfig

from keypoints.errors import DataError, some_of
from keypoints.evaluation.face_tables import by_error, read_faces
from keypoints.formatting import shown
from keypoints.mean_face import collapse_note
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.history import best_epoch, read_history, read_logged, summary
from keypoints.runs.run_folder import RunFolder, is_sweep
from keypoints.runs.status import Status, read_status
from keypoints.runs.sweep_folder import SweepFolder
from keypoints.tasks.base import Task, load_task

_TITLES = {
    "mse": "validation MSE",
    "nme": "NME, ratio",
    "mae_px": "MAE per coordinate, px",
    "variance_ratio": "variance ratio",
}
"""Titles of the final metrics by their names, in the order of the table."""


@dataclass(frozen=True)
class SavedFigure:
    """Figure of a report; notebooks show it.

    Args:
        path: PNG file.
    """

    path: Path

    def __repr__(self) -> str:
        return f"SavedFigure('{self.path}')"

    def _repr_png_(self) -> bytes:
        """Return the picture, for notebooks."""
        return self.path.read_bytes()


@dataclass(frozen=True, repr=False)
class Run:
    """Run in a folder, read when it is asked for. :func:`open_run` makes it.

    Args:
        path: path of the folder.
    """

    path: Path

    def __repr__(self) -> str:
        try:
            said = self._said()
        except DataError as error:  # a notebook shows the text, also of a damaged run
            said = str(error)
        return f"Run('{self.path}': {said})"

    def _repr_html_(self) -> str:
        """Return a table of the final metrics and the loss curves, for notebooks."""
        try:
            about = Markup("<p><b>{}</b>: {}</p>").format(self.name, self.status.state)
            table = self.summary
        except DataError:
            return Markup("<p>{}</p>").format(repr(self))
        curves = self.figures.get("curves")
        picture = ""
        if curves is not None:
            encoded = b64encode(curves.path.read_bytes()).decode()
            picture = Markup('<img alt="loss curves" src="data:image/png;base64,{}">').format(encoded)
        return about + Markup(table.map(shown).to_html()) + picture

    @property
    def name(self) -> str:
        """Name of the run, as in the titles of its figures."""
        return self._folder.name

    @property
    def status(self) -> Status:
        """State of the run, its command line, overrides, versions and times."""
        return read_status(self._folder)

    @property
    def config(self) -> DictConfig:
        """Complete configuration, resolved.

        Raises:
            DataError: if the file is missing or damaged.
        """
        return self._folder.configuration()

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics by epoch: one row per epoch, one column per metric.

        Raises:
            DataError: if nothing was logged, or the table is damaged.
        """
        return read_history(self._folder)

    @property
    def logged(self) -> pd.DataFrame:
        """Metrics as logged: one row per log entry, also losses by step, with ``epoch`` and ``step``.

        Raises:
            DataError: if nothing was logged, or the table is damaged.
        """
        return read_logged(self._folder)

    @property
    def best_epoch(self) -> int | None:
        """Number of the epoch of the best checkpoint, from 0; ``None`` if no epoch was validated."""
        return best_epoch(self.metrics, self._folder.monitor)

    @property
    def summary(self) -> pd.DataFrame:
        """Metrics of the best and the last epoch: one row per metric, without rows if there is no epoch."""
        known = summary(self.logged, self._folder.monitor) if self._folder.metrics.is_file() else {}
        rows = {"epoch": "epoch", **_TITLES}
        return pd.DataFrame(
            {
                when: {
                    title: known[f"{when}/{name}"]
                    for name, title in rows.items()
                    if f"{when}/{name}" in known
                }
                for when in ("best", "last")
            }
        )

    @property
    def faces(self) -> pd.DataFrame:
        """Validation faces with truth, prediction and errors of the best epoch, the smallest error first.

        ``error_px`` is the mean distance of a point in pixels, ``nme`` a ratio; ``truth_x0``,
        ``predicted_x0`` and so on are pixels of the photo.

        Raises:
            DataError: if the run has not left the table, or it is damaged.
        """
        return by_error(read_faces(self._folder.faces))

    @property
    def figures(self) -> Mapping[str, SavedFigure]:
        """Figures of the run's report by name, such as ``curves``, ``faces``, ``filters``."""
        folder = self._folder.figure("any").parent
        return {path.stem: SavedFigure(path) for path in sorted(folder.glob("*.png"))}

    def task(self, which: str = "best", trust: str | Iterable[str] | None = None) -> Task:
        """Load the trained task of a checkpoint.

        Args:
            which: checkpoint, ``"best"`` or ``"last"``.
            trust: packages of the user whose classes the checkpoint may name.

        Returns:
            The task, on the CPU, in evaluation mode.

        Raises:
            CheckpointError: if there is no such checkpoint, or it cannot be used.
        """
        path, _ = find_checkpoint(str(self.path), which)
        return load_task(path, trust=trust)

    @property
    def _folder(self) -> RunFolder:
        return RunFolder(self.path)

    def _said(self) -> str:
        parts: list[str] = [self.status.state]
        table = self.summary
        if not table.empty:
            best = table["best"]
            parts.append(f"best epoch {best['epoch']:.0f}, validation MSE {shown(best['validation MSE'])}")
            metrics = self.status.metrics
            note = collapse_note(
                *(metrics.get(name) for name in ("best/variance_ratio", "best/mse", "constant/mse"))
            )
            parts += [note] if note else []
        return ", ".join(parts)


def open_run(path: str | Path) -> Run:
    """Open a run for use in Python and notebooks.

    Args:
        path: folder of the run.

    Returns:
        The run. Its files are read when they are asked for, so a running run shows its state so far.

    Raises:
        DataError: if the folder holds no run, or is a file.
    """
    folder = Path(path)
    if folder.is_file():
        raise DataError(f"{folder}: is a file; open the run's folder")
    if is_sweep(folder):
        names = [run.path.name for run in SweepFolder(folder).runs()]
        raise DataError(
            f"{folder}: is a sweep's folder, with summary.csv of its runs; open one of them: "
            f"{some_of(names, 3)}"
        )
    read_status(RunFolder(folder))
    return Run(folder)
