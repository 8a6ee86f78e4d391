"""How soon is a defect seen in a growing log, and does a healthy one raise alarms that disappear again?

    python benchmarks/replay.py --corpus DIR --labels FILE [--details]

Every judged log is replayed as 30 growing beginnings. The delay is the step at which the right family stands first, less the labelled step, over
the length of the run. A passing alarm is one that a beginning raises and the whole log does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from accuracy import FAMILIES, UNSCORED, wilson
from altered_copies import cut

from lmdiag.diagnose import diagnose
from lmdiag.finding import Finding, Severity
from lmdiag.readers import read_all
from lmdiag.run import Run

BEGINNINGS = np.linspace(1 / 30, 1, 30)


@dataclass(frozen=True)
class Replay:
    """What the beginnings of one log raised: the findings at each share of the run."""

    id: str
    label: dict
    findings: list[tuple[float, tuple[Finding, ...]]]

    def delays(self) -> list[tuple[str, float | None]]:
        """Return (label, delay as a share of the run, None when never seen) for each clear label with a step."""
        low, high = self.label["span"]
        told = [s for s in self.label["labels"] if s["certainty"] == "clear" and s["step"] is not None]
        return [
            (said["label"], self._first(said["label"], (said["step"] - low) / max(high - low, 1)))
            for said in told
            if said["label"] in FAMILIES
        ]

    def _first(self, label: str, at: float) -> float | None:
        least = Severity.INFO if label == "spike" else Severity.WARNING
        for share, findings in self.findings:
            if any(f.family in FAMILIES[label] and (f.severity or 0) >= least for f in findings):
                return max(0.0, share - at)
        return None

    def passing_alarms(self) -> set[str]:
        """Return the rules that alarmed on a beginning of a healthy log, but not on all of it."""
        labelled = set().union(*(FAMILIES.get(s["label"], set()) for s in self.label["labels"])) | UNSCORED
        raised = {f.rule for _, findings in self.findings for f in findings if f.alarms and f.family not in labelled}
        return raised - {f.rule for f in self.findings[-1][1] if f.alarms}


def replay(name: str, label: dict, run: Run) -> Replay:
    """Diagnose the growing beginnings of a run."""
    grown = [(float(share), cut(run, 0, share)) for share in BEGINNINGS]
    return Replay(name, label, [(share, diagnose(part).findings) for share, part in grown if part.series])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with one folder per log")
    parser.add_argument("--labels", type=Path, required=True, help="labels, one JSON object per line")
    parser.add_argument("--details", action="store_true", help="name the logs behind the figures")
    given = parser.parse_args()
    replays = []
    for line in given.labels.read_text().splitlines():
        label = json.loads(line)
        runs = read_all(given.corpus / label["id"]) if label["judgeable"] else []
        replays += [replay(label["id"], label, run) for run in runs[:1]]
    delays = defaultdict(list)
    for one in replays:
        for label, delay in one.delays():
            delays[label].append(delay)
    print("| label | seen | median delay, share of the run | largest |\n|---|---|---|---|")
    for label, all_of_them in sorted(delays.items()):
        seen = [d for d in all_of_them if d is not None]
        figures = f"{np.median(seen):.1%} | {max(seen):.1%}" if seen else "– | –"
        print(f"| {label} | {len(seen)}/{len(all_of_them)} | {figures} |")
    healthy = [one for one in replays if one.label["verdict"] == "healthy"]
    passing = [one for one in healthy if one.passing_alarms()]
    low, high = wilson(len(passing), len(healthy))
    print(f"\nHealthy logs with an alarm that disappeared: {len(passing)}/{len(healthy)} ({low:.0%} to {high:.0%}).")
    if given.details:
        print("\n".join(f"{one.id} | {', '.join(sorted(one.passing_alarms()))}" for one in passing))
    return 0


if __name__ == "__main__":
    sys.exit(main())
