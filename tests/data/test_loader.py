import pytest

from keypoints.data import loader as loader_module
from keypoints.datamodules.imm import IMMDataModule


@pytest.mark.parametrize(("batch_size", "at_once"), [(4, 4), (5, 3), (8, 2), (20, 1)])
def test_several_batches_are_prepared_at_once(made_up_imm, monkeypatch, batch_size, at_once):
    monkeypatch.setattr(loader_module, "_FACES", 16)
    data = IMMDataModule(made_up_imm, train_persons=4, batch_size=batch_size)
    dataset = data.dataset("train")
    asked, give = [], type(dataset).__getitems__
    monkeypatch.setattr(
        type(dataset), "__getitems__", lambda self, keys: asked.append(len(keys)) or give(self, keys)
    )
    loader = data.train_dataloader()
    batches = iter(loader)
    first = next(batches)
    assert len(asked) == at_once == loader.at_once
    assert len(first.targets) == asked[0]
    indices = [*first.indices.tolist(), *(index for batch in batches for index in batch.indices.tolist())]
    assert len(asked) == len(loader)
    assert sorted(indices) == list(range(len(dataset)))


def test_worker_processes_prepare_one_batch_each(made_up_imm):
    loader = IMMDataModule(made_up_imm, train_persons=4, batch_size=4, num_workers=1).train_dataloader()
    assert loader.at_once == 1
    assert len(list(loader)) == len(loader)
