"""Is every fault found, does its remedy cure it, and does the advice?

    python -m benchmarks.faults FOLDER [--seeds 2] [--healthy 40] [--first 1] [--models transformer lstm rnn] [--faults NAME ...] > docs/faults.md

Trains what is missing in FOLDER: small models every fault of `trainers.faults`, again with its remedy, and again with the settings that
the first line of advice of the report changes; and without any fault, on other seeds. Every log is judged by lmdiag with its defaults. Prints a page in Markdown, and progress on stderr; one run takes some seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import math
import multiprocessing
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import lmdiag
from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding
from lmdiag.rules import RULES
from trainers import corpus
from trainers.__main__ import TRAINERS, train_and_resume
from trainers.faults import FAULTS, Fault, Hooks
from trainers.options import read_settings

# Beside the sizes for all. A smaller LSTM would not learn enough to beat the counts of token pairs, and lmdiag would say so.
MODELS: dict[str, dict[str, Any]] = {"transformer": {}, "lstm": {"context": 32, "d_model": 96}, "rnn": {}}
TEXT: dict[str, Any] = {"tokenizer": "char", "vocab_size": 1024, "max_characters": 200_000}
SIZES: dict[str, Any] = {
    "steps": 300,
    "batch_size": 16,
    "context": 16,
    "d_model": 48,
    "eval_every": 20,
    "eval_tokens": 2048,
}
VARIETY: dict[str, tuple[Any, ...]] = {  # of the healthy runs: 64 seeds see all combinations
    "max_characters": (200_000, 300_000),
    "steps": (160, 240),
    "batch_size": (12, 16),
    "warmup_steps": (10, 30),
    "schedule": ("cosine", "linear", "wsd", "constant"),
}
FIGURES = {
    "named by one of its rules": "named",
    "found: its rule, or an alarm of the same family": "found",
    "the advice names the remedy": "advised",
    "the remedy cures: no alarm, and the rule is silent": "is_cured",
    "the first advice changes a setting, and that cures": "advice_cures",
}
WITHIN = 0.03  # of the final evaluation loss of the sound recipe: alive is not cured
PREFACE = """# Faults found, and cured

Small models are trained with every fault of `trainers/faults/`, and again with its remedy; and without any fault, on other seeds, with four schedules and
two texts, lengths, batch sizes and warm-ups. lmdiag judges every log with its defaults. *Named*: one of the rules that name the fault, at any severity. *Family*: that, or a warning or error of the same family.
*Remedy cures*: the run with the remedy has no warning or error, and the rules that found the fault are silent. A resume needs no cure.
*Advice cures*: the first line of advice of the report is applied to the broken run, to the letter, where it changes a setting; the last evaluation loss must come within {within:.0%}
of that of the sound recipe with the same seed. Where it changes none (look at the batch, resume), it does not count here.

`{command}`

lmdiag {lmdiag}, Python {python}, PyTorch {torch}, one CPU thread; {steps} updates of {batch_size} sequences of {context} tokens, width {d_model}
(the LSTM: {lstm[context]} tokens, width {lstm[d_model]}).
"""
FAMILY = {rule.name: rule.family for rule in RULES}


@dataclass(frozen=True)
class Trial:
    """One fault on one model with one seed: what lmdiag said of the broken and of the cured run."""

    fault: type[Fault]
    model: str
    broken: Diagnosis
    cured: Diagnosis | None
    change: Mapping[str, Any] | None = None
    sound: Diagnosis | None = None
    advised_run: Diagnosis | None = None

    @property
    def naming(self) -> list[Finding]:
        """The findings that name the fault."""
        return [f for f in self.broken.findings if f.rule in self.fault.rules]

    @property
    def named(self) -> bool:
        return bool(self.naming)

    @property
    def found(self) -> bool:
        """Whether a rule of the fault, or an alarm of the same family, was raised."""
        families = {FAMILY[rule] for rule in self.fault.rules}
        return self.named or any(f.alarms and f.family in families for f in self.broken.findings)

    @property
    def advised(self) -> bool:
        """Whether the advice of the finding names the remedy."""
        return any(re.search(self.fault.advised, line) for f in self.naming for line in f.advice)

    @property
    def is_cured(self) -> bool | None:
        """Whether nothing alarms any more and the rules that found the fault are silent; None without a cure."""
        if self.cured is None:
            return None
        named = {f.rule for f in self.naming}
        return not any(f.alarms or f.rule in named for f in self.cured.findings)

    @property
    def beyond_sound(self) -> float | None:
        """By which share the last evaluation loss of the run as advised exceeds that of the sound recipe; None without such a run."""
        if self.sound is None or self.advised_run is None:
            return None
        ends = [float(d.run["val/loss"].values[-1]) for d in (self.advised_run, self.sound)]
        return ends[0] / ends[1] - 1

    @property
    def advice_cures(self) -> bool | None:
        """Whether that is within the limit; a loss that is not finite is not."""
        return None if self.beyond_sound is None else self.beyond_sound <= WITHIN


def first_change(diagnosis: Diagnosis) -> Mapping[str, Any] | None:
    """Return the settings that the first line of advice of a report changes, None where it changes none."""
    changes = diagnosis.findings[0].changes if diagnosis.findings else ()
    return changes[0] if changes else None


def alarms(diagnosis: Diagnosis) -> bool:
    """Return whether a run has a warning or an error."""
    return any(f.alarms for f in diagnosis.findings)


def versions() -> dict[str, Any]:
    """Return what the figures depend on."""
    return SIZES | {
        "lstm": MODELS["lstm"],
        "lmdiag": lmdiag.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


class Bench:
    """Trains, each run in a process of its own, and keeps what lmdiag said: many cured runs are the same healthy run."""

    def __init__(self, folder: Path, trains: bool) -> None:
        self.folder, self.trains = folder, trains
        self.said: dict[str, Diagnosis] = {}

    def healthy(self, model: str, seed: int) -> Diagnosis | None:
        """Train without a fault."""
        return self._judged(model, healthy_settings(model, seed), Hooks)

    def trial(self, fault: type[Fault], model: str, seed: int) -> Trial | None:
        """Train with a fault and, where there is something to cure, with its remedy."""
        settings = settings_of(model, seed)
        broken = self._judged(model, *fault.broken(settings))
        if broken is None:
            return None
        cured = self._judged(model, *fault.cured(settings)) if curable(fault) else None
        change = first_change(broken)
        if change is None:
            return Trial(fault, model, broken, cured)
        sound, advised = self._judged(model, settings, Hooks), self._judged(model, *fault.advised_run(settings, change))
        return Trial(fault, model, broken, cured, change, sound, advised)

    def _judged(self, model: str, settings: Any, kind: type[Hooks]) -> Diagnosis | None:
        key = repr((model, settings, kind.__name__))
        if key not in self.said:
            started = time.perf_counter()
            digest = hashlib.sha256(key.encode()).hexdigest()[:8]
            log = self.folder / f"{model}-{kind.__name__}-{settings.seed}-{digest}.jsonl"
            if not log.exists() and not self.trains:
                return None
            if not log.exists():
                process = multiprocessing.get_context(
                    "fork"
                ).Process(  # some faults kill it, and memory must be its own
                    target=train_quietly, args=(model, replace(settings, log=str(log)), kind)
                )
                process.start()
                process.join()
            self.said[key] = lmdiag.diagnose(lmdiag.read(log))
            rules = " ".join(f.rule if f.alarms else f"({f.rule})" for f in self.said[key].findings)
            seconds = time.perf_counter() - started
            print(f"{seconds:5.1f} s {model} {settings.seed} {kind.__name__}: {rules}", file=sys.stderr, flush=True)
        return self.said[key]


def settings_of(model: str, seed: int, **changes: Any) -> Any:
    """Return the settings of the user whose run is broken."""
    chosen = TEXT | SIZES | MODELS[model] | {"seed": seed, "device": "cpu"} | changes
    return read_settings(model, import_module(TRAINERS[model]).Settings, "small", chosen)


def healthy_settings(model: str, seed: int) -> Any:
    """Return the settings of one of many users whose runs are healthy."""
    combinations = list(itertools.product(*VARIETY.values()))
    return settings_of(model, seed, **dict(zip(VARIETY, combinations[seed % len(combinations)])))


def curable(fault: type[Fault]) -> bool:
    """Return whether the cured run is another one than the broken run."""
    return fault.mended is not None or bool(fault.cure)


def train_quietly(model: str, settings: Any, kind: type[Hooks]) -> None:
    with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing), contextlib.redirect_stdout(nothing):
        train_and_resume(import_module(TRAINERS[model]), settings, kind)


# ---- the page


def share(hits: int, of: int) -> str:
    """Return a share with its 95% Wilson interval."""
    if not of:
        return "–"
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * half) / (1 + z * z / of) for sign in (-1, 1))
    return f"{hits}/{of} ({max(low, 0):.1%} to {min(high, 1):.1%})"


def count(trials: Sequence[Trial], what: str) -> str:
    values = [getattr(t, what) for t in trials if getattr(t, what) is not None]
    return f"{sum(values)}/{len(values)}" if values else "–"


def page(trials: list[Trial], healthy: dict[str, list[Diagnosis]], command: str) -> Iterator[str]:
    """Yield the lines of the page."""
    everything = [d for found in healthy.values() for d in found]
    alarmed = {model: sum(alarms(d) for d in found) for model, found in healthy.items()}
    yield PREFACE.format(command=command, within=WITHIN, **versions())
    yield "| figure | value (95% interval) |\n|---|---|"
    for title, what in FIGURES.items():
        values = [getattr(t, what) for t in trials if getattr(t, what) is not None]
        yield f"| {title} | {share(sum(values), len(values))} |"
    yield f"| healthy runs alarmed | {share(sum(alarmed.values()), len(everything))} |"
    raised = Counter(f.rule for d in everything for f in d.findings if f.alarms)
    by = f" (by {', '.join(f'{rule} {n}' for rule, n in raised.most_common())})" if raised else ""
    yield f"\nHealthy runs alarmed{by}: {', '.join(f'{m} {n}/{len(healthy[m])}' for m, n in alarmed.items())}.\n"
    yield "## Fault by fault\n"
    yield "| fault | what it does | rules that name it | named | family | advice names the remedy | remedy cures | advice cures |"
    yield "|---|---|---|---|---|---|---|---|"
    for fault in FAULTS.values():
        of = [t for t in trials if t.fault is fault]
        if not of:
            continue
        counts = " | ".join(count(of, what) for what in FIGURES.values())
        rules = " or ".join(f"[{rule}](rules/{rule}.md)" for rule in fault.rules)
        yield f"| {fault.name()} | {fault.what()} *Remedy:* {fault.remedy}. | {rules} | {counts} |"
    yield "\n## Model by model\n"
    yield "| model | named | family | advice names the remedy | remedy cures | advice cures |\n|---|---|---|---|---|---|"
    for model in dict.fromkeys(t.model for t in trials):
        of = [t for t in trials if t.model == model]
        yield f"| {model} | {' | '.join(count(of, what) for what in FIGURES.values())} |"
    yield from advised(trials)
    yield from misses(trials)


def advised(trials: list[Trial]) -> Iterator[str]:
    """Yield what the first advice changed, and how near the run as advised came to the sound recipe."""
    told = [t for t in trials if t.beyond_sound is not None]
    yield f"\n## What the first advice changed\n\nIn {len(told)} of {len(trials)} broken runs it changed a setting.\n"
    yield "| fault | model | change | last evaluation loss, against the sound recipe |\n|---|---|---|---|"
    for t in told:
        change = ", ".join(f"{name} {value}" for name, value in (t.change or {}).items())
        yield f"| {t.fault.name()} | {t.model} | {change} | {t.beyond_sound:+.1%} |"


def said_of(diagnosis: Diagnosis | None) -> str:
    """Return the rules that spoke, information in brackets."""
    findings = diagnosis.findings if diagnosis else ()
    return ", ".join(f.rule if f.alarms else f"({f.rule})" for f in findings) or "nothing"


def misses(trials: list[Trial]) -> Iterator[str]:
    """Yield what went wrong, one line each."""
    missed = [t for t in trials if not t.found or t.is_cured is False]
    if missed:
        yield "\n## What was missed\n\nInformation stands in brackets.\n"
    for t in missed:
        yield f"- {t.fault.name()}, {t.model}: broken {said_of(t.broken)}; cured {said_of(t.cured)}"


def main() -> None:
    """Train, judge, print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the logs are kept")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each fault on each model")
    parser.add_argument("--healthy", type=int, default=40, help="healthy runs of each model")
    parser.add_argument("--first", type=int, default=1, help="the first seed; healthy runs begin 99 later")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=FAULTS, metavar="FAULT")
    parser.add_argument("--trained", action="store_true", help="train nothing: the page of the runs in the folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for characters in VARIETY["max_characters"]:  # once for all: the processes inherit it
        corpus.load([], **(TEXT | {"max_characters": characters}))
    bench = Bench(options.folder, not options.trained)
    pairs = [(FAULTS[name], model) for name in options.faults for model in options.models]
    seeds = range(options.first, options.first + options.seeds)
    found = [bench.trial(f, m, seed) for seed in seeds for f, m in pairs if m in (f.models or MODELS)]
    trials = [trial for trial in found if trial is not None]
    others = [
        (m, bench.healthy(m, seed))
        for seed in range(99 + options.first, 99 + options.first + options.healthy)
        for m in options.models
    ]
    healthy = {m: [d for name, d in others if name == m and d is not None] for m in options.models}
    command = f"python -m benchmarks.faults FOLDER {' '.join(sys.argv[2:])}".strip()
    print("\n".join(page(trials, healthy, command)))


if __name__ == "__main__":
    main()
