"""Length of a run in its command. Imports no torch."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

LENGTH = "trainer.max_epochs"
"""Setting that lengthens a run which is resumed."""

_LENGTHS = (LENGTH, "scheduler.T_max", "scheduler.total_iters")
"""Settings that change when a run is lengthened."""


def lengthened(overrides: Sequence[str], cfg: DictConfig) -> list[str]:
    """Return the overrides that train a lengthened run from its beginning.

    >>> cfg = OmegaConf.create({"trainer": {"max_epochs": 9}, "scheduler": {"T_max": 9}})
    >>> lengthened(["seed=1", "scheduler.T_max=3"], cfg)
    ['seed=1', 'scheduler.T_max=9', 'trainer.max_epochs=9']

    Args:
        overrides: overrides of the command that began the run.
        cfg: the run's configuration with the new length.
    """
    keys = [each.partition("=")[0].lstrip("+") for each in overrides]
    changed = [
        f"{key}={OmegaConf.select(cfg, key)}" if key in _LENGTHS else each
        for key, each in zip(keys, overrides, strict=True)
    ]
    return changed if LENGTH in keys else [*changed, f"{LENGTH}={OmegaConf.select(cfg, LENGTH)}"]
