from dataclasses import replace

import pytest
import torch

from keypoints.datamodules.imm import IMMDataModule
from keypoints.evaluation.face_tables import hidden_of
from keypoints.evaluation.measure import measure
from keypoints.evaluation.per_face import Predictions
from keypoints.evaluation.result import Case, PredictedFaces
from keypoints.reports.evaluation import rows_of
from keypoints.tasks.metrics import evaluation_metrics
from tests.evaluation.test_result import MODEL


@pytest.fixture
def case(made_up_imm):
    data = IMMDataModule(made_up_imm)
    return Case("a model, train", data, "train", data.scheme, "diagonal", 0.08, 2)


def predicted(case, shift, notes=()):
    """Return predictions that are all ``shift`` pixels to the right of the truth."""
    faces = case.data.splits["train"]
    truth = torch.stack([torch.from_numpy(face.landmarks()).float() for face in faces])
    sizes = torch.tensor([[640.0, 480.0]] * len(faces))
    wrong = truth + torch.tensor([shift, 0.0])
    mean = truth.mean(dim=0).expand_as(truth)
    return PredictedFaces(
        faces, Predictions(wrong, truth, sizes), Predictions(mean, truth, sizes), MODEL, notes
    )


def test_errors_are_measured_overall_by_part_and_by_tag(case):
    result, tables = measure(case, predicted(case, 8.0))
    assert result.faces == len(tables.in_originals) == len(case.data.splits["train"])
    assert result.metrics["mae_px"] == pytest.approx(4.0, rel=1e-4)  # per coordinate
    assert result.metrics["nme"] == pytest.approx(8 / 800, rel=1e-4)
    assert tables.on_photos["error_px"].tolist() == pytest.approx([8.0] * result.faces, rel=1e-4)
    assert set(result.by_part) == set(case.scheme.parts)
    views = result.by_tag["view"]
    assert sum(group.faces for group in views.values()) == result.faces
    assert all(group.scores["nme"] == pytest.approx(0.01, rel=1e-4) for group in views.values())
    assert set(result.metrics) == set(evaluation_metrics(case.scheme, case.norm, case.threshold).keys())
    assert result.constant["nme"] > 0
    assert tables.constant.shape == (result.faces,)


def test_warnings_come_before_the_notes_of_the_source(case):
    broken = predicted(case, 1.0, ["of the source"])
    broken.predictions.predicted[0] = torch.nan
    notes = measure(case, broken)[0].notes
    assert "no finite numbers" in notes[0]
    assert notes[1:] == ["of the source"]


def test_faces_without_labelled_normalising_points_do_not_count(made_up_imm):
    data = IMMDataModule(made_up_imm)
    case = Case("a model, train", data, "train", data.scheme, "pair", 0.08, 2)
    assert measure(case, predicted(case, 1.0))[1].counted.all()
    missing = predicted(case, 1.0)
    missing.predictions.truth[0, data.scheme.normalizing_points[0]] = torch.nan
    result, tables = measure(case, missing)
    assert tables.counted.tolist() == [False] + [True] * (result.faces - 1)
    assert "1 of 24 faces has no NME" in result.notes[-1]


@pytest.mark.parametrize(
    ("norm", "reason"), [("pair", "normalising points have no label"), ("box", "labelled points span no box")]
)
def test_faces_that_cannot_be_normalised_are_counted(made_up_imm, norm, reason):
    data = IMMDataModule(made_up_imm)
    case = Case("a model, train", data, "train", data.scheme, norm, 0.08, 2)
    given = predicted(case, 1.0)
    given.predictions.truth[0] = torch.nan
    given.predictions.truth[1, 1:] = torch.nan
    result, tables = measure(case, given)
    assert tables.counted.tolist() == [False] * 2 + [True] * (result.faces - 2)
    assert result.metrics["nme"] is not None
    assert result.notes[-2:] == [
        f"1 of {result.faces} faces has no labelled point, and does not count",
        f"1 of {result.faces} faces has no NME: their {reason}",
    ]


def hide(given, hidden):
    """Return predictions some of whose points are hidden."""
    return replace(given, predictions=given.predictions._replace(hidden=hidden))


def test_visible_and_hidden_points_are_measured_separately(made_up_imm):
    data = IMMDataModule(made_up_imm)
    case = Case("a model, train", data, "train", data.scheme, "pair", 0.08, 2)
    given = predicted(case, 0.0)
    truth, found = given.predictions.truth, given.predictions.predicted
    hidden = torch.zeros(truth.shape[:2], dtype=torch.bool)
    hidden[0, :4] = True
    found[..., 0] += 2.0
    found[hidden] += torch.tensor([4.0, 0.0])
    scale = float(
        (truth[0, case.scheme.normalizing_points[0]] - truth[0, case.scheme.normalizing_points[1]]).norm()
    )
    result, tables = measure(case, hide(given, hidden))
    visible, covered = result.by_visibility["visible"], result.by_visibility["hidden"]
    assert (visible.points, covered.points) == (hidden.numel() - 4, 4)
    assert visible.scores["mae_px"] == pytest.approx(1.0, rel=1e-4)
    assert covered.scores["mae_px"] == pytest.approx(3.0, rel=1e-4)
    assert covered.scores["nme"] == pytest.approx(6 / scale, rel=1e-4)
    assert result.notes[-1] == f"{hidden.numel()} of {hidden.numel()} points are labelled, 4 of them hidden"
    assert hidden_of(tables.on_photos).tolist() == hidden.tolist()


def test_all_visible_points_add_nothing_to_the_result(case):
    result, tables = measure(case, predicted(case, 1.0))
    assert result.by_visibility is None
    assert "by_visibility" not in result.to_dict()
    assert not [name for name in tables.in_originals if name.startswith("truth_v")]
    assert not hidden_of(tables.in_originals).any()


def test_labelled_and_hidden_points_are_counted_in_a_note(case):
    given = predicted(case, 1.0)
    given.predictions.truth[0, :3] = torch.nan
    hidden = torch.zeros(given.predictions.truth.shape[:2], dtype=torch.bool)
    hidden[1, 5] = True
    total = hidden.numel()
    (note,) = measure(case, hide(given, hidden))[0].notes
    assert note == (
        f"{total - 3} of {total} points are labelled, 1 of them hidden; errors are over the labelled points"
    )


def test_a_part_without_labels_has_no_scores(case):
    given = predicted(case, 1.0)
    given.predictions.truth[:, list(case.scheme.parts["mouth"])] = torch.nan
    result, _ = measure(case, given)
    assert set(result.by_part["mouth"].values()) == {None}
    (row,) = (row for _, row in rows_of(result) if row[""] == "mouth")
    assert set(row.values()) == {"mouth", "–"}


def test_broken_predictions_stay_visible_where_labels_are_missing(case):
    broken = predicted(case, 1.0)
    broken.predictions.truth[0, :3] = torch.nan
    broken.predictions.predicted[0] = torch.nan
    table = measure(case, broken)[1].in_originals
    assert table["error_px"].isna().tolist() == [True] + [False] * (len(table) - 1)
