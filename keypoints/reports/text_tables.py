"""Tables as text to paste: Markdown and LaTeX."""

from collections.abc import Mapping, Sequence

_LATEX = {
    **{"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_"},
    **{"{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "–": "--", "²": "$^2$", "×": r"$\times$"},
}
"""LaTeX for the characters that are commands there, or that its fonts may lack."""


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    r"""Return rows as a Markdown table; empty without rows.

    >>> print(markdown([{"a": "1", "b": "x|y"}]))
    | a | b |
    |---|---|
    | 1 | x\|y |

    Args:
        rows: rows with the same keys, which are the titles.
    """
    if not rows:
        return ""

    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(value.replace("|", "\\|").replace("\n", " ") for value in values) + " |"

    return "\n".join(
        [line(list(rows[0])), "|" + "---|" * len(rows[0]), *(line(list(row.values())) for row in rows)]
    )


def latex(rows: Sequence[Mapping[str, str]]) -> str:
    r"""Return rows as a LaTeX ``tabular``, with the rules of the package booktabs; empty without rows.

    >>> print(latex([{"a": "1 %"}]))
    \begin{tabular}{l}
    \toprule
    a \\
    \midrule
    1 \% \\
    \bottomrule
    \end{tabular}

    Args:
        rows: rows with the same keys, which are the titles.
    """
    if not rows:
        return ""

    def line(values: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(each, each) for each in value) for value in values) + r" \\"

    kinds = "l" + "r" * (len(rows[0]) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            line(list(rows[0])),
            r"\midrule",
            *(line(list(row.values())) for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
