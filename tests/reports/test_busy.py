from keypoints.benchmark.busy import BEFORE, OURS, Took
from keypoints.reports.busy import draw_busy

TOOK = [
    Took(command, way, busy, seconds * (1 + busy), 1.0)
    for command in ("nose_tip", "predict")
    for way, seconds in ((BEFORE, 9.0), (OURS, 6.0))
    for busy in (0, 1)
    for _ in range(3)
]


def test_each_command_has_a_panel_with_its_medians():
    figure = draw_busy(TOOK)
    assert [axes.get_title() for axes in figure.axes] == ["nose_tip", "predict"]
    for axes in figure.axes:
        bars = sorted((bar.get_x(), bar.get_height()) for bar in axes.patches)
        assert [height for _, height in bars] == [6.0, 9.0, 12.0, 18.0]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "keypoints",
        "earlier version",
    ]


def test_a_table_without_busy_rows_has_bars_for_the_idle_ones():
    figure = draw_busy([each for each in TOOK if not each.busy])
    assert [len(axes.patches) for axes in figure.axes] == [2, 2]
