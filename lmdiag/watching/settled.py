"""Which findings of a growing log are settled: the next records may take others back, and those should alarm nobody.

A finding is reported once it has stood while the log grew by a share of its length and by some records. What no later
record can take back, such as a NaN, is reported at once; that something has not come yet, such as a reward that rises,
only when it is late. The share is measured: see docs/accuracy.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lmdiag.finding import Finding, Key, keys
from lmdiag.run import Run

CERTAIN = frozenset({"numerics", "integrity"})  # families whose findings further records do not take back
NOT_YET = frozenset({"flat-reward", "flat-margin", "accuracy-at-half"})  # rules that miss something
GROWTH = 0.15
RECORDS = 3
LATE = 100  # records: the rewards and margins of most runs that learn have risen by then


@dataclass
class Settled:
    """What was found so far: when each finding was first there, counted in records of the log.

    >>> rise, settled = Finding("…", 50, 60, rule="divergence", family="divergence"), Settled()
    >>> [len(settled.after(records, [rise])) for records in (60, 62, 70)]
    [0, 0, 1]
    """

    first_seen: dict[Key, int] = field(default_factory=dict)

    def after(self, records: int, findings: Sequence[Finding]) -> dict[Key, Finding]:
        """Return those of the findings after so many records that are settled."""
        now = dict(zip(keys(findings), findings))
        self.first_seen = {key: self.first_seen.get(key, records) for key in now}
        return {key: finding for key, finding in now.items() if self._is_settled(key, finding, records)}

    def _is_settled(self, key: Key, finding: Finding, records: int) -> bool:
        if finding.rule in NOT_YET and records < LATE:
            return False
        since = self.first_seen[key]
        return finding.family in CERTAIN or records >= since + max(RECORDS, GROWTH * since)


def beginning(run: Run, last_step: int) -> Run:
    """Return the run as its log stood after a step, without the events of the log."""
    series = {name: s.between(run.first_step, last_step) for name, s in run.series.items()}
    return replace(run, series={name: s for name, s in series.items() if len(s)}, segments=(), superseded={}, events=())


def earlier(records: int) -> int:
    """Return after how many records a finding must have been there to be settled after `records`.

    >>> earlier(115), earlier(20), earlier(2)
    (100, 17, 0)
    """
    return max(min(int(records / (1 + GROWTH) + 1e-6), records - RECORDS), 0)
