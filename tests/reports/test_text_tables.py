from keypoints.reports.text_tables import latex, markdown


def test_rows_become_markdown_and_latex():
    rows = [{"setting": "lr_0.1", "MSE": "0.1 ± 0.02"}, {"setting": "a|b", "MSE": "–"}]
    assert markdown(rows).splitlines() == [
        "| setting | MSE |",
        "|---|---|",
        "| lr_0.1 | 0.1 ± 0.02 |",
        "| a\\|b | – |",
    ]
    assert r"lr\_0.1 & 0.1 $\pm$ 0.02 \\" in latex(rows).splitlines()
    assert latex(rows).startswith(r"\begin{tabular}{lr}")


def test_no_rows_are_no_table():
    assert markdown([]) == latex([]) == ""
