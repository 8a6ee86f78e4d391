"""How do other programs that judge training logs fare on the same labelled logs?

    python benchmarks/rivals.py --corpus DIR --labels FILE --environments DIR

`--environments` holds one virtual environment per program, named after it (python -m venv DIR/runmedic;
DIR/runmedic/bin/pip install runmedic). Corpus and labels are those of `accuracy.py`, and so is the score, with a mapping of names
that favours the others: whatever a program calls a finding, it counts for every label it could mean (FAMILIES); a log that a program
does not recognise is tried as a file, as a folder and with each format it can be told; an unread log counts as not found, and not as alarmed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from accuracy import FAMILIES as FAMILIES_OF_LABEL
from accuracy import Scored, _share, score

import lmdiag
from lmdiag.finding import Severity

SECONDS = 120
# What each program calls its findings, as a part of the name -> the families of lmdiag it could mean.
FAMILIES = {
    "non_finite": {"numerics", "integrity"},
    "nan": {"numerics", "integrity"},
    "finite": {"numerics", "integrity", "gradients"},
    "zero-loss": {"numerics", "integrity"},
    "diverge": {"divergence"},
    "grad": {"gradients", "spikes"},
    "spike": {"spikes", "divergence"},
    "overfit": {"generalization"},
    "eval": {"generalization"},
    "val_": {"generalization"},
    "plateau": {"convergence", "schedule"},
    "stagnation": {"convergence", "schedule"},
    "no_learning": {"convergence", "schedule"},
    "flat": {"convergence", "schedule"},
    "dead": {"convergence", "schedule", "numerics", "integrity"},
    "lr": {"schedule", "convergence"},
}


@dataclass(frozen=True)
class Said:
    """One finding of a program, in the words of lmdiag."""

    families: frozenset[str]
    severity: Severity


@dataclass(frozen=True)
class Rival:
    """A program: its arguments before the path, those that name a format, and how to read its answer (None: not read)."""

    arguments: tuple[str, ...]
    formats: tuple[str, ...]
    findings: Callable[[Any], Iterator[tuple[str, str]] | None]


def main() -> None:
    """Score each program and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--environments", type=Path, required=True)
    given = parser.parse_args()
    labels = [label for line in given.labels.read_text().splitlines() if (label := json.loads(line))["judgeable"]]
    print("| program | read | clear labels found | unhealthy runs alarmed | healthy runs alarmed, of those read |")
    print("|---|---|---|---|---|")
    print(_row(f"lmdiag {lmdiag.__version__}", [score(given.corpus / label["id"], label) for label in labels], labels))
    for name, rival in RIVALS.items():
        program = given.environments / name / "bin" / name
        scores = [judged(program, rival, given.corpus / label["id"], label) for label in labels]
        print(_row(f"{name} {_version(program)}", scores, labels), flush=True)


def _row(name: str, scores: list[Scored], labels: list[dict[str, Any]]) -> str:
    found = [hit for s in scores for _, hit, _ in s.found]
    sick = [s for s, label in zip(scores, labels) if label["verdict"] == "unhealthy"]
    healthy = [s for s in scores if s.healthy and not s.unread]
    alarmed = sum(any(f.severity >= Severity.WARNING for f in s.findings) for s in sick)
    cells = (
        f"{sum(not s.unread for s in scores)}/{len(scores)}",
        _share(sum(found), len(found)),
        f"{alarmed}/{len(sick)}",
        _share(sum(bool(s.alarms) for s in healthy), len(healthy)),
    )
    return f"| {name} | {' | '.join(cells)} |"


def judged(program: Path, rival: Rival, folder: Path, label: dict[str, Any]) -> Scored:
    """Score what a program says of one log."""
    scored = Scored(label["id"], label["format"], label["verdict"] == "healthy")
    said = _said(program, rival, folder)
    if said is None:
        scored.unread = "not read"
    scored.findings = list(said or ())  # type: ignore[arg-type]
    labelled = set().union(*(FAMILIES_OF_LABEL.get(entry["label"], set()) for entry in label["labels"]))
    scored.alarms = [f for f in said or () if f.severity >= Severity.WARNING and not f.families & labelled]  # type: ignore[misc]
    for entry in label["labels"]:
        if entry["certainty"] == "clear" and entry["label"] in FAMILIES_OF_LABEL:
            least = Severity.INFO if entry["label"] == "spike" else Severity.WARNING
            wanted = FAMILIES_OF_LABEL[entry["label"]]
            hit = any(f.families & wanted and f.severity >= least for f in said or ())
            scored.found.append((entry["label"], hit, None))
    return scored


def _said(program: Path, rival: Rival, folder: Path) -> list[Said] | None:
    """Ask a program about a log, of its own accord and then with each format, until it reads something."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    paths = (files[0], folder) if len(files) == 1 else (folder,)
    formats = ((), *(("--format", name) for name in rival.formats))
    for path, chosen in product(paths, formats):
        command = [str(program), *rival.arguments, *chosen, str(path)]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            found = rival.findings(json.loads(answer.stdout))
        except (subprocess.TimeoutExpired, ValueError):
            continue
        if found is not None:
            return [Said(_families(name), _severity(level)) for name, level in found]
    return None


def _families(name: str) -> frozenset[str]:
    return frozenset().union(*(families for part, families in FAMILIES.items() if part in name.lower()))


def _severity(level: str) -> Severity:
    return {"critical": Severity.ERROR, "error": Severity.ERROR, "fail": Severity.ERROR,
            "warning": Severity.WARNING, "warn": Severity.WARNING}.get(level.lower(), Severity.INFO)  # fmt: skip


def _runmedic(answer: Any) -> Iterator[tuple[str, str]] | None:
    read = [run for run in answer if run["series"]]
    return ((f["check"], f["severity"]) for run in read for f in run["findings"]) if read else None


def _trainproof(answer: Any) -> Iterator[tuple[str, str]] | None:
    read = [r for r in answer["reports"] if all(f["id"] != "TP-NO-LOSS" for f in r["findings"])]
    return ((f["id"], f["level"]) for r in read for f in r["findings"] if f["level"] != "PASS") if read else None


def _losslint(answer: Any) -> Iterator[tuple[str, str]] | None:
    read = any(run["points"] for run in answer["runs"])
    return ((f["check"], f["severity"]) for f in answer["findings"]) if read else None


def _trainspotter(answer: Any) -> Iterator[tuple[str, str]] | None:
    return ((f["detector"], f["severity"]) for f in answer["findings"]) if answer["run"]["metrics"] else None


RIVALS = {
    "runmedic": Rival(("diagnose", "--json"), (), _runmedic),
    "trainproof": Rival(("doctor", "--json"), ("hf", "jsonl", "csv", "tfevents"), _trainproof),
    "losslint": Rival(("check", "--format", "json"), (), _losslint),
    "trainspotter": Rival(
        ("analyze", "--output", "json"), ("hf", "csv", "jsonl", "wandb", "lightning", "tensorboard"), _trainspotter
    ),
}


def _version(program: Path) -> str:
    command = f"from importlib.metadata import version; print(version({program.name!r}))"
    return subprocess.run([program.parent / "python", "-c", command], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
