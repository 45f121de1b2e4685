import numpy as np
import pytest
from scipy import stats

from keypoints.evaluation.comparison import Errors, compare

GROUPS = np.repeat(np.arange(8), 6)


def drawn(settings, seeds, random, groups=GROUPS, shift=0.0):
    """Errors with effects of persons, of persons in each setting, and of seeds; all settings of one law."""
    persons = random.lognormal(0, 0.4, groups.max() + 1)
    errors = {}
    for number in range(settings):
        own = random.normal(0, 0.1, persons.size)
        errors[f"setting {number}"] = np.asarray(
            [
                (persons + own + random.normal(0, 0.05, persons.size))[groups]
                + random.normal(0, 0.1)
                + 0.2 * random.standard_t(3, groups.size)
                + shift * number
                for _ in range(seeds)
            ]
        )
    return errors


@pytest.mark.parametrize(("settings", "seeds"), [(2, 2), (2, 3), (4, 3)])
def test_settings_of_one_law_are_rarely_called_different(settings, seeds):
    random = np.random.default_rng(1)
    called = 0
    for number in range(200):
        errors = Errors(drawn(settings, seeds, random), GROUPS, number)
        called += any(each.is_certain for each in compare(errors))
    assert called <= 10


def test_settings_of_different_laws_are_called_different():
    random = np.random.default_rng(2)
    found = [
        compare(Errors(drawn(2, 3, random, shift=1.0), GROUPS, number))[0].is_certain for number in range(50)
    ]
    assert np.mean(found) > 0.9


def test_seeds_alone_give_the_interval_of_a_t_test():
    values = {"a": np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]), "b": np.array([[2.0, 2.0], [3.0, 3.0]])}
    contrast = Errors(values, ["x", "y"]).contrast({"b": 1, "a": -1})
    expected = stats.ttest_ind([2, 3], [1, 2, 4], equal_var=False)
    assert contrast.value == pytest.approx(2.5 - 7 / 3)
    assert contrast.deviation == pytest.approx(expected.statistic**-1 * contrast.value, rel=0.03)
    assert contrast.freedom == np.floor(expected.df)
    low, high = contrast.interval
    assert low < contrast.value < high


def test_groups_are_resampled_and_not_faces():
    random = np.random.default_rng(3)
    persons = random.normal(0, 1, 8)
    errors = {"a": np.tile(persons[GROUPS], (2, 1)), "b": np.zeros((2, GROUPS.size))}
    by_person = Errors(errors, GROUPS).contrast({"a": 1, "b": -1})
    by_face = Errors(errors, range(GROUPS.size)).contrast({"a": 1, "b": -1})
    assert by_person.deviation == pytest.approx(persons.std(ddof=1) / 8**0.5, rel=0.05)
    assert by_face.deviation < 0.6 * by_person.deviation
    assert by_person.freedom <= 7


def test_few_groups_and_single_seeds_give_no_honest_interval():
    many, one = np.ones((2, 12)), np.ones((1, 12))
    assert Errors({"a": many, "b": many}, np.arange(12) // 2).doubt == ""
    assert "5 groups" in Errors({"a": many, "b": many}, np.arange(12) % 5).doubt
    assert Errors({"a": many, "b": one}, np.arange(12)).doubt == "b has one seed"


def test_comparisons_with_the_best_are_corrected_for_all_pairs():
    random = np.random.default_rng(4)
    errors = Errors(drawn(3, 3, random, shift=0.15), GROUPS)
    with_best = {each.setting: each for each in compare(errors)}
    named = {each.setting: each for each in compare(errors, "setting 0")}
    assert set(with_best) == set(named) == {"setting 1", "setting 2"}
    for name, each in named.items():
        assert each.contrast == with_best[name].contrast
        assert each.contrast.p <= each.p <= with_best[name].p
    single = max(named.values(), key=lambda each: each.contrast.p)
    assert single.p == pytest.approx(max(each.p for each in named.values()))


def test_equal_settings_have_no_difference():
    errors = Errors({"a": np.ones((2, 12)), "b": np.ones((2, 12))}, np.arange(12))
    (difference,) = compare(errors)
    assert (difference.contrast.value, difference.contrast.p, difference.is_certain) == (0, 1, False)
    (other,) = compare(Errors({"a": np.ones((2, 12)), "b": np.zeros((2, 12))}, np.arange(12)))
    assert other.is_certain


def test_averages_of_settings_are_compared():
    values = {
        name: np.full((2, 12), level) for name, level in {"a": 1.0, "b": 3.0, "c": 6.0, "d": 10.0}.items()
    }
    (difference,) = compare(Errors(values, np.arange(12)), averages={"low": ["a", "b"], "high": ["c", "d"]})
    assert (difference.setting, difference.reference, difference.contrast.value) == ("high", "low", 6.0)
