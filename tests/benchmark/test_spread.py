from keypoints.benchmark.spread import Spread


def test_a_spread_has_the_median_and_the_range():
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(median=2.5, lowest=1.0, highest=10.0)
