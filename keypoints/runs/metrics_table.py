"""Logger that writes ``metrics.csv``, which stays readable when the run is killed."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from keypoints.files import write_atomically

Row = dict[str, float]


class MetricsTable(Logger):
    """Logger that keeps all rows in memory and in ``metrics.csv``.

    Rows are appended to the file. For a new column, and for a resumed run, a new file replaces the old one
    atomically. So only the last line of the file can be incomplete. Checkpoints keep the rows too (see
    :class:`keypoints.callbacks.metrics_history.History`), so that a killed run resumes without a gap.

    Args:
        save_dir: folder of ``metrics.csv``; ``None`` keeps the rows in memory only.

    Attributes:
        rows: logged rows, one for each call of :meth:`log_metrics`: its metrics and their ``step``.
    """

    def __init__(self, save_dir: str | Path | None = None) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._file = None if save_dir is None else Path(save_dir) / "metrics.csv"
        self._columns: list[str] = []
        self._written = 0

    @property
    def name(self) -> str:
        """Empty name: the file lies in the folder itself."""
        return ""

    @property
    def version(self) -> str:
        """Empty version: a run has one table."""
        return ""

    @property
    def save_dir(self) -> str | None:
        """Folder of the file; ``None`` if there is no file."""
        return None if self._file is None else str(self._file.parent)

    def restore(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Replace the rows, in memory and in the file, when a run is resumed.

        Args:
            rows: metrics and ``step`` of each call before the checkpoint.
        """
        self.rows = [dict(row) for row in rows]
        self._columns = []
        self.save()

    def log_hyperparams(self, params: Any, metrics: Any = None) -> None:
        """Do nothing: ``config.yaml`` has the hyper-parameters, and ``status.json`` the final metrics."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row; :meth:`save` writes it.

        Args:
            metrics: values by name.
            step: training step; ``None`` takes the number of rows.
        """
        row = {name: float(value) for name, value in metrics.items()}
        self.rows.append({**row, "step": len(self.rows) if step is None else step})

    @rank_zero_only
    def save(self) -> None:
        """Write the rows that are not in the file yet."""
        if self._file is None or not self.rows:
            return
        columns = sorted(set(self._columns).union(*self.rows[self._written if self._columns else 0 :]))
        if columns != self._columns or not self._file.is_file():
            self._columns = columns
            write_atomically(self._file, self._lines(self.rows, header=True))
        elif self._written < len(self.rows):
            with self._file.open("a", encoding="utf-8", newline="") as file:
                file.write(self._lines(self.rows[self._written :], header=False))
        self._written = len(self.rows)

    def _lines(self, rows: Iterable[Row], *, header: bool) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def finalize(self, status: str) -> None:  # noqa: ARG002
        """Write the remaining rows."""
        self.save()
