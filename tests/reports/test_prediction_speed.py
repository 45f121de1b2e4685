from keypoints.reports.prediction_speed import draw_speed, print_speed

SPREAD = {"median": 20.0, "lowest": 10.0, "highest": 40.0}
RESULT = {
    "name": "a model",
    "input": [3, 48, 64],
    "runtime": "onnxruntime on cpu, int8",
    **{key: {"cut_out": SPREAD, "1": SPREAD} for key in ("faces_per_second", "wall_ms", "processor_ms")},
}


def test_the_figure_names_the_model_the_batches_and_both_clocks():
    figure = draw_speed(RESULT)
    assert figure.get_suptitle() == "a model: 64 × 48, RGB, onnxruntime on cpu, int8"
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["cut out alone", "in batches of 1"]
    assert [each.get_width() for each in right.patches] == [20.0] * 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "by the clock",
        "of all cores together",
    ]


def test_the_table_has_a_row_a_batch(capsys):
    print_speed(RESULT)
    row = next(line for line in capsys.readouterr().out.splitlines() if "in batches of 1" in line)
    assert row.split()[-5:] == ["20", "10", "40", "20", "20"]
