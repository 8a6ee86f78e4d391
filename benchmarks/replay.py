"""How soon does `lmdiag watch` tell a defect of a growing log, and does a healthy log raise alarms that disappear again?

    python benchmarks/replay.py --corpus DIR --labels FILE [--copies] [--details]

Every judged log is replayed: it is diagnosed as it stood after each of a hundred numbers of records. "Found" is a finding of the right family at
such a moment; "told" is one that has stood as long as `lmdiag watch` waits. The delay is that moment less the labelled step, over the length of
the run. A passing alarm is one that a moment raises and the whole log does not. `--copies` replays altered copies of the healthy logs,
too: these were not used to choose how long to wait.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from accuracy import FAMILIES, UNSCORED, wilson
from altered_copies import UNHARMED

from lmdiag.diagnose import diagnose
from lmdiag.finding import Finding, Severity
from lmdiag.judging.reading import read_all
from lmdiag.run import Run
from lmdiag.watching.settled import Settled, beginning

MOMENTS = 100
COPIES = ("last 50%", "every 5th record", "means of 5 records")


@dataclass(frozen=True)
class Moment:
    """A log as it stood at a share of its run: what was found, and what was told."""

    share: float
    found: tuple[Finding, ...]
    told: tuple[Finding, ...]


def replayed(run: Run) -> list[Moment]:
    """Diagnose the growing beginnings of a run."""
    assert run.curve is not None
    losses = [run.curve[1], *(run.series[name] for name in ("loss", run.curve[0]) if name in run)]
    steps, standing, moments = max(losses, key=len).steps, Settled(), []
    for at in np.unique(np.linspace(0, len(steps) - 1, MOMENTS).astype(int)):
        begun = beginning(run, int(steps[at]))
        found = diagnose(begun).findings
        told = tuple(standing.after(len(begun.curve[1]) if begun.curve else 0, found).values())
        share = (steps[at] - run.first_step) / max(run.last_step - run.first_step, 1)
        moments.append(Moment(float(share), found, found if at == len(steps) - 1 else told))
    return moments


def delays(moments: list[Moment], label: dict) -> Iterator[tuple[str, float | None, float | None]]:
    """Yield (label, delay until found, delay until told), None when never, for each clear label with a step."""
    low, high = label["span"]
    for said in label["labels"]:
        if said["certainty"] == "clear" and said["step"] is not None and said["label"] in FAMILIES:
            at = (said["step"] - low) / max(high - low, 1)
            yield said["label"], _first(moments, "found", said["label"], at), _first(moments, "told", said["label"], at)


def _first(moments: list[Moment], what: str, label: str, at: float) -> float | None:
    least = Severity.INFO if label == "spike" else Severity.WARNING
    for moment in moments:
        if any(f.family in FAMILIES[label] and (f.severity or 0) >= least for f in getattr(moment, what)):
            return max(0.0, moment.share - at)
    return None


def passing(moments: list[Moment], what: str) -> set[str]:
    """Return the rules that alarmed at some moment, but not on the whole log."""
    alarms = [{f.rule for f in getattr(m, what) if f.alarms and f.family not in UNSCORED} for m in moments]
    return set().union(*alarms) - alarms[-1]


def delay_table(found: dict[str, list[tuple[float | None, float | None]]]) -> Iterator[str]:
    """Yield the table of detection delays."""
    yield "| label | seen | found after (median, largest) | told after (median, largest) |"
    yield "|---|---|---|---|"
    for label, pairs in sorted(found.items()):
        seen = [told for _, told in pairs if told is not None]
        cells = [_median_and_largest([pair[which] for pair in pairs]) for which in (0, 1)]
        yield f"| {label} | {len(seen)}/{len(pairs)} | {' | '.join(cells)} |"


def _median_and_largest(values: list[float | None]) -> str:
    seen = [value for value in values if value is not None]
    return f"{np.median(seen):.1%}, {max(seen):.1%}" if seen else "–"


def share(some: int, of: int) -> str:
    """Return a count with its 95% interval."""
    low, high = wilson(some, of)
    return f"{some}/{of} ({low:.1%} to {high:.1%})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with one folder per log")
    parser.add_argument("--labels", type=Path, required=True, help="labels, one JSON object per line")
    parser.add_argument("--copies", action="store_true", help="replay altered copies of the healthy logs, too")
    parser.add_argument("--details", action="store_true", help="name the logs behind the figures")
    given = parser.parse_args()
    told, healthy = defaultdict(list), defaultdict(list)
    for line in given.labels.read_text().splitlines():
        label = json.loads(line)
        if not label["judgeable"]:
            continue
        run = read_all(given.corpus / label["id"])[0]
        moments = replayed(run)
        for name, *both in delays(moments, label):
            told[name].append(tuple(both))
        if label["verdict"] == "healthy":
            healthy["the logs themselves"].append((label["id"], moments))
            for name in COPIES if given.copies else ():
                copy = UNHARMED[name](run)
                if copy.curve is not None and len(copy.curve[1]) > 10:
                    healthy[f"copies: {name}"].append((label["id"], replayed(copy)))
    print("\n".join(delay_table(told)))
    print("\n| healthy logs | with a passing alarm, found | with a passing alarm, told |\n|---|---|---|")
    for name, replays in healthy.items():
        counts = [sum(bool(passing(moments, what)) for _, moments in replays) for what in ("found", "told")]
        print(f"| {name} | {' | '.join(share(count, len(replays)) for count in counts)} |")
    if given.details:
        for name, replays in healthy.items():
            for log, moments in replays:
                if passing(moments, "found"):
                    print(f"{name} | {log} | {sorted(passing(moments, 'found'))} | {sorted(passing(moments, 'told'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
