"""What tests of printed logs read them with."""

from __future__ import annotations

from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source


def run_of(text: str, name: str = "train.log") -> Run:
    """Return the one run of a text."""
    (run,) = runs_of(Source(name, content=text.encode()))
    return run


def points(run: Run, metric: str) -> list[tuple[int, float]]:
    """Return the steps and values of a metric."""
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist()))
