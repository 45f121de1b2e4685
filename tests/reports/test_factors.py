import pytest

from keypoints.evaluation.face_errors import FaceErrors
from keypoints.reports.factors import effect_findings, effects, factor_table, levels_of, shown_effects
from keypoints.reports.setting_results import MEASURES, RunResult, by_setting, verdict

MSE = MEASURES["val/mse"]
LEVELS = {f"lr-{lr}--k-{k}": {"lr": lr, "k": k} for lr in ("0.1", "0.2") for k in ("3", "5")}
ERRORS = {"lr-0.1--k-3": 1.0, "lr-0.1--k-5": 2.0, "lr-0.2--k-3": 4.0, "lr-0.2--k-5": 8.0}
FACES = [str(number) for number in range(12)]


def results(errors=ERRORS, seeds=(0, 1)):
    runs = [
        RunResult(
            f"{name}--seed-{seed}",
            name,
            str(seed),
            None,
            {"best_mse": error + 0.01 * seed},
            FaceErrors(FACES, FACES, {"mse": [error + 0.01 * seed] * len(FACES)}),
        )
        for name, error in errors.items()
        for seed in seeds
    ]
    return by_setting(runs)


def test_factors_are_the_overrides_that_differ():
    overrides = {
        "a": [
            "experiment=x",
            "model.net.kernel_sizes=[3]",
            "+optimizer.lr=0.1",
            "seed=0",
            "~callbacks.progress",
        ],
        "b": ["experiment=x", "model.net.kernel_sizes=[5]", "+optimizer.lr=0.1", "seed=1"],
    }
    assert levels_of(overrides) == {"a": {"kernel_sizes": "[3]"}, "b": {"kernel_sizes": "[5]"}}
    same = {"a": ["x.size=1", "y.size=1"], "b": ["x.size=2", "y.size=2"], "c": ["y.size=1"]}
    assert levels_of(same)["c"] == {"x.size": "default", "y.size": "1"}


def test_a_grid_of_two_factors_is_a_shaded_table():
    table = factor_table(results(), LEVELS, MSE)
    assert (table.down, table.across, list(table.columns)) == ("lr", "k", ["3", "5"])
    rows = {level: list(cells) for level, cells in table.rows}
    assert rows["0.1"][0].text.startswith("1 ±")
    assert [cell.shade for cell in (*rows["0.1"], *rows["0.2"])] == pytest.approx(
        [0, 1 / 3, 2 / 3, 1], abs=0.01
    )


def test_a_missing_combination_is_an_empty_cell():
    three = {name: error for name, error in ERRORS.items() if name != "lr-0.2--k-5"}
    table = factor_table(results(three), {name: LEVELS[name] for name in three}, MSE)
    cell = dict(table.rows)["0.2"][1]
    assert (cell.text, cell.shade) == ("–", None)


@pytest.mark.parametrize("factors", [1, 3])
def test_one_or_three_factors_have_no_table(factors):
    levels = {name: {str(place): f"{name}{place}" for place in range(factors)} for name in LEVELS}
    assert factor_table(results(), levels, MSE) is None


def test_the_effect_of_a_factor_is_a_mean_over_the_others():
    found = verdict(results(), MSE)
    rows = shown_effects(effects(results(), LEVELS, found), found)
    assert [(row["factor"], row["level"], row["MSE, mean"], row["difference to best"]) for row in rows] == [
        ("lr", "0.1", "1.5", "best"),
        ("lr", "0.2", "6", "4.5"),
        ("k", "3", "2.5", "best"),
        ("k", "5", "5", "2.5"),
    ]
    assert " to " in rows[1]["95 % interval"]


def test_levels_are_compared_under_the_same_conditions():
    three = {name: error for name, error in ERRORS.items() if name != "lr-0.2--k-5"}
    levels = {name: LEVELS[name] for name in three}
    found = verdict(results(three), MSE)
    rows = shown_effects(effects(results(three), levels, found), found)
    assert [(row["level"], row["settings"], row["MSE, mean"]) for row in rows[:2]] == [
        ("0.1", "1", "1"),
        ("0.2", "1", "4"),
    ]


def test_one_factor_and_single_seeds_have_no_effects_or_no_intervals():
    assert effects(results(), {name: {"lr": name} for name in LEVELS}, verdict(results(), MSE)) == []
    assert effects(results(), LEVELS, None) == []
    single = results(seeds=(0,))
    found = verdict(single, MSE)
    rows = shown_effects(effects(single, LEVELS, found), found)
    assert {row["95 % interval"] for row in rows} == {"–"}


def test_a_sentence_tells_the_effect_of_each_factor():
    found = verdict(results(), MSE)
    assert effect_findings(effects(results(), LEVELS, found), found) == [
        "lr, mean MSE over 2 settings a level: 0.1 (1.5), 0.2 (6); worse than 0.1: 0.2.",
        "k, mean MSE over 2 settings a level: 3 (2.5), 5 (5); worse than 3: 5.",
    ]
    single = results(seeds=(0,))
    found = verdict(single, MSE)
    first, _ = effect_findings(effects(single, LEVELS, found), found)
    assert first == "lr, mean MSE over 2 settings a level: 0.1 (1.5), 0.2 (6)."
