import numpy as np
import pytest
from matplotlib.figure import Figure

from keypoints.errors import printable
from keypoints.reports import error_figures, face_figures, figures, filter_figures, training_figures
from tests.reports.test_training_figures import HISTORY


def test_ticks_are_whole_epochs_and_narrow_titles_have_two_lines(tmp_path):
    figure = training_figures.comparison({"a": HISTORY.iloc[:1]}, {"a": "a"}, "a title")
    figures.save(figure, tmp_path / "comparison.png")
    (axes,) = figure.axes
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    face = face_figures.read_face(tmp_path / "gone.png", np.ones((1, 2)), np.ones((1, 2)), "")
    for count, line_ends in ((1, 1), (2, 0)):
        title = face_figures.faces({"a": [face] * count}, (), "the same good faces").get_suptitle()
        assert title.count("\n") == line_ends


def test_a_figure_is_written_atomically(tmp_path):
    path = figures.save(
        filter_figures.filters(np.ones((1, 1, 2, 2)), "x"), tmp_path / "figures" / "filters.png"
    )
    before = path.read_bytes()

    class Broken(Figure):
        def savefig(self, file, **_):
            file.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        figures.save(Broken(), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["filters.png"]


ODD = ["a$b{.jpg", "$\\frac{", "_hidden", "\x1b[31mred", "half \udc80", "[/] \u202etxt", "$a$ $b$", "100 %$"]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_names_are_never_read_as_formulas(tmp_path, recwarn, name):
    histories = {name: HISTORY, "other": HISTORY}
    face = face_figures.read_face(tmp_path / "gone.png", np.ones((1, 2)), np.ones((1, 2)), name)
    cumulative = error_figures.cumulative_errors({name: np.array([0.1, 0.2])}, 0.1, name, name)
    pictures = np.zeros((8, 8), np.uint8)
    drawn = {
        "comparison": training_figures.comparison(histories, {name: name, "other": name}, name),
        "alone": training_figures.comparison(histories, {name: name, "other": "other"}, name),
        "curves": training_figures.loss_curves(HISTORY, name, name, name),
        "faces": face_figures.faces({name: [face]}, (), name),
        "samples": face_figures.samples({name: [pictures]}, {name: np.full((1, 1, 2), 0.5)}, (), name),
        "errors": cumulative,
    }
    for what, figure in drawn.items():
        assert figures.save(figure, tmp_path / f"{what}.png").stat().st_size
    first = drawn["alone"].axes[0].get_legend().get_texts()[0].get_text()
    assert first.strip() == f"{printable(name)}: best 0.05"
    ticks = [label.get_text() for label in drawn["alone"].axes[0].get_yticklabels()]
    assert any("mathdefault" in tick for tick in ticks)  # powers of ten are still formulas
    assert not [str(warned.message) for warned in recwarn if "Glyph" in str(warned.message)]
