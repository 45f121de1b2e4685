"""Numbers as people read them, in tables, figures and messages."""

_LONG = 1e7
"""From here on a number is shown with an exponent."""

_FINE = 3
"""With more decimals than this a number is no 0 that is shown as one."""


def shown(value: float | str | None, digits: int = 3) -> str:
    """Return a number with this many significant digits; a dash where there is none.

    Tables, figures and messages all show numbers by this function or by :func:`fixed`.

    Args:
        value: the number; text stays as it is, ``None`` and NaN become a dash.
        digits: significant digits. Whole numbers below ten million have all of theirs.

    >>> shown(0.0123456), shown(12345.6), shown(4.3e18), shown(None)
    ('0.0123', '12346', '4.3e+18', '–')
    """
    if isinstance(value, str):
        return value
    if value is None or value != value:  # noqa: PLR0124  NaN is not itself
        return "–"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < _LONG else text


def fixed(value: float | None, decimals: int) -> str:
    """Return a number with this many decimals, or as :func:`shown` where they would not hold it.

    Args:
        value: the number; ``None`` and NaN become a dash.
        decimals: digits behind the point.

    >>> fixed(0.0123, 2), fixed(1234.5, 1), fixed(4.3e18, 6), fixed(4.3e-9, 6)
    ('0.01', '1234.5', '4.3e+18', '4.3e-09')
    """
    if value is None or not abs(value) < _LONG:
        return shown(value)
    text = f"{value:.{decimals}f}"
    return shown(value) if decimals > _FINE and value and not float(text) else text
