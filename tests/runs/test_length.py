import pytest
from omegaconf import OmegaConf

from keypoints.runs.length import lengthened


@pytest.mark.parametrize(
    ("given", "now"),
    [
        (
            ["experiment=a", "trainer.max_epochs=2", "seed=1"],
            ["experiment=a", "trainer.max_epochs=9", "seed=1"],
        ),
        (["++trainer.max_epochs=2"], ["trainer.max_epochs=9"]),
        (["~scheduler", "optimizer.lr=1e-3"], ["~scheduler", "optimizer.lr=1e-3", "trainer.max_epochs=9"]),
        (["scheduler.T_max=2"], ["scheduler.T_max=9", "trainer.max_epochs=9"]),
    ],
)
def test_a_lengthened_run_has_overrides_of_its_new_length(given, now):
    cfg = OmegaConf.create({"trainer": {"max_epochs": 9}, "scheduler": {"T_max": 9}})
    assert lengthened(given, cfg) == now
