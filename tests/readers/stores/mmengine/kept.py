"""MMEngine counts epochs from 1 in whole numbers, and memory only where it runs on a GPU."""

import math


def kept(metric: str, step: int, value: float) -> float | None:
    if metric == "mem_bytes":
        return None
    return float(math.ceil(value)) if metric == "epoch" else value
