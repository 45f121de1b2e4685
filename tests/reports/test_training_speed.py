from keypoints.benchmark.spread import Spread
from keypoints.benchmark.training_speed import TrainingSpeed
from keypoints.reports.training_speed import draw_training_speed, print_training_speed

SPEED = TrainingSpeed(
    name="nose_tip",
    input=[1, 60, 80],
    batch_size=4,
    num_workers=0,
    precision="32-true",
    steps_an_epoch=10,
    gpu=None,
    processor="x86",
    cores=2,
    threads=2,
    torch="2",
    images_per_second={"loader": Spread(20.0, 19.0, 23.0), "trainer": Spread(20.0, 19.0, 23.0)},
    ratio={"trainer_to_slower_part": Spread(0.913, 0.9, 0.92)},
    one_core={"augmented": 900.0},
    step_ms={"the step": 2.0, "logging": 0.002},
    epoch_ms={"callback ModelCheckpoint": 20.0},
    memory_mb={"resident": 900.0},
)


def test_the_figure_has_speeds_and_shares_of_an_epochs_time():
    figure = draw_training_speed(SPEED)
    rates, shares = figure.axes
    assert [text.get_text() for text in rates.get_yticklabels()] == ["the loader alone", "the full Trainer"]
    assert [round(bar.get_width(), 1) for bar in shares.patches] == [50.0, 50.0, 0.0]
    assert "91 % of its slower part's speed" in figure.get_suptitle()


def test_the_terminal_shows_speeds_and_how_the_time_is_spent(capsys):
    print_training_speed(SPEED)
    out = capsys.readouterr().out
    assert "the Trainer over its slower part" in out
    assert "0.913" in out
    assert "one core prepares 900 faces per second, augmented" in out
    assert "each step, ms: the step 2\n" in out  # shares below half a percent are left out
    assert "once per epoch, ms: callback ModelCheckpoint 20" in out
    assert "resident 900 MB" in out
