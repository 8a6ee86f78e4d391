"""Where a finding is, for tools that work with files and lines, and how to recognise it when the log has grown."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, keys
from lmdiag.run import Run


def relative_path(source: str) -> str:
    """Return the path of a source relative to the working directory where it lies below it, with `/` between parts.

    >>> relative_path("./runs/../runs/a.jsonl"), relative_path("<stdin>")
    ('runs/a.jsonl', 'stdin')
    """
    if source.startswith("<"):
        return source.strip("<>")
    path = Path(os.path.normpath(source))
    below = path.is_absolute() and path.is_relative_to(Path.cwd())
    return (path.relative_to(Path.cwd()) if below else path).as_posix()


def lines_of(run: Run, finding: Finding) -> tuple[int, int]:
    """Return the first and last line of the source that a finding is about; (1, 1) where lines are not known.

    >>> from lmdiag.run import Series
    >>> loss = Series(np.array([10, 20, 30]), np.ones(3), np.array([2, 3, 5]))
    >>> lines_of(Run("a", {"loss": loss}), Finding("…", 20, 30))
    (3, 5)
    """
    series = run.series.get(finding.metric)
    if series is None or series.lines is None or not len(series):
        return 1, 1
    first, last = np.searchsorted(series.steps, [finding.first_step, finding.last_step])
    at = np.clip([first, last], 0, len(series) - 1)
    begin, end = (int(line) for line in series.lines[at])
    return max(begin, 1), max(begin, end, 1)


def fingerprints(diagnosis: Diagnosis) -> list[str]:
    """Return an identifier for each finding that stays the same in the next version of the log.

    It is a hash of the key of the finding and the path and name of the run; steps and values change, and are left out.
    """
    import hashlib

    where = (relative_path(diagnosis.run.source), Path(diagnosis.run.name).name)
    texts = ("\0".join((rule, metric, *where, str(number))) for rule, metric, number in keys(diagnosis.findings))
    return [hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() for text in texts]
