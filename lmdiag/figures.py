"""How numbers are written in the sentences of findings."""

from __future__ import annotations

import math

IN_FULL = 1e7  # from here on powers of ten are read faster than digits
MOST_TIMES = 1000
BYTES = ("bytes", "KiB", "MiB", "GiB", "TiB")


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


def times(ratio: float, digits: int = 2) -> str:
    """Write how many times as large something is: beyond a thousand nobody reads the digits.

    >>> times(7.24), times(513.0), times(6.7e15)
    ('7.2', '510', 'more than 1,000')
    """
    return figure(ratio, digits) if ratio <= MOST_TIMES else f"more than {MOST_TIMES:,}"


def size(count: float) -> str:
    """Write a number of bytes in the unit that suits it.

    >>> size(358_400_000), size(4.29e12), size(200), size(-3 * 2**30)
    ('342 MiB', '3.9 TiB', '200 bytes', '-3 GiB')
    """
    step = min(int(math.log2(max(abs(count), 1)) / 10 + 1e-9), len(BYTES) - 1)
    return f"{figure(count / 1024**step, 3)} {BYTES[step]}"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it.

    >>> duration(3.46e-5), duration(0.157), duration(5.77), duration(700.0), duration(9000.0)
    ('34.6 µs', '157 ms', '5.77 s', '11.7 minutes', '2.5 hours')
    """
    units = ((3600, "hours"), (120, "minutes"), (1, "s"), (1e-3, "ms"), (0, "µs"))
    unit = next(name for least, name in units if abs(seconds) >= least)
    scale = {"hours": 3600, "minutes": 60, "s": 1, "ms": 1e-3, "µs": 1e-6}[unit]
    return f"{figure(seconds / scale, 3)} {unit}"
