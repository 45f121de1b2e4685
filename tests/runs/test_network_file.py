import json

import pytest

from keypoints.errors import DataError
from keypoints.runs.network_file import NetworkCost, read_network_cost, write_network_cost
from keypoints.runs.run_folder import RunFolder


def test_the_cost_is_written_and_read_back(tmp_path):
    run, cost = RunFolder(tmp_path), NetworkCost(100, 90, 2000, 80, 60, 1)
    write_network_cost(run, cost)
    assert read_network_cost(run) == cost
    assert json.loads((tmp_path / "network.json").read_text())["flops"] == 2000


def test_an_older_run_has_no_cost(tmp_path):
    assert read_network_cost(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "[]", '{"parameters": 1}', '{"parameters": -1}', "{"])
def test_a_damaged_file_is_named(text, tmp_path):
    (tmp_path / "network.json").write_text(text)
    with pytest.raises(DataError, match=r"network\.json: "):
        read_network_cost(RunFolder(tmp_path))
