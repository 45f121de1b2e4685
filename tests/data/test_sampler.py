import pytest

from keypoints.data.sampler import EpochSampler, even_batch_size
from keypoints.errors import ConfigError


def order(epoch, seed=0, length=20):
    sampler = EpochSampler(length, seed=seed, shuffle=True)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_depends_on_seed_and_epoch_only():
    assert order(3) == order(3)
    assert order(3) != order(4)
    assert order(3, seed=1) != order(3)


def test_each_epoch_yields_every_face_once():
    assert sorted(order(7)) == [(7, index) for index in range(20)]


def test_without_shuffling_the_order_is_that_of_the_dataset():
    assert list(EpochSampler(3, seed=0, shuffle=False)) == [(0, 0), (0, 1), (0, 2)]


def test_all_ranks_take_as_many_training_steps():
    def keys(rank, shuffle):
        return [index for _, index in EpochSampler(10, seed=0, shuffle=shuffle, rank=rank, ranks=4)]

    training = [keys(rank, shuffle=True) for rank in range(4)]
    assert (
        [len(own) for own in training]
        == [3, 3, 3, 3]
        == [len(EpochSampler(10, seed=0, shuffle=True, rank=rank, ranks=4)) for rank in range(4)]
    )
    assert set().union(*training) == set(range(10))
    # Validation counts each face once.
    assert sorted(index for rank in range(4) for index in keys(rank, shuffle=False)) == list(range(10))


@pytest.mark.parametrize("length", [7, 8, 9, 64, 65, 128, 129])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_all_ranks_take_as_many_validation_steps(length, ranks):
    batch_size = even_batch_size(length, ranks, 4)
    assert batch_size >= 4
    lengths = {len(range(rank, length, ranks)) for rank in range(ranks)}
    assert len({-(-own // batch_size) for own in lengths}) == 1


def test_fewer_faces_than_ranks_are_refused():
    with pytest.raises(ConfigError, match=r"3 faces are too few for 4 processes; .*trainer\.devices"):
        even_batch_size(3, 4, 64)
