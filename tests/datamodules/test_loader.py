import pytest

from keypoints.datamodules.imm import IMMDataModule


@pytest.mark.parametrize(("batch_size", "at_once"), [(8, 8), (5, 12), (20, 3), (100, 1)])
def test_several_batches_are_prepared_before_the_first_is_needed(
    made_up_imm, monkeypatch, batch_size, at_once
):
    data = IMMDataModule(made_up_imm, train_persons=4, batch_size=batch_size)
    dataset = data.dataset("train")
    asked, give = [], type(dataset).__getitems__
    monkeypatch.setattr(
        type(dataset), "__getitems__", lambda self, keys: asked.append(len(keys)) or give(self, keys)
    )
    loader = data.train_dataloader()
    batches = iter(loader)
    first = next(batches)
    assert len(asked) == min(at_once, len(loader))
    assert len(first.targets) == asked[0]
    indices = [*first.indices.tolist(), *(index for batch in batches for index in batch.indices.tolist())]
    assert len(asked) == len(loader)
    assert sorted(indices) == list(range(len(dataset)))
