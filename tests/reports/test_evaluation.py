from dataclasses import replace

from keypoints.evaluation.result import EvaluationResult, GroupScores, ModelSource, PointScores
from keypoints.reports.evaluation import rows_of, write_report
from keypoints.reports.terminal import print_evaluation

SCORES = {
    "mse": 0.001,
    "mae_px": 3.25,
    "nme": 0.0432,
    "auc": 0.5,
    "failure_rate": 0.125,
    "variance_ratio": None,
}
RESULT = EvaluationResult(
    source=ModelSource("best.ckpt", "IMMDataModule", flip_test=False, boxes="given", not_found=0),
    version="0",
    scheme="imm58",
    split="val",
    faces=8,
    norm="pair",
    threshold=0.08,
    metrics=SCORES,
    constant={**SCORES, "nme": 0.3},
    by_part={"jaw": SCORES},
    by_tag={
        "view": {"1": GroupScores(4, SCORES)},
        "person": {f"{number}": GroupScores(1, SCORES) for number in range(8)},
    },
    by_confidence=[],
    words={"view": {"1": "frontal"}},
    worst_faces=["person 3: 2 of the 2 worst faces"],
    notes=["it predicts the mean <face>"],
)


def test_rows_are_all_faces_the_baseline_parts_and_tags():
    rows = rows_of(RESULT)
    assert [row[""] for _, row in rows[:4]] == [
        "all 8 faces",
        "mean-shape baseline",
        "jaw",
        "view 1, frontal (4)",
    ]
    assert rows[0][1]["NME %"] == "4.32"
    assert rows[0][1]["fail %"] == "12.5"
    assert rows[0][1]["var."] == "–"
    assert len(rows) == 12


def test_visible_and_hidden_points_have_rows_after_the_parts():
    states = {"visible": PointScores(90, {"nme": 0.03}), "hidden": PointScores(10, {"nme": 0.06})}
    rows = [row for _, row in rows_of(replace(RESULT, by_visibility=states))]
    assert [row[""] for row in rows[2:5]] == ["jaw", "visible points (90)", "hidden points (10)"]
    assert [row["NME %"] for row in rows[3:5]] == ["3", "6"]
    assert rows[4]["AUC"] == "–"


def test_the_root_mean_squared_error_is_shown_where_it_is_measured():
    assert "RMSE px" not in rows_of(RESULT)[0][1]
    (_, row), *_ = rows_of(replace(RESULT, metrics={**SCORES, "rmse_px": 2.5}, constant=None))
    assert list(row.items())[-1] == ("RMSE px", "2.5")


def test_without_training_faces_there_is_no_baseline():
    assert "mean-shape baseline" not in [row[""] for _, row in rows_of(replace(RESULT, constant=None))]


def test_the_page_shows_units_worst_faces_and_stress_and_escapes_text(tmp_path):
    page = write_report(
        tmp_path / "page.html", "a title", replace(RESULT, stress=["blur: bad"]), [], "keypoints …"
    )
    text = page.read_text()
    assert "% of the distance of the outer eye corners" in text
    assert "person 3: 2 of the 2 worst faces" in text
    assert "blur: bad" in text
    assert "the mean &lt;face&gt;" in text


def test_the_terminal_omits_tags_with_many_values(capsys):
    print_evaluation(RESULT)
    printed = capsys.readouterr().out
    assert "view 1, frontal" in printed
    assert "person 5" not in printed
    assert "worst faces" in printed


def test_the_terminal_says_what_errors_are_divided_by(capsys):
    print_evaluation(replace(RESULT, norm="diagonal", threshold=0.1))
    out = capsys.readouterr().out
    assert "NME: % of the photo's diagonal. AUC: up to, fail: above an NME of 10 %." in out
