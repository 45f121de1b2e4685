import pytest

from keypoints.callbacks import progress_bar
from keypoints.callbacks.progress_bar import ProgressBar


class Told(ProgressBar):
    """Bar that records the steps it is updated with."""

    def __init__(self, refresh_rate):
        super().__init__(refresh_rate)
        self.steps = []

    def _update(self, progress_bar_id, current, *args, **settings):
        if progress_bar_id is not None and progress_bar_id == self.train_progress_bar_id:
            self.steps.append(current)
        super()._update(progress_bar_id, current, *args, **settings)


@pytest.mark.parametrize(
    ("refresh_rate", "passes", "steps"),
    [(4, 0.3, [*range(1, 7), *range(1, 7)]), (4, 0.1, [1, 4, 6, 3, 6]), (4, 0, [1, 6, 6]), (0, 1, [])],
)
def test_the_bar_is_updated_when_due_and_at_each_last_step(watched, monkeypatch, refresh_rate, passes, steps):
    clock = iter(range(1000, 2000))
    monkeypatch.setattr(progress_bar, "monotonic", lambda: next(clock) * passes + 1000)
    bar = Told(refresh_rate)
    watched(bar, bar=True)
    assert bar.steps == steps
