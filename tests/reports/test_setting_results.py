import math

import numpy as np
import pytest

from keypoints.errors import DataError
from keypoints.evaluation.face_errors import FaceErrors
from keypoints.reports.setting_results import (
    MEASURES,
    RunResult,
    by_setting,
    measure_of,
    setting_findings,
    setting_table,
    shown_settings,
    verdict,
)

MSE, NME = MEASURES["val/mse"], MEASURES["val/nme"]
FACES = [f"{number}.jpg" for number in range(24)]
LEVELS = (("a", 0.1), ("b", 0.2))
GROUPS = [str(number // 3) for number in range(24)]


def run(setting, seed, level, *, with_faces=True, faces=FACES):
    random = np.random.default_rng([seed, int(1000 * level)])
    values = level + random.normal(0, 0.01, len(faces))
    errors = FaceErrors(faces, GROUPS[: len(faces)], {"mse": values}) if with_faces else None
    return RunResult(f"{setting}--seed-{seed}", setting, str(seed), None, {"best_mse": values.mean()}, errors)


def settings(**levels):
    return by_setting([run(name, seed, level) for name, level in levels.items() for seed in (0, 1, 2)])


def test_means_are_over_seeds_and_folds_count_within_a_seed():
    runs = [
        RunResult(f"fold-{fold}", "a", str(seed), fold, {"best_mse": float(seed + fold)})
        for seed in (0, 10)
        for fold in (0, 1)
    ]
    (result,) = by_setting(runs)
    assert result.seeds("best_mse") == [0.5, 10.5]
    assert result.mean("best_mse") == 5.5
    assert result.deviation("best_mse") == pytest.approx(np.std([0.5, 10.5], ddof=1))
    assert math.isnan(result.mean("nme"))
    assert math.isnan(by_setting(runs[:2])[0].deviation("best_mse"))


def test_runs_are_ranked_by_their_own_monitor():
    assert measure_of(["val/nme", "val/nme"])[0] == NME
    assert "val/nme, the metric that chose" in measure_of(["val/nme"])[1]
    assert measure_of(["val/nme", "val/mse"]) == (
        MSE,
        "Ranked by MSE, because the runs have different monitors: val/mse, val/nme.",
    )
    measure, sentence = measure_of(["loss/val"])
    assert measure == MSE
    assert "loss/val, the runs' monitor, is no error of single faces" in sentence


def test_settings_that_differ_are_told_apart_from_the_best():
    results = settings(good=1.0, same=1.0, bad=2.0)
    found = verdict(results, MSE)
    assert found.reference in ("good", "same")
    assert found.word(found.reference) == "best"
    assert found.word("bad") == "worse"
    assert {found.word("good"), found.word("same")} == {"best", "not told apart"}
    said = " ".join(setting_findings(results, found, MSE))
    assert f"bad is worse than {found.reference}" in said
    assert "24 faces of 8 groups" in said
    assert "all pairs" in said


def test_a_named_reference_is_the_one_to_compare_with():
    results = settings(good=1.0, bad=2.0)
    found = verdict(results, MSE, "bad")
    assert (found.word("bad"), found.word("good")) == ("reference", "better")
    assert "good is better than bad" in " ".join(setting_findings(results, found, MSE))
    with pytest.raises(DataError, match="reference=other: is none of the settings: good, bad"):
        verdict(results, MSE, "other")


def test_one_seed_gives_no_interval():
    results = by_setting([run("a", 0, 1.0), run("b", 0, 2.0)])
    found = verdict(results, MSE)
    assert found.word("b") == "no interval"
    said = " ".join(setting_findings(results, found, MSE))
    assert "No interval is honest, because a has one seed (24 faces of 8 groups)" in said
    row = next(each for each in shown_settings(results, found, MSE) if each["setting"] == "b")
    assert (row["verdict"], row["95 % interval"], row["p"]) == ("no interval", "–", "–")
    assert row["difference to best"] == "1"
    assert setting_table(results, found)["p_holm"].isna().all()


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (run("b", 0, 2.0, with_faces=False), "b--seed-0: has no table of its validation faces"),
        (run("b", 0, 2.0, faces=FACES[:5]), "b: validates on other faces than a"),
    ],
)
def test_runs_without_the_same_faces_have_no_verdict(other, says):
    results = by_setting([run("a", 0, 1.0), other])
    found = verdict(results, MSE)
    assert (found.word("a"), found.word("b")) == ("–", "–")
    assert any(
        sentence.startswith(f"No verdict: {says}") for sentence in setting_findings(results, found, MSE)
    )


def test_one_setting_has_a_mean_and_no_verdict():
    results = settings(only=1.0)
    assert verdict(results, MSE) is None
    (sentence,) = setting_findings(results, None, MSE)
    values = results[0].seeds("best_mse")
    assert sentence == f"only: MSE {np.mean(values):.3g} ± {np.std(values, ddof=1):.2g}, mean over 3 seeds."
    assert list(setting_table(results, None).columns) == ["setting", "seeds", "mse_mean", "mse_std"]


def test_tables_give_means_deviations_and_the_verdict():
    results = settings(good=1.0, bad=2.0)
    found = verdict(results, MSE)
    table = setting_table(results, found).set_index("setting")
    assert table.loc["bad", "difference"] == pytest.approx(1, abs=0.05)
    assert table.loc["bad", "low"] < table.loc["bad", "difference"] < table.loc["bad", "high"]
    assert list(table["verdict"]) == ["best", "worse"]
    first, second = shown_settings(results, found, MSE)
    assert (first["setting"], first["seeds"], second["setting"]) == ("good", "3", "bad")
    assert "±" in first["MSE"]
    assert " to " in second["95 % interval"]


def test_the_advice_fits_the_reason_for_no_interval():
    few = [run(name, seed, level, faces=FACES[:15]) for name, level in LEVELS for seed in (0, 1)]
    one = [run(name, 0, level) for name, level in LEVELS]
    for runs, advice in ((few, "Validate on more persons or photos"), (one, "Train with more seeds")):
        results = by_setting(runs)
        (sentence,) = setting_findings(results, verdict(results, MSE), MSE)[1:]
        assert "No interval is honest" in sentence
        assert advice in sentence


def test_findings_tell_different_numbers_of_seeds():
    results = by_setting([run("a", seed, 0.1) for seed in (0, 1, 2)] + [run("b", 0, 0.2)])
    assert "mean over 1 to 3 seeds" in setting_findings(results, verdict(results, MSE), MSE)[0]
