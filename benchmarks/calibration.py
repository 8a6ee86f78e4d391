"""How often does each rule alarm on healthy logs, and how strong must a fault be to be found?

    python benchmarks/calibration.py [--logs 10000] [--fault-logs 400] [--jobs 1] [--seed 0] [--details] [--write docs/calibration.json]

Healthy logs are simulated (`healthy_logs.py`), so many in each slice of length and noise, a fifth where a log has 20,000 records and more, and so many of
each kind of post-training (`healthy_post_training.py`); everything else about them is drawn at random. A warning or an error is a false alarm. Faults
(`graded_faults.py`, `graded_post_training.py`) are put into such logs at graded strength. `--logs 50 --fault-logs 20` takes two minutes, the full run hours. `make docs` makes pages of what is written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from subprocess import check_output
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from graded_faults import FAULTS
from graded_post_training import POST_TRAINING_FAULTS
from healthy_logs import healthy
from healthy_post_training import KINDS

from lmdiag.diagnose import FAILED, diagnose
from lmdiag.run import Run

LENGTHS = ((6, 11), (12, 19), (20, 59), (60, 299), (300, 1_999), (2_000, 19_999), (20_000, 100_000))
NOISES = ((0.003, 0.01), (0.01, 0.03), (0.03, 0.07), (0.07, 0.15))
LONG, LONG_SHARE = 20_000, 5  # logs of so many records are simulated a fifth as often
POST_TRAINING_LENGTH = (20, 2_000)
EVERY_FAULT = (*FAULTS, *POST_TRAINING_FAULTS)
CHUNK = 200


def drawn(seed: int, slice_number: int, log: int) -> Run:
    """Return one healthy log of a slice, of which those of post-training come last; the same numbers give the same log."""
    if slice_number >= len(LENGTHS) * len(NOISES):
        rng = np.random.default_rng([seed, slice_number, log])
        make = list(KINDS.values())[slice_number - len(LENGTHS) * len(NOISES)]
        return make(rng, round(float(np.exp(rng.uniform(*np.log(POST_TRAINING_LENGTH))))))
    lengths, noises = LENGTHS[slice_number // len(NOISES)], NOISES[slice_number % len(NOISES)]
    rng = np.random.default_rng([seed, slice_number, log])
    records, noise = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in (lengths, noises))
    return healthy(rng, round(records), noise)


def alarms(task: tuple[int, int, int, int]) -> tuple[int, Counter[str], list[str]]:
    """Return the slice, on how many of its logs each rule alarmed ("" for any), and which logs these are."""
    seed, slice_number, first, stop = task
    counts: Counter[str] = Counter()
    details = []
    for log in range(first, stop):
        run = drawn(seed, slice_number, log)
        diagnosis = diagnose(run)
        broken = [refusal.rule for refusal in diagnosis.not_checked if FAILED in refusal.why]
        found = {f.rule: f.message for f in diagnosis.findings if f.alarms} | dict.fromkeys(broken, FAILED)
        counts.update(found.keys())
        counts[""] += bool(found)
        details += [f"{slice_number} {log} | {run.name} | {rule}: {message}" for rule, message in found.items()]
    return slice_number, counts, details


def power(task: tuple[int, int, float, int]) -> list[int]:
    """Return how many of the logs with a fault are found at each of its strengths, in the order of these."""
    seed, fault_number, noise, logs = task
    fault, found = EVERY_FAULT[fault_number], []
    for strength in fault.strengths:
        hits = 0
        for log in range(logs):
            rng = np.random.default_rng([seed, fault_number, round(1000 * noise), log])
            diagnosis = diagnose(fault.made(rng, noise, strength))
            hits += any(f.rule in fault.rules and (f.severity or 0) >= fault.least for f in diagnosis.findings)
        found.append(hits)
    return found


def strength_found(strengths: tuple[float, ...], shares: list[float], wanted: float) -> float | None:
    """Return the strength from which on a share is found, also at all that are stronger, interpolated in its logarithm; None if there is none.

    >>> strength_found((0.1, 0.4), [0.0, 1.0], 0.5)
    0.2
    """
    shares = np.minimum.accumulate(shares[::-1])[::-1].tolist()
    if shares[-1] < wanted:
        return None
    at = next(i for i, share in enumerate(shares) if share >= wanted)
    if at == 0:
        return strengths[0]
    part = (wanted - shares[at - 1]) / (shares[at] - shares[at - 1])
    return float(f"{strengths[at - 1] * (strengths[at] / strengths[at - 1]) ** part:.2g}")


def measured(logs: int, fault_logs: int, jobs: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Simulate and judge everything; return the figures, and a line for every false alarm."""
    slices = [
        {"records": lengths, "noise": noises, "logs": logs if lengths[0] < LONG else max(1, logs // LONG_SHARE), "rules": Counter()}
        for lengths in LENGTHS
        for noises in NOISES
    ]  # fmt: skip
    slices += [{"kind": kind, "records": POST_TRAINING_LENGTH, "logs": logs, "rules": Counter()} for kind in KINDS]
    tasks = [
        (seed, number, first, min(first + CHUNK, part["logs"]))
        for number, part in enumerate(slices)
        for first in range(0, part["logs"], CHUNK)
    ]
    questions = [
        (seed, number, noise, fault_logs) for number, fault in enumerate(EVERY_FAULT) for noise in fault.noises
    ]
    details: list[str] = []
    with ProcessPoolExecutor(jobs) as pool:
        for number, counts, lines in pool.map(alarms, tasks):
            slices[number]["rules"] += counts
            details += lines
        answers = list(pool.map(power, questions))
    for part in slices:
        part["alarmed"] = part["rules"].pop("", 0)
        part["rules"] = dict(sorted(part["rules"].items()))
    return {
        "date": str(date.today()),
        "commit": check_output(("git", "rev-parse", "--short", "HEAD"), cwd=Path(__file__).parent, text=True).strip(),
        "seed": seed,
        "fault_logs": fault_logs,
        "slices": [part for part in slices if "kind" not in part],
        "post_training": [part for part in slices if "kind" in part],
        "faults": list(_faults(questions, answers)),
    }, details


def _faults(questions: list[tuple[int, int, float, int]], answers: list[list[int]]) -> Iterator[dict[str, Any]]:
    for (_, number, noise, logs), hits in zip(questions, answers):
        fault = EVERY_FAULT[number]
        shares = [hit / max(logs, 1) for hit in hits]
        yield {
            "fault": fault.name,
            "unit": fault.unit,
            "rules": fault.rules,
            "least": fault.least.label,
            "noise": noise,
            "strengths": fault.strengths,
            "found": [round(share, 3) for share in shares],
            "half": strength_found(fault.strengths, shares, 0.5),
            "ninety": strength_found(fault.strengths, shares, 0.9),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=10_000, help="healthy logs a slice")
    parser.add_argument("--fault-logs", type=int, default=400, help="logs for each strength of a fault")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--details", action="store_true", help="name every log that alarmed")
    parser.add_argument("--write", type=Path, help="file for the figures, of which `make docs` makes pages")
    given = parser.parse_args()
    figures, details = measured(given.logs, given.fault_logs, given.jobs, given.seed)
    from docs.calibration import page

    print(page(figures))
    if given.details:
        print("\n".join(details))
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
