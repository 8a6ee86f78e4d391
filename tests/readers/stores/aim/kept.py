"""Aim keeps one value for each step of a metric: what a resumed run logs again takes the place of what was there."""

WRITES_OVER = True
