"""How right is lmdiag on labelled logs?

    python benchmarks/accuracy.py --corpus DIR --labels FILE [--floor] [--details] [--write docs/measured.json]

DIR holds one folder per log, FILE one JSON object per line: {"id", "judgeable", "verdict", "labels": [{"label", "certainty", "step"}], "span"}.
A clear label counts as found when a finding of its family stands at warning or above (spike: info or above). A healthy run
counts as alarmed when a warning or error stands in a family for which it has no label. Step error is the distance to the labelled
step over the span. Prints tables in Markdown; with `--floor`, exits 1 when a figure is worse than FLOOR; `--write` counts for every rule on how many
logs it spoke, which is what the pages of the rules show.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lmdiag.diagnose import diagnose
from lmdiag.errors import LmdiagError
from lmdiag.finding import Finding, Severity
from lmdiag.judging.reading import read_all

FAMILIES = {
    "nonfinite": {"numerics", "integrity"},
    "nonfinite_eval": {"numerics", "integrity"},
    "nonfinite_grad": {"numerics", "integrity"},
    "zero_loss": {"numerics", "integrity"},
    "divergence": {"divergence"},
    "oscillation": {"divergence", "spikes"},
    "spike": {"spikes"},
    "overfit": {"generalization"},
    "stuck": {"convergence", "schedule"},
    "plateau": {"convergence", "schedule"},
    "grad_explosion": {"gradients"},
    "grad_vanishing": {"gradients"},
}
UNSCORED = {"throughput"}
OF_THE_PROGRAM = {"crashed-run"}  # the labels are of curves: that a run ended in an error does not make its curve sick
FLOOR = {"recall": 0.90, "alarmed": 0.02, "failed": 0.0, "step_error": 0.02}


@dataclass
class Scored:
    """What one log was labelled, and what was found."""

    id: str
    format: str
    healthy: bool
    findings: list[Finding] = field(default_factory=list)
    alarms: list[Finding] = field(default_factory=list)  # outside the families of its labels
    found: list[tuple[str, bool, float | None]] = field(default_factory=list)  # label, found, step error
    unread: str = ""


def score(folder: Path, label: dict) -> Scored:
    """Read, diagnose and score one labelled log."""
    scored = Scored(label["id"], label["format"], label["verdict"] == "healthy")
    try:
        diagnoses = [diagnose(run) for run in read_all(folder)]
    except LmdiagError as error:
        scored.unread = error.message
        diagnoses = []
    scored.findings = [f for d in diagnoses for f in d.findings if f.family not in UNSCORED]
    labelled = set().union(*(FAMILIES.get(said["label"], set()) for said in label["labels"]))
    scored.alarms = [
        f for f in scored.findings if f.alarms and f.family not in labelled and f.rule not in OF_THE_PROGRAM
    ]
    span = max(label["span"][1] - label["span"][0], 1) if label["span"] else 1
    for said in label["labels"]:
        if said["certainty"] == "clear" and said["label"] in FAMILIES:
            scored.found.append((said["label"], *_match(scored.findings, said, span)))
    return scored


def _match(findings: list[Finding], said: dict, span: float) -> tuple[bool, float | None]:
    least = Severity.INFO if said["label"] == "spike" else Severity.WARNING
    matching = [f for f in findings if f.family in FAMILIES[said["label"]] and f.severity >= least]
    if not matching or said["step"] is None:
        return bool(matching), None
    return True, min(abs(f.first_step - said["step"]) / span for f in matching)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a share (Wilson 1927)."""
    if not total:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(hits: int, total: int) -> str:
    low, high = wilson(hits, total)
    return f"{hits}/{total} ({low:.0%} to {high:.0%})"


def summary(scores: list[Scored]) -> dict[str, float]:
    """Return the figures that the floors are about."""
    found = [hit for s in scores for hit in s.found]
    healthy = [s for s in scores if s.healthy and not s.unread]
    errors = [e for _, _, e in found if e is not None]
    return {
        "recall": sum(hit for _, hit, _ in found) / max(len(found), 1),
        "alarmed": sum(bool(s.alarms) for s in healthy) / max(len(healthy), 1),
        "failed": sum(any(f.severity == Severity.ERROR for f in s.alarms) for s in healthy) / max(len(healthy), 1),
        "step_error": float(np.median(errors)) if errors else 0.0,
    }


def tables(scores: list[Scored]) -> str:
    """Return the figures as Markdown: in all, and per label."""
    found = [hit for s in scores for hit in s.found]
    healthy = [s for s in scores if s.healthy and not s.unread]
    figures = summary(scores)
    lines = [
        "| figure | value (95% interval) |",
        "|---|---|",
        f"| logs read | {sum(not s.unread for s in scores)}/{len(scores)} |",
        f"| clear labels found | {_share(sum(hit for _, hit, _ in found), len(found))} |",
        f"| healthy runs alarmed | {_share(sum(bool(s.alarms) for s in healthy), len(healthy))} |",
        f"| healthy runs with an error | {_share(round(figures['failed'] * len(healthy)), len(healthy))} |",
        f"| median step error | {figures['step_error']:.1%} of the run |",
        "",
        "| label | found | median step error |",
        "|---|---|---|",
    ]
    for label, total in sorted(Counter(label for label, _, _ in found).items()):
        hits = [(hit, error) for name, hit, error in found if name == label]
        errors = [error for _, error in hits if error is not None]
        middle = f"{np.median(errors):.1%}" if errors else "–"
        lines.append(f"| {label} | {sum(hit for hit, _ in hits)}/{total} | {middle} |")
    return "\n".join(lines)


def details(scores: list[Scored]) -> str:
    """Return one line per log: labels missed, alarms, everything found."""
    lines = []
    for s in scores:
        missed = [f"{label} missed" for label, hit, _ in s.found if not hit]
        late = [f"{label} off by {error:.0%}" for label, _, error in s.found if error and error > 0.05]
        alarms = [f"ALARM {f.rule} {f.severity.label} {f.message}" for f in s.alarms] if s.healthy else []
        rest = [f"{f.rule}:{f.severity.label}@{f.first_step}" for f in s.findings]
        lines.append(" | ".join([s.id, s.unread, *missed, *late, *alarms, " ".join(rest)]))
    return "\n".join(lines)


def per_rule(scores: list[Scored]) -> dict[str, Any]:
    """Return on how many healthy logs, and on how many others, each rule alarmed or told something."""
    read = [s for s in scores if not s.unread]
    counts: dict[str, Counter[str]] = {}
    for s in read:
        kind = "healthy" if s.healthy else "others"
        for rule in {f.rule for f in s.findings}:
            alarmed = any(f.alarms for f in s.findings if f.rule == rule)
            counts.setdefault(rule, Counter())[f"{kind}_{'alarmed' if alarmed else 'told'}"] += 1
    n_healthy = sum(s.healthy for s in read)
    rules = {rule: dict(sorted(counts[rule].items())) for rule in sorted(counts)}
    return {"healthy": n_healthy, "others": len(read) - n_healthy, "rules": rules}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with one folder per log")
    parser.add_argument("--labels", type=Path, required=True, help="labels, one JSON object per line")
    parser.add_argument("--details", action="store_true", help="print one line per log as well")
    parser.add_argument("--floor", action="store_true", help="exit 1 when a figure is worse than its floor")
    parser.add_argument("--write", type=Path, help="file for the counts of every rule, as JSON")
    given = parser.parse_args()
    labels = [json.loads(line) for line in given.labels.read_text().splitlines()]
    scores = [score(given.corpus / label["id"], label) for label in labels if label["judgeable"]]
    print(tables(scores))
    if given.details:
        print("\n" + details(scores))
    if given.write:
        given.write.write_text(json.dumps(per_rule(scores), indent=1) + "\n")
    figures = summary(scores)
    worse = [
        f"{name}: {value:.3f}, floor {FLOOR[name]}"
        for name, value in figures.items()
        if (value < FLOOR[name] if name == "recall" else value > FLOOR[name])
    ]
    if given.floor and worse:
        print("worse than the floor: " + "; ".join(worse), file=sys.stderr)
    return int(bool(given.floor and worse))


if __name__ == "__main__":
    sys.exit(main())
