"""Logger of TensorBoard that joins the curves to compare in one chart.

TensorBoard draws one chart a tag, with one curve for each of its runs. So a run of ours is up to three runs
of TensorBoard, in the run's folder and two folders in it, which share their tags:

================== =============================================================== =======================
TensorBoard's run  what                                                            files
================== =============================================================== =======================
``<run>``          training loss, learning rate, pictures, texts, the best epoch   ``<run>/``
``…/validation``   validation loss and metrics of each epoch                       ``<run>/validation/``
``…/baseline``     the same of the mean-shape baseline; a sweep's first run only   ``<run>/baseline/``
================== =============================================================== =======================

TensorBoard sorts tags by name and unfolds the first ones. The names here begin with those of the losses.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from keypoints.geometry import ByteArray
from keypoints.loggers.result import Result, preformatted

_VALIDATION, _BASELINE = "validation", "baseline"
"""Folders of the validation's curves and of the mean-shape baseline's."""

_TAGS = {
    "loss/train": ("", "loss/by epoch"),
    "loss/val": (_VALIDATION, "loss/by epoch"),
    "loss/constant": (_BASELINE, "loss/by epoch"),
    "loss/train_step": ("", "loss/by step"),
    "architecture": ("", "network/architecture"),
    "first-layer filters": ("", "network/first-layer filters"),
    "first-layer feature maps": ("", "network/first-layer feature maps"),
}
"""Folder and tag of what a run logs, by its name."""

_PATTERNS = (
    (re.compile(r"val/(.+)_constant"), _BASELINE, r"metrics/\1"),
    (re.compile(r"val/(.+)"), _VALIDATION, r"metrics/\1"),
    (re.compile(r"(lr-.+)"), "", r"optimizer/\1"),
)
"""Pattern of further names, with their folder and tag."""

_SHOWN = ("mse", "nme", "mae_px", "variance_ratio")
"""Metrics of the best epoch that have a column in the HPARAMS tab, which shows at most five."""


_hparams: Callable[..., tuple[Any, Any, Any]] = hparams


class _Place(NamedTuple):
    folder: str
    tag: str


class TensorBoard(Logger):
    """Logger of TensorBoard's files, in a run's folder.

    The HPARAMS tab has a column for each hyper-parameter that varies, and the metrics of the best epoch,
    which are a dot on the metrics' curves.

    Args:
        save_dir: folder of the run.
        baseline: whether to log the curves of the mean-shape baseline.
        purge_step: for a resumed run, the step from which TensorBoard hides earlier entries.
    """

    def __init__(self, save_dir: str | Path, *, baseline: bool = True, purge_step: int | None = None) -> None:
        super().__init__()
        self._folder = Path(save_dir)
        self._baseline = baseline
        self._purge_step = purge_step
        self._writers: dict[str, SummaryWriter] = {}

    @property
    def name(self) -> str:
        """Empty name: the files lie in the folder itself."""
        return ""

    @property
    def version(self) -> str:
        """Empty version: a run is logged once."""
        return ""

    @property
    def save_dir(self) -> str:
        """Folder of the run."""
        return str(self._folder)

    @property
    def experiment(self) -> SummaryWriter:
        """Writer of the run's own curves, pictures and texts."""
        return self._writer("")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a point to the curve of each metric.

        Args:
            metrics: values by name; the epoch, which would only be a straight line, is left out.
            step: number of the optimizer step.
        """
        for name, value in metrics.items():
            place = place_of(name)
            if name != "epoch" and (self._baseline or place.folder != _BASELINE):
                self._writer(place.folder).add_scalar(place.tag, float(value), step)

    def log_hyperparams(self, params: Any) -> None:
        """Do nothing: :meth:`log_result` logs the hyper-parameters."""

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[ByteArray], step: int | None = None) -> None:
        """Add pictures under one name.

        Args:
            key: name of the pictures.
            images: (H, W, 3) RGB each.
            step: number of the optimizer step.
        """
        for image in images:
            self.experiment.add_image(place_of(key).tag, image, step, dataformats="HWC")

    @rank_zero_only
    def log_text(self, key: str, columns: Sequence[str], data: Sequence[Sequence[str]]) -> None:
        """Add texts, shown verbatim, under one name.

        Args:
            key: name of the texts.
            columns: names of the columns; they are not shown.
            data: rows of the texts.
        """
        del columns
        for row in data:
            self.experiment.add_text(place_of(key).tag, preformatted("\n".join(row)))

    @rank_zero_only
    def log_result(self, result: Result) -> None:
        """Add the hyper-parameters and the metrics of the best epoch.

        Args:
            result: the run's result.
        """
        best = {
            place_of(f"val/{name}").tag: result.metrics[f"best/{name}"]
            for name in _SHOWN
            if f"best/{name}" in result.metrics
        }
        for tag, value in best.items():
            self.experiment.add_scalar(tag, value, result.step)
        columns, *_ = _hparams({name: result.values[name] for name in result.varied}, best)
        _, values, end = _hparams(dict(result.values), best)
        writer: Any = self.experiment.file_writer
        for summary in (columns, values, end):
            writer.add_summary(summary)

    @rank_zero_only
    def save(self) -> None:
        """Write what is not in the files yet."""
        for writer in self._writers.values():
            writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002
        """Write what is not in the files yet, and close them."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, folder: str) -> SummaryWriter:
        if folder not in self._writers:
            self._writers[folder] = SummaryWriter(self._folder / folder, purge_step=self._purge_step)
        return self._writers[folder]


def place_of(name: str) -> _Place:
    """Return the folder and the tag under which a metric, a picture or a text is logged.

    >>> tuple(place_of("loss/val")), tuple(place_of("val/nme")), tuple(place_of("validation faces"))
    (('validation', 'loss/by epoch'), ('validation', 'metrics/nme'), ('', 'validation faces'))

    Args:
        name: its name in ``metrics.csv`` and for other loggers.
    """
    if name in _TAGS:
        return _Place(*_TAGS[name])
    for pattern, folder, tag in _PATTERNS:
        if found := pattern.fullmatch(name):
            return _Place(folder, found.expand(tag))
    return _Place("", name)
