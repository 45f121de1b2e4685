import json

import numpy as np
import pandas as pd

from keypoints.evaluation.result import Stressed, Tables
from keypoints.evaluation.result_files import write_files
from tests.evaluation.test_result import MODEL, result

TABLES = Tables(
    pd.DataFrame({"photo": ["shown"]}), pd.DataFrame({"photo": ["a"], "nme": [0.1]}), np.ones(1, bool), None
)


def test_the_result_and_its_tables_are_written(tmp_path):
    write_files(tmp_path, result(MODEL), TABLES, None)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "faces.csv"}
    assert json.loads((tmp_path / "metrics.json").read_text()) == result(MODEL).to_dict()
    assert (tmp_path / "faces.csv").read_text() == "photo,nme\na,0.1\n"


def test_stress_is_written_to_its_own_table(tmp_path):
    stressed = Stressed(pd.DataFrame({"stress": ["blur"], "level": [1]}), 1, {}, ["blur: no harm"])
    write_files(tmp_path, result(MODEL), TABLES, stressed)
    assert (tmp_path / "stress.csv").read_text() == "stress,level\nblur,1\n"
