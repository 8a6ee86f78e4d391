"""The evidence of findings in words: what a number is called, and its unit. JSON and SARIF have it as rules give it."""

from __future__ import annotations

import math

from lmdiag.figures import duration, figure, percent, size, times
from lmdiag.finding import Finding
from lmdiag.reports.phrases import number

LABELS = {
    "standard_errors": "certainty",
    "rank_trend": "certainty of the trend",
    "trend_z": "certainty of the trend",
    "deviations": "height",
    "mean_difference_in_sigma": "repeated losses differ by",
    "likeness": "correlation",
    "signs": "signs of too high a rate",
    "sigma": "scatter",
    "rebound": "rise",
    "end": "level at the end",
    "start": "level at the start",
    "late": "level at the end",
    "second_half": "mean of the second half",
    "early": "level at the start",
    "fall": "fall of the level",
    "lr": "learning rate",
    "peak": "highest learning rate",
    "peak_lr": "highest learning rate",
    "norm_90": "90th percentile of the norms",
    "norm_99": "99th percentile of the norms",
    "of": "of all layers",
    "allowed": "allowed difference",
    "came_in_the_run": "fall of the ratio in the run",
    "gradient_growth": "gradient norm",
    "gradient_ratio": "gradient norm",
    "excess": "above its level by",
    "typical_excess": "typically above its level by",
    "largest_excess": "above its level by up to",
    "recovery_records": "records until it was back",
    "below_limit_at": "below the limit at",
    "first_pass": "median of the second half of the first pass",
    "bytes_per_step": "growth per step",
}
OF_SPIKES = {"peak": "highest value"}  # of the loss, where rules on schedules tell that of the rate
UNITS = {
    "standard_errors": "standard errors",
    "rank_trend": "standard deviations",
    "trend_z": "standard deviations",
    "deviations": "standard deviations",
    "mean_difference_in_sigma": "times the noise",
    "gradient_growth": "times its value before",
    "gradient_ratio": "times its usual value",
    "weight_growth": "times",
    "largest_ratio": "times",
}
SHARES = ("share", "excess")


def evidence(finding: Finding) -> list[tuple[str, str]]:
    """Return the numbers that show a finding, each with its name.

    >>> evidence(Finding("…", 1, 2, evidence={"level_before": 3.02, "standard_errors": 7.5e12, "skipped_share": 0.37}))
    [('level before', '3.02'), ('certainty', 'more than 1,000 standard errors'), ('skipped share', '37%')]
    """
    return [(_label(name, finding.family), _value(name, value)) for name, value in finding.evidence.items()]


def _label(name: str, family: str) -> str:
    words = OF_SPIKES.get(name) if family == "spikes" else None
    words = words or LABELS.get(name, name.replace("_", " "))
    return words.removesuffix(" s").removesuffix(" bytes")


def _value(name: str, value: float) -> str:
    if not math.isfinite(value):
        return number(value)
    if name in UNITS:
        return f"{times(value)} {UNITS[name]}"
    if name.endswith("_bytes") or name.startswith("bytes_per_step"):
        return size(value)
    if name.endswith("_s"):
        return duration(value)
    if name.endswith(SHARES):
        return percent(value) if value < 10 else f"{times(1 + value)} times"
    if name.endswith("ratio") and value >= 10:
        return f"{times(value, 3)} times"
    return number(value) if isinstance(value, int) or float(value).is_integer() else figure(value)
