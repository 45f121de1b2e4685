from keypoints.benchmark.prediction_speed import PredictionSpeed
from keypoints.benchmark.spread import Spread
from keypoints.reports.prediction_speed import draw_prediction_speed, print_prediction_speed

SPREADS = {"cut_out": Spread(20.0, 10.0, 40.0), "1": Spread(20.0, 10.0, 40.0)}
SPEED = PredictionSpeed(
    name="a model",
    model="model.onnx",
    scheme="imm58",
    input=[3, 48, 64],
    runtime="onnxruntime on cpu, int8",
    processor="x86",
    cores=2,
    faces_per_second=SPREADS,
    wall_ms=SPREADS,
    processor_ms=SPREADS,
)


def test_the_figure_names_model_batch_sizes_and_both_times():
    figure = draw_prediction_speed(SPEED)
    assert figure.get_suptitle() == "a model: 64 × 48, RGB, onnxruntime on cpu, int8"
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["cropping alone", "in batches of 1"]
    assert [each.get_width() for each in right.patches] == [20.0] * 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "wall-clock time",
        "CPU time of all cores",
    ]


def test_the_table_has_one_row_per_batch_size(capsys):
    print_prediction_speed(SPEED)
    row = next(line for line in capsys.readouterr().out.splitlines() if "in batches of 1" in line)
    assert row.split()[-5:] == ["20", "10", "40", "20", "20"]
