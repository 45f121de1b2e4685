import pytest
from torch import nn
from torch.utils import deterministic

from keypoints.models import budget
from keypoints.models.budget import TooLargeError, bounded


def test_a_network_far_larger_than_its_file_is_refused():
    with bounded(3_000_000, 2):
        network = nn.Sequential(nn.Linear(1000, 3000))
        network[0] = nn.Linear(1000, 3000)
    with (
        pytest.raises(TooLargeError, match="more than 156,000,000 weights, but holds 3,000,000"),
        bounded(3_000_000, 2),
    ):
        nn.Linear(2**15, 2**15)


@pytest.fixture
def few(monkeypatch):
    """Allow a few modules and tensors only: to make as many as are allowed takes seconds."""
    assert budget._MODULES >= 10_000
    monkeypatch.setattr(budget, "_MODULES", 500)


def test_buffers_and_layers_without_weights_are_counted(few):
    with pytest.raises(TooLargeError, match="weights"), bounded(0, 0):
        nn.BatchNorm2d(100_000_000, affine=False)
    with pytest.raises(TooLargeError, match="more than 500 layers"), bounded(0, 0):
        nn.Sequential(*(nn.Identity() for _ in range(600)))


def test_too_many_small_tensors_are_refused(few):
    with pytest.raises(TooLargeError, match="more than 500 tensors"), bounded(0, 0):
        nn.RNN(1, 1, num_layers=200)


def test_networks_are_not_limited_after_the_block():
    with pytest.raises(TooLargeError), bounded(0, 0):
        nn.Linear(20_000, 10_000)
    nn.Linear(10_000, 1000)


def test_refused_weights_are_not_filled_in_deterministic_mode():
    with bounded(0, 0):
        assert not deterministic.fill_uninitialized_memory
    assert deterministic.fill_uninitialized_memory
