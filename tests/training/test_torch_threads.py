import json

import pytest
import torch
from omegaconf import OmegaConf

from keypoints import threads
from keypoints.models.inspection import Cost
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.threads import OPERATIONS_PER_THREAD
from keypoints.training import fit as module
from keypoints.training.torch_threads import choose_threads, torch_threads
from tests.working import interrupted_at, resume, train

LARGE = Cost(parameters=1, trainable=1, flops=int(OPERATIONS_PER_THREAD))
SMALL = Cost(parameters=1, trainable=1, flops=int(OPERATIONS_PER_THREAD / 100))


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "allowed_cores", lambda: 8)


@pytest.mark.parametrize(
    ("cost", "batch", "processes", "expected"),
    [(SMALL, 16, 1, 1), (LARGE, 3, 1, 3), (LARGE, 16, 1, 8), (LARGE, 16, 2, 4), (None, 1, 1, 8)],
)
def test_a_batch_of_more_work_gets_more_threads(eight_cores, cost, batch, processes, expected):
    assert choose_threads(OmegaConf.create({}), cost, batch, processes) == expected


def test_the_setting_comes_before_the_record_and_that_before_the_work(eight_cores):
    given, none = OmegaConf.create({"threads": 3}), OmegaConf.create({"threads": None})
    assert choose_threads(given, LARGE, 16, recorded=5) == 3
    assert choose_threads(none, LARGE, 16, recorded=5) == 5
    assert choose_threads(none, LARGE, 16) == 8


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with torch_threads(before + 2):
        assert torch.get_num_threads() == before + 2
    with pytest.raises(ZeroDivisionError), torch_threads(before + 2):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_a_resumed_run_uses_its_recorded_threads_again(configured, tmp_path, monkeypatch):
    used = []
    real = module.fit
    monkeypatch.setattr(module, "fit", lambda parts: (used.append(torch.get_num_threads()), real(parts)))
    with interrupted_at(step=1):
        train(configured("threads=2"))
    run = RunFolder(tmp_path / "run")
    assert read_status(run).threads == 2
    status = json.loads(run.status_file.read_text())
    run.status_file.write_text(json.dumps({**status, "threads": 3}))
    run.config.write_text(run.config.read_text().replace("threads: 2\n", ""))  # as of an older version
    resume(run.path)
    assert used == [2, 3]
    assert read_status(run).threads == 3
