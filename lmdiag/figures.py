"""How numbers are written in the sentences of findings."""

from __future__ import annotations

IN_FULL = 1e7  # from here on powers of ten are read faster than digits


def figure(value: float, digits: int = 4) -> str:
    """Write a number with some significant digits, as an engineer would write it by hand.

    >>> figure(1483.2, 3), figure(5.16988e-26, 2), figure(0.00005), figure(1.05e8, 3), figure(2.5), figure(0)
    ('1,480', '5.2e-26', '5e-5', '1.05e8', '2.5', '0')
    """
    short = f"{value:.{digits}g}"
    if 10 ** (digits - 1) <= abs(float(short)) < IN_FULL:
        return f"{float(short):,.0f}"
    mantissa, _, exponent = short.partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def percent(share: float) -> str:
    """Write a share in whole percent: 0% is none, and 100% is all.

    >>> percent(0.704), percent(0.0001), percent(0.9999), percent(1.0)
    ('70%', 'less than 1%', 'more than 99%', '100%')
    """
    if 0 < share < 0.005:
        return "less than 1%"
    return "more than 99%" if 0.995 <= share < 1 else f"{share:,.0%}"
