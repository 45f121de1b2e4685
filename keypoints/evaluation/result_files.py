"""Writing of the files of an evaluation's result."""

import json
from pathlib import Path

from keypoints.evaluation.result import EvaluationResult, Stressed, Tables
from keypoints.files import write_atomically

PAGE = "report.html"
STRESS_TABLE = "stress.csv"
ANGLE_TABLE = "angles.csv"


def write_files(folder: Path, result: EvaluationResult, tables: Tables, stressed: Stressed | None) -> None:
    """Write ``metrics.json``, ``faces.csv`` (a row per face), and ``stress.csv`` if stress was measured.

    Args:
        folder: existing folder.
        result: contents of ``metrics.json``.
        tables: errors of each face.
        stressed: errors under stress; ``None`` if not measured.
    """
    write_atomically(folder / "faces.csv", tables.in_originals.to_csv(index=False))
    if stressed is not None:
        write_atomically(folder / STRESS_TABLE, stressed.table.to_csv(index=False))
    write_atomically(folder / "metrics.json", json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")
