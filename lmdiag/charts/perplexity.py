"""Perplexity = exp(loss) as the right axis of a loss chart, and the round values of a log axis."""

from __future__ import annotations

import math

import numpy as np

from lmdiag.charts.vega import SIDE, Spec

LARGEST = 1e6  # beyond every vocabulary in use: such a perplexity says nothing
LABEL = "exp(datum.value) < 1e4 ? format(exp(datum.value), ',.4~r') : format(exp(datum.value), '.4~s')"


def perplexity_axis(ends: tuple[float, float]) -> Spec:
    """Return an axis over losses from `ends[0]` to `ends[1]` whose ticks are perplexities, of which none is below 1."""
    low, high = max(ends[0], 0.0), min(ends[1], math.log(LARGEST))
    ticks = [math.log(p) for p in perplexity_ticks(low, high)] if low <= high else []
    return {**SIDE, "values": ticks, "labelExpr": LABEL, "title": "perplexity"}


def perplexity_ticks(low: float, high: float) -> list[float]:
    """Return round perplexities whose logarithms lie between `low` and `high`.

    >>> perplexity_ticks(math.log(3), math.log(300))
    [5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    >>> perplexity_ticks(math.log(20.5), math.log(23.5))
    [21.0, 22.0, 23.0]
    """
    return round_values(math.exp(max(min(low, 690.0), -690.0)), math.exp(max(min(high, 690.0), -690.0)))


def round_values(bottom: float, top: float, most: int = 12) -> list[float]:
    """Return round positive numbers between two, at most about `most`, as even on a log scale as they can be.

    >>> round_values(0.02, 30, most=4)
    [0.1, 1.0, 10.0]
    """
    exponents = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    ticks: list[float] = []
    for factors in ((1.0,), (1.0, 2.0, 5.0)):
        finer = [f * 10.0**e for e in exponents for f in factors if bottom <= f * 10.0**e <= top]
        if len(ticks) >= 2 and len(finer) > most:
            return ticks
        ticks = finer
        if len(ticks) >= 5:
            return ticks[:: -(-len(ticks) // most)]
    if not bottom < top:  # closer than two numbers can be
        return ticks or [bottom]
    step = _nice((top - bottom) / max(most // 2, 4))
    evenly = np.arange(math.ceil(bottom / step), math.floor(top / step) + 1) * step
    return ticks if len(ticks) >= min(4, most - 2) else [float(f"{v:.10g}") for v in evenly]


def _nice(step: float) -> float:
    scale = 10.0 ** math.floor(math.log10(step))
    return next((f * scale for f in (1.0, 2.0, 5.0) if step <= f * scale), 10 * scale)
