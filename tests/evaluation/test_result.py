import json

import pytest

from keypoints.evaluation.per_face import ConfidenceGroup
from keypoints.evaluation.result import EvaluationResult, GroupScores, ModelSource, TableSource

MODEL = ModelSource("best.ckpt", "IMMDataModule", flip_test=True, boxes="given", not_found=1)
TABLE = TableSource(
    predictions="found.csv", data="LabelledDataModule", missing=["row 3"], without_truth=2, unusable_rows=0
)


def result(source):
    return EvaluationResult(
        source=source,
        version="1",
        scheme="imm58",
        split="val",
        faces=8,
        norm="pair",
        threshold=0.08,
        metrics={"nme": 0.1},
        constant=None,
        by_part={"jaw": {"nme": 0.2}},
        by_tag={"view": {"1": GroupScores(4, {"nme": 0.3})}},
        by_confidence=[ConfidenceGroup(0.5, 0.1, 58)],
        words={"view": {"1": "frontal"}},
        worst_faces=[],
        notes=["a warning"],
    )


@pytest.mark.parametrize(
    ("source", "first"),
    [
        (MODEL, ["checkpoint", "data", "flip_test", "boxes", "not_found", "refine", "detector"]),
        (TABLE, ["checkpoint", "predictions", "data", "missing", "without_truth", "unusable_rows"]),
    ],
)
def test_plain_values_begin_with_the_source_and_keep_their_keys(source, first):
    values = json.loads(json.dumps(result(source).to_dict()))
    assert list(values) == [
        *first,
        *("version", "scheme", "split", "faces", "norm", "threshold", "metrics", "constant", "by_part"),
        *("by_tag", "by_confidence", "words", "worst_faces", "notes"),
    ]
    assert values["by_tag"] == {"view": {"1": {"faces": 4, "nme": 0.3}}}
    assert values["by_confidence"] == [{"confidence": 0.5, "nme": 0.1, "points": 58}]


def test_only_tables_have_missing_faces():
    assert result(MODEL).missing == ()
    assert result(TABLE).missing == ["row 3"]


def test_notes_are_added_at_the_end():
    more = result(MODEL).completed(["another"], None)
    assert more.notes == ["a warning", "another"]
    assert result(MODEL).notes == ["a warning"]
