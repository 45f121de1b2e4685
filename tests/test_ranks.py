from lightning_fabric.utilities.rank_zero import rank_zero_only

from keypoints.ranks import is_first


def test_only_the_first_of_several_processes_is_the_first(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert not is_first()
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    assert is_first()
