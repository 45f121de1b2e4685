import math
from dataclasses import replace

import pandas as pd
import pytest

from keypoints.reports.compared import size_of
from keypoints.runs.network_file import read_network_cost

NAMES = ["kernel-sizes-7-5-3", "kernel-sizes-5-3-2"]


def test_the_table_has_the_mean_distance_beside_the_mean_absolute_error(compared):
    for row in compared.finished.to_dict("records"):
        faces = pd.read_csv(compared.runs[row["run"]].faces)
        assert row["distance_px"] == pytest.approx(faces["error_px"].mean())
        assert row["mae_px"] == pytest.approx(faces["mae_px"].mean(), rel=1e-4)
        assert row["mae_px"] < row["distance_px"]
    failed = compared.table[compared.table["status"] != "finished"]
    assert failed["distance_px"].isna().all()
    assert "nme" not in compared.table


def test_the_size_of_the_networks_is_beside_their_errors(compared):
    first, second = (compared.table[compared.table["setting"] == name] for name in NAMES)
    for own in (first, second):
        cost = read_network_cost(compared.runs[own["run"].iloc[0]])
        assert set(own["parameters"]) == {cost.parameters}
        assert set(own["flops"]) == {cost.flops}
    assert first["parameters"].iloc[0] != second["parameters"].iloc[0]
    shown = size_of(first.to_dict("records")[0])
    assert shown["parameters"] == f"{first['parameters'].iloc[0]:,.0f}"
    assert set(shown) == {"parameters", "MFLOPs a face"}
    assert size_of({}) == {}


def test_settings_and_verdict_are_of_the_finished_runs(compared):
    assert [each.setting for each in compared.settings] == NAMES
    assert [len(each.runs) for each in compared.settings] == [2, 2]
    found = compared.verdict
    assert found.errors.by_setting["kernel-sizes-7-5-3"].shape[0] == 2
    assert not math.isnan(found.differences[0].contrast.value)


def test_repetitions_with_one_seed_are_counted_apart(compared):
    table = compared.table.assign(seed=0)  # as of a sweep over data.seed
    repeated = replace(compared, table=table)
    assert [len(each.seeds("best_mse")) for each in repeated.settings] == [2, 2]
    assert repeated.verdict.errors.faces == compared.verdict.errors.faces
    assert repeated.verdict.doubt == compared.verdict.doubt


def test_runs_without_a_validated_epoch_have_no_history(compared):
    assert set(compared.histories) == set(compared.finished["run"])
