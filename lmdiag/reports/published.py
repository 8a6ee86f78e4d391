"""What is written back to the run on a tracker's server: a few named texts, the same each time that nothing has changed."""

from __future__ import annotations

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import severity_of
from lmdiag.reports.phrases import checkpoint, visible
from lmdiag.version import __version__

LONGEST = 5000  # characters of a tag of MLflow


def published(diagnosis: Diagnosis) -> dict[str, str]:
    """Return {name: text}: the verdict, the rules that alarmed, and a summary with a line for each finding.

    >>> from lmdiag.run import Run
    >>> published(Diagnosis(Run("a", {}), (), (), "it has no loss", None))["lmdiag.verdict"]
    'not-judged'
    """
    alarms = [f for f in diagnosis.findings if f.alarms and f.consequence_of is None]
    lines = [
        f"{severity_of(f).label} {f.rule}, {diagnosis.run.place(f.first_step, f.last_step)}: {visible(f.message)}"
        for f in diagnosis.findings
        if f.consequence_of is None
    ]
    keep = [f"checkpoint to keep: {checkpoint(diagnosis)}"] if diagnosis.best else []
    return {
        "lmdiag.verdict": diagnosis.verdict,
        "lmdiag.findings": ", ".join(dict.fromkeys(f.rule for f in alarms)) or "none",
        "lmdiag.summary": ("\n".join([*lines, *keep]) or "nothing was found")[:LONGEST],
        "lmdiag.version": __version__,
    }
