"""The page of what `benchmarks/calibration.py` measured, and what of it the pages of the rules show."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

HEAD = """# False alarms and strengths found, simulated

`python benchmarks/calibration.py --logs {logs} --fault-logs {fault_logs} --seed {seed} --write docs/calibration.json`, {date}, commit {commit}

Healthy logs are drawn at random: the law of the loss from scratch or as a fine-tune, five schedules with and without warm-up, epochs, curricula,
batches grouped by length; normal, heavy-tailed, autocorrelated, growing and shrinking noise; means, rounding, uneven steps; 3 to 500 evaluations, also of
easier sets; gradient norms with a long tail, times, memory, auxiliary losses; beginnings and ends of runs. A slice is a range of lengths and of
noise (the relative standard deviation of one record); all else varies within it. Real logs vary more, so these are lower bounds:
[accuracy.md](accuracy.md) has those of real logs.
"""


def interval(hits: int, total: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a share (Wilson 1927)."""
    z, share = 1.96, hits / max(total, 1)
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def per_10_000(hits: int, total: int) -> str:
    """Write a count as its rate in 10,000 with the 95% interval.

    >>> per_10_000(1, 1000)
    '10 (2 to 56)'
    """
    low, high = interval(hits, total)
    return f"{1e4 * hits / max(total, 1):.0f} ({1e4 * low:.0f} to {1e4 * high:.0f})"


def page(figures: Mapping[str, Any]) -> str:
    """Return the page with all figures."""
    slices = figures["slices"]
    parts = [
        HEAD.format(
            logs=max(s["logs"] for s in slices), **{k: figures[k] for k in ("fault_logs", "seed", "date", "commit")}
        ),
        "\n## Healthy logs that alarmed, per 10,000\n",
    ]
    parts += [_matrix(slices), "\n## By rule\n", _rules(slices)]
    parts += ["\n## Post-training\n", _post_training(figures["post_training"])]
    parts += ["\n## How strong a fault must be\n", _faults(figures)]
    return "\n".join(parts)


def _range(ends: list[float], share: bool = False) -> str:
    return f"{100 * ends[0]:g} to {100 * ends[1]:g}%" if share else f"{ends[0]:,} to {ends[1]:,}"


def _matrix(slices: list[dict[str, Any]]) -> str:
    noises = list(dict.fromkeys(tuple(s["noise"]) for s in slices))
    lengths = list(dict.fromkeys(tuple(s["records"]) for s in slices))
    lines = [
        "Any rule, a warning or an error, with 95% intervals.\n",
        f"| records | logs a slice | {' | '.join(f'noise {_range(list(n), True)}' for n in noises)} |",
    ]
    lines.append("|---|---|" + "---|" * len(noises))
    for length in lengths:
        row = [s for s in slices if tuple(s["records"]) == length]
        cells = " | ".join(per_10_000(s["alarmed"], s["logs"]) for s in row)
        lines.append(f"| {_range(list(length))} | {row[0]['logs']:,} | {cells} |")
    return "\n".join(lines)


def _rules(slices: list[dict[str, Any]]) -> str:
    names = sorted({name for s in slices for name in s["rules"]})
    long, short = [s for s in slices if s["records"][0] >= 20], [s for s in slices if s["records"][0] < 20]
    lines = [
        "False alarms per 10,000 of all logs, and of the slice with most of them; every rule that is not named had none in any slice.\n"
    ]
    lines += ["| rule | fewer than 20 records | 20 records and more | worst slice of these |", "|---|---|---|---|"]
    for name in names:
        worst = max(long, key=lambda s: s["rules"].get(name, 0) / s["logs"])
        where = f"{per_10_000(worst['rules'].get(name, 0), worst['logs'])}: {_range(worst['records'])} records, noise {_range(worst['noise'], True)}"
        sums = [
            per_10_000(sum(s["rules"].get(name, 0) for s in part), sum(s["logs"] for s in part))
            for part in (short, long)
        ]
        lines.append(
            f"| [{name}](rules/{name}.md) | {' | '.join(sums)} | {where if worst['rules'].get(name) else '–'} |"
        )
    return "\n".join(lines)


POST_TRAINING = """Policies whose reward rises (shares of right answers, scores) with what GRPO and PPO log beside it, and pairs that a policy learns to tell apart, as
DPO logs them: 20 to 2,000 records, noise of so many responses or pairs, in a third of the policies with the order of the prompts in it.
"""


def _post_training(kinds: list[dict[str, Any]]) -> str:
    lines = [POST_TRAINING, "| kind | logs | alarmed, per 10,000 | by |", "|---|---|---|---|"]
    for k in kinds:
        by = ", ".join(f"[{name}](rules/{name}.md) {hits}" for name, hits in k["rules"].items()) or "–"
        lines.append(f"| {k['kind']} | {k['logs']:,} | {per_10_000(k['alarmed'], k['logs'])} | {by} |")
    return "\n".join(lines)


def _strength(value: float | None, unit: str) -> str:
    if value is None:
        return "not reached"
    return f"{100 * value:g}% {unit}" if unit.startswith("of ") else f"{value:g} {unit}"


def _noise(fault: Mapping[str, Any]) -> str:
    return f"{100 * fault['noise']:g}%" if fault["noise"] else "any"


def _faults(figures: Mapping[str, Any]) -> str:
    lines = [
        f"The strength from which on half, and nine of ten, of {figures['fault_logs']} logs of 60 to 2,000 records are found, by one of the rules named.\n"
    ]
    lines += ["| fault | found as | noise | 50% | 90% |", "|---|---|---|---|---|"]
    for f in figures["faults"]:
        rules = ", ".join(f"[{name}](rules/{name}.md)" for name in f["rules"])
        lines.append(
            f"| {f['fault']} | {f['least']}: {rules} | {_noise(f)} | {_strength(f['half'], f['unit'])} | {_strength(f['ninety'], f['unit'])} |"
        )
    return "\n".join(lines) + "\n"


def of_rule(figures: Mapping[str, Any], name: str) -> str:
    """Return what the page of a rule shows: its false alarms, and the strengths it is measured to find."""
    slices = [s for s in (*figures["slices"], *figures["post_training"]) if s["records"][0] >= 20]
    hits, total = sum(s["rules"].get(name, 0) for s in slices), sum(s["logs"] for s in slices)
    lines = [f"False alarms on simulated healthy logs of 20 records and more: {per_10_000(hits, total)} per 10,000.\n"]
    for f in figures["faults"]:
        if name == f["rules"][0]:
            found = f"half of them from {_strength(f['half'], f['unit'])}, nine of ten from {_strength(f['ninety'], f['unit'])}"
            lines.append(f"- {f['fault']}, {_noise(f)} noise: {found}")
    return "\n".join(lines) + "\n\nHow: [calibration.md](../calibration.md).\n"
