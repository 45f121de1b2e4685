import torch

from keypoints.callbacks.seed_each_epoch import SeedEachEpoch


class Trainer:
    def __init__(self, current_epoch, global_rank=0):
        self.current_epoch = current_epoch
        self.global_rank = global_rank


def sampled(seed, epoch, rank=0, before=0):
    torch.rand(before)
    SeedEachEpoch(seed).on_train_epoch_start(Trainer(epoch, rank), None)
    return torch.rand(4).tolist()


def test_random_numbers_depend_only_on_seed_epoch_and_rank():
    assert sampled(0, 3) == sampled(0, 3, before=7)
    different = [sampled(0, 3), sampled(1, 3), sampled(0, 4), sampled(0, 3, rank=1)]
    assert len({tuple(values) for values in different}) == 4
