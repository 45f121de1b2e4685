"""Formatting of numbers for tables, figures and messages."""

_LONG = 1e7
"""Smallest number that is shown with an exponent."""

_FINE = 3
"""Number of decimals above which a number that would round to 0 is shown with an exponent."""


def shown(value: float | str | None, digits: int = 3) -> str:
    """Format a number with a given number of significant digits.

    Tables, figures and messages all format numbers with this function or with :func:`fixed`.

    Args:
        value: the number. Text is returned unchanged; ``None`` and NaN become a dash.
        digits: significant digits. The integer part of numbers below ten million is shown in full.

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
    """Format a number with a given number of decimals, or like :func:`shown` if it is too large or too small.

    Args:
        value: the number; ``None`` and NaN become a dash.
        decimals: digits after the decimal point.

    >>> fixed(0.0123, 2), fixed(1234.5, 1), fixed(4.3e18, 6), fixed(4.3e-9, 6)
    ('0.01', '1234.5', '4.3e+18', '4.3e-09')
    """
    if value is None or not abs(value) < _LONG:
        return shown(value)
    text = f"{value:.{decimals}f}"
    return shown(value) if decimals > _FINE and value and not float(text) else text
