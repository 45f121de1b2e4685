"""Tables and page of runs that are compared."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from keypoints.files import atomic_folder, write_atomically
from keypoints.formatting import counted, shown
from keypoints.reports.compared import Compared, first_runs, rows_of, size_of
from keypoints.reports.factors import Levels, effect_findings, effects, factor_table, shown_effects
from keypoints.reports.fold_results import best_of, over_folds, shown_rows
from keypoints.reports.page import write_page
from keypoints.reports.setting_results import MEASURES, Measure, setting_table, shown_settings
from keypoints.reports.sweep_findings import findings
from keypoints.reports.sweep_pictures import FILTERS, LOSSES, SHEETS, draw_pictures
from keypoints.reports.text_tables import latex, markdown
from keypoints.runs.sweep_folder import SweepFolder


@dataclass(frozen=True)
class PageText:
    """Words and links of a page beside the results.

    Args:
        about: line below the title.
        ranked_by: sentence about the error by which runs are ranked.
        links: address of each run's page, by the run's name.
        command: command that makes the page again.
        commands: command of each run.
    """

    about: str
    ranked_by: str
    links: Mapping[str, str]
    command: str
    commands: Sequence[str] = ()


@contextmanager
def replaced_report(folder: SweepFolder) -> Iterator[SweepFolder]:
    """Yield a temporary folder, whose files replace those of an earlier report if the block succeeds.

    Args:
        folder: folder of the report.

    Yields:
        The temporary folder.
    """
    own = [folder.comparison, folder.folds, folder.fold_errors, folder.settings]
    names = [*(path.name for path in own), LOSSES, FILTERS, *SHEETS.values()]
    with atomic_folder(folder.path, last=folder.report.name, own=names) as part:
        yield SweepFolder(part)


def write_comparison(compared: Compared, new: SweepFolder, text: PageText, levels: Levels) -> None:
    """Write ``summary.csv``, ``settings.csv``, the figures and, last, ``report.html``.

    Args:
        compared: the runs.
        new: existing folder for the files.
        text: what the page says beside the results.
        levels: levels of the factors, see :func:`keypoints.reports.factors.levels_of`.
    """
    table, finished, measure = compared.table, compared.finished, compared.measure
    settings, found = compared.settings, compared.verdict
    write_atomically(new.summary, table.to_csv(index=False))
    write_atomically(new.settings, setting_table(settings, found).to_csv(index=False))
    folds = over_folds(table)
    shown_rows_of_settings = [] if folds or len(finished) < 2 else _shown_settings(compared)
    known = effects(settings, levels, found)
    stopped = table[table["status"] != "finished"]
    write_page(
        new.report,
        "sweep.html",
        title=f"{compared.name}: {counted(len(table), 'run')}",
        about=text.about,
        notes=[("bad", f"{len(stopped)} of {counted(len(table), 'run')} did not finish.")]
        if len(stopped)
        else [],
        runs=[_shown_row(row, measure, text.links.get(str(row["run"]))) for row in rows_of(table)],
        best=None if folds else _best_row(compared),
        ranked_by=text.ranked_by,
        settings=shown_rows_of_settings,
        factors=factor_table(settings, levels, measure),
        measure=measure.title,
        effects=shown_effects(known, found),
        folds=shown_rows(folds),
        best_setting=best_of(folds),
        findings=[
            *effect_findings(known, found),
            *findings(finished, compared.histories, folds, settings, found, measure),
        ],
        pictures=draw_pictures(compared, new, folds),
        texts=[
            (name, text_of(shown_rows_of_settings))
            for name, text_of in (("Markdown", markdown), ("LaTeX", latex))
            if shown_rows_of_settings
        ],
        failures=[f"{row['run']} ({row['status']}): {row['error']}" for row in rows_of(stopped)],
        command=text.command,
        commands=text.commands,
    )


def _shown_settings(compared: Compared) -> list[dict[str, str]]:
    """Return the rows of the settings, with the size of their networks if it differs."""
    rows = shown_settings(compared.settings, compared.verdict, compared.measure)
    by_run = {str(row["run"]): row for row in rows_of(compared.finished)}
    sizes = {setting: size_of(by_run[run]) for setting, run in first_runs(compared.settings).items()}
    differ = len({tuple(size.values()) for size in sizes.values()}) > 1
    return [{**row, **sizes[row["setting"]]} for row in rows] if differ else rows


def _best_row(compared: Compared) -> int | None:
    rows = compared.table.reset_index(drop=True)
    values = rows[compared.measure.column].where(rows["status"] == "finished").to_numpy(np.float64)
    return None if np.isnan(values).all() else int(np.nanargmin(values))


def _shown_row(row: Mapping[str, Any], measure: Measure, link: str | None) -> dict[str, str]:
    def number(name: str) -> float | None:
        value = row.get(name)
        return float(value) if isinstance(value, int | float) else None

    name = str(row["run"])
    errors = [measure, *(each for each in MEASURES.values() if each != measure and each.column in row)]
    return {
        "run": name if link is None else Markup('<a href="{}">{}</a>').format(link, name),
        "status": str(row["note"] or row["status"]),  # here a narrow page shows it without scrolling
        **{each.title: each.shown(number(each.column)) for each in errors},
        "epoch": shown(number("best_epoch")),
        "last MSE": shown(number("last_mse")),
        "variance ratio": shown(number("variance_ratio"), 2),
        **size_of(row),
        **({"ms a face": shown(number("ms_per_face"))} if "ms_per_face" in row else {}),
        "seconds": shown(number("seconds")),
    }
