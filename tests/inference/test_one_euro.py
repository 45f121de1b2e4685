import math

import numpy as np
import pytest

from keypoints.inference.one_euro import OneEuro, OneEuroFilter

SIDE = 120.0
USUAL = OneEuro()


def smoothed(points, times, settings=USUAL, side=SIDE):
    smooth = OneEuroFilter(settings)
    return np.array([smooth(each, time, side) for each, time in zip(points, times, strict=True)])


def uneven(seconds):
    """Return the times of a variable frame rate, from 12 to 60 frames a second."""
    steps = np.random.default_rng(1).uniform(1 / 60, 1 / 12, round(40 * seconds))
    times = np.concatenate([[0], np.cumsum(steps)])
    return times[times < seconds]


def test_the_first_points_are_unchanged():
    points = np.array([[3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(smoothed([points], [2.5])[0], points)


@pytest.mark.parametrize("rate", [25, 60])
def test_jitter_of_a_face_at_rest_falls_to_a_third(rate):
    times = np.arange(0, 4, 1 / rate)
    noise = 0.002 * SIDE * np.random.default_rng(0).standard_normal((len(times), 68, 2))
    steady = np.full((68, 2), 200.0)
    found = smoothed(steady + noise, times)
    assert np.diff(found, axis=0)[rate:].std() < np.diff(noise, axis=0)[rate:].std() / 3
    assert (found - steady)[rate:].std() < 0.6 * noise.std()


@pytest.mark.parametrize("times", [np.arange(0, 4, 1 / 25), np.arange(0, 4, 1 / 120), uneven(4)])
@pytest.mark.parametrize("speed", [0.1, 1.0, 5.0])
def test_the_lag_at_constant_speed_is_as_stated(times, speed):
    points = (speed * SIDE * times)[:, None, None] * np.array([0.6, 0.8])
    last = smoothed(points, times)[-1] - points[-1]
    lag = float(np.linalg.norm(last)) / SIDE
    stated = speed / (2 * math.pi * (USUAL.cutoff + USUAL.per_speed * speed))
    assert lag == pytest.approx(stated, rel=0.05)
    assert lag < 1 / (2 * math.pi * USUAL.per_speed)


def test_a_larger_face_is_smoothed_alike():
    times = uneven(2)
    points = 50 * np.random.default_rng(0).standard_normal((len(times), 5, 2))
    np.testing.assert_allclose(smoothed(3 * points, times, side=3 * SIDE), 3 * smoothed(points, times))


def test_without_speed_it_is_a_low_pass_filter():
    settings = OneEuro(cutoff=2.0, per_speed=0.0)
    found = smoothed(
        np.concatenate([np.zeros((1, 1, 2)), np.ones((200, 1, 2))]), np.arange(201) / 1000, settings
    )
    assert found[80, 0, 0] == pytest.approx(1 - 1 / math.e, abs=0.01)  # after 1 / (2π · 2 Hz) = 80 ms
