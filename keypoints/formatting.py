"""Formatting of numbers, counts and durations for tables, figures and messages."""

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


def counted(count: float | str, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun, in the singular for 1.

    All messages, figures and pages word their counts with this function.

    Args:
        count: the number; of text such as "2 of 3", the last word counts.
        noun: the noun in the singular. Words may precede it, as in "validation face".
        plural: the noun in the plural; by default an s is added, and a final y after a consonant becomes
            ies.

    >>> counted(1, "face"), counted(0, "test face"), counted(12345, "entry"), counted("1 of 2", "photo")
    ('1 face', '0 test faces', '12345 entries', '1 of 2 photos')
    """
    return f"{count} {pluralised(count, noun, plural)}"


def pluralised(count: float | str, noun: str, plural: str | None = None) -> str:
    """Return a noun, or another word, in the form that fits a count, without the count.

    Args:
        count: the number.
        noun: the word for 1.
        plural: the word for other numbers; by default as for :func:`counted`.

    >>> pluralised(1, "is", "are"), pluralised(2, "is", "are"), pluralised(2, "box", "boxes")
    ('is', 'are', 'boxes')
    """
    if str(count).rpartition(" ")[2] == "1":
        return noun
    if plural is not None:
        return plural
    ends_in_y = noun.endswith("y") and noun[-2:-1] not in "aeiou"
    return f"{noun[:-1]}ies" if ends_in_y else f"{noun}s"


def clock(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds.

    Args:
        seconds: the duration; negative ones count as 0.

    >>> clock(41.7), clock(3723), clock(100 * 3600)
    ('0:00:41', '1:02:03', '100:00:00')
    """
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
