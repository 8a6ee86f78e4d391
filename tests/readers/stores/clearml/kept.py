"""ClearML writes 0.0 for NaN and for infinities; of a loss and a gradient norm it can be told that they were no numbers."""

import math


def kept(metric: str, step: int, value: float) -> float:
    return value if math.isfinite(value) else math.nan
