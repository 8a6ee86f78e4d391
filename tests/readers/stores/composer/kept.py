"""Composer writes four decimals, too few for this learning rate; epochs, memory and times it has in other units."""

OWN = {"epoch", "samples"}  # when an epoch begins, and how many samples there were


def kept(metric: str, step: int, value: float) -> float | None:
    return None if metric in ("lr", "epoch", "mem_bytes", "step_time_s") else float(f"{value:.4f}")
