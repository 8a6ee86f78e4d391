"""What a rule is, and what it says."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple

from msgspec import Struct

from lmdiag.layers import LayerTable, layer_table
from lmdiag.run import Run, Series

FAMILIES = (
    "integrity",
    "numerics",
    "divergence",
    "spikes",
    "convergence",
    "generalization",
    "gradients",
    "schedule",
    "throughput",
    "data",
    "reinforcement",
    "preference",
)
LOSS_SHAPE_FAMILIES = frozenset({"divergence", "spikes", "convergence", "generalization", "data"})

SHAPELESS = {  # objectives whose loss need not fall: {objective: what it is}
    "reinforcement": "of reinforcement learning",
    "composite": "made of several terms",
    "signed": "that is often below 0",
}
NO_SHAPE = "a loss {} need not fall, so its shape is not judged"
OF_PAIRS = frozenset(  # rules that judge the loss of a run on preferences as well
    """
    divergence not-learning overfitting growing-gap noisy-evaluation evaluation-below-training best-checkpoint-not-saved loss-spike
    """.split()
)
OF_SIGNED = frozenset({"divergence", "constant-accuracy", "at-chance"})  # blow-ups, and answers that are guessed
OF_POLICIES = frozenset({"not-learning"})  # which tells of a policy without a gradient only
# Families and rules: information on such runs
HEAVY_TAILED = ("spikes", "gradient-spike", "rising-instability", "clip-saturation")
KINDS = {"reinforcement": "no reinforcement learning", "preference": "no training on preferences"}
NEEDS = {
    "curve": "the log has neither a training loss nor an evaluation loss",
    "measured": "the log has neither a loss nor a reward",
    "evaluation": "the log has no evaluation loss",
    "evaluation_loss": "the log has no evaluation loss in nats per token",
    "layers": "the log has no per-layer statistics",
    "time": "the log has no times of its records (those before printed lines are not read)",
}
SERIES = {
    "measured": "the loss or the reward",
    "curve": "the loss",
    "loss": "the loss",
    "evaluation": "the evaluation loss",
    "evaluation_loss": "the evaluation loss",
    "layers": "per-layer statistics",
}
CURVES = ("curve", "measured", "evaluation", "evaluation_loss")  # needs for which a check is handed a Curve


Setting = float | int | str  # the value of one


class Severity(IntEnum):
    """How bad a finding is; only warnings and errors are alarms."""

    INFO = 1  # worth knowing, never an alarm
    WARNING = 2  # look at it
    ERROR = 3  # the run or its result should not be trusted or continued as it is

    @property
    def label(self) -> str:
        return self.name.lower()


class Advice(str):
    """One thing to do, in a sentence, and as the `change` of settings that it asks for, where it asks for one.

    The settings have the names that most trainers give them: `lr`, `warmup_steps`, `grad_clip`, `weight_decay`,
    `dropout`, `precision`, `schedule`, `accumulation`. `about` is what the advice decides, a checkpoint or its settings: a report decides
    each once. Advice without either may be a plain string.

    >>> said = Advice("Lower the learning rate to 0.01.", lr=0.01)
    >>> said, dict(said.change), said.about
    ('Lower the learning rate to 0.01.', {'lr': 0.01}, ('lr',))
    """

    change: Mapping[str, Setting]
    about: tuple[str, ...]

    def __new__(cls, words: str, *, about: str = "", **change: Setting) -> Advice:
        said = super().__new__(cls, words)
        said.change, said.about = change, (about,) if about else tuple(change)
        return said


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a run: where, how bad, the numbers that show it, and what to do.

    `rule`, `family` and the usual severity are filled in by `diagnose`; a rule gives `severity` only where it
    differs. `advice` says what to do, what to do first in front; a line may be an `Advice`, which says the settings it changes. `steps` lists every step where the thing shows, when these are single steps
    and not the whole stretch. `consequence_of` names the rule whose finding explains this one.
    """

    message: str
    first_step: int
    last_step: int
    metric: str = "loss"
    evidence: Mapping[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    severity: Severity | None = None
    steps: tuple[int, ...] = ()
    rule: str = ""
    family: str = ""
    consequence_of: str | None = None

    @property
    def alarms(self) -> bool:
        """Whether the finding counts against the run: a warning or an error."""
        return (self.severity or Severity.INFO) >= Severity.WARNING

    @property
    def changes(self) -> tuple[Mapping[str, Setting] | None, ...]:
        """What each line of the advice changes: {setting: value}, or None where it is no matter of a setting."""
        return tuple(line.change or None if isinstance(line, Advice) else None for line in self.advice)


def severity_of(finding: Finding) -> Severity:
    """Return the severity of a finding; one that no rule graded is an info."""
    return finding.severity or Severity.INFO


def fails(severity: Severity, fail_on: str) -> bool:
    """Tell whether a finding of this severity fails the gate.

    >>> fails(Severity.WARNING, "error"), fails(Severity.WARNING, "info"), fails(Severity.ERROR, "never")
    (False, True, False)
    """
    return fail_on != "never" and severity >= Severity[fail_on.upper()]


Key = tuple[str, str, int]  # rule, metric, and which of several such findings in the order of their steps


def keys(findings: Sequence[Finding]) -> list[Key]:
    """Return for each finding of a run what stays the same of it while the log grows or a threshold moves.

    >>> keys([Finding("…", 80, 90, rule="loss-spike"), Finding("…", 20, 30, rule="loss-spike")])
    [('loss-spike', 'loss', 1), ('loss-spike', 'loss', 0)]
    """
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[int, Key] = {}
    for at in sorted(range(len(findings)), key=lambda at: findings[at].first_step):
        kind = (findings[at].rule, findings[at].metric)
        found[at] = (*kind, counts[kind])
        counts[kind] += 1
    return [found[at] for at in range(len(findings))]


class Curve(NamedTuple):
    """A loss to judge by: the name of its metric, and its finite values."""

    metric: str
    series: Series


class NotChecked(Struct, frozen=True):
    """What a rule yields instead of findings when the log does not let it judge."""

    why: str
    rule: str = ""


def too_few(held: int, what: str, needed: int) -> NotChecked:
    """Return the refusal of a rule that was handed too few of something, named in the plural.

    >>> too_few(1, "values of the loss", 6).why, too_few(0, "evaluations", 3).why
    ('only 1 value of the loss, 6 needed', 'no evaluations, 3 needed')
    """
    counted = re.sub(r"s\b", "", what, count=1) if held == 1 else what
    return NotChecked(f"{f'only {held:,}' if held else 'no'} {counted}, {needed:,} needed")


BEGINS_LATER = NotChecked("the log begins in the middle of the run")
NOT_TEXT = NotChecked("the loss is not that of a language model")
NOT_FROM_SCRATCH = NotChecked("the loss does not start where that of an untrained model over thousands of tokens does")
INCOMPLETE = NotChecked("the run is not complete")
WARMING_UP = NotChecked("the learning rate is still warming up")
NO_RATE = NotChecked("the learning rate is never logged above 0")
NO_NORM = NotChecked("the gradient norm is 0 in every record: it was not computed")
NO_SCALE = NotChecked("the loss scale is below 1 in every record: it is not what its name says")
NO_STEP_TIME = NotChecked("the step time grows from every record to the next: it is the time since the start")
NOT_POSITIVE = NotChecked("the evaluation loss is not above 0")
NO_LAW = NotChecked("no law of the loss can be fitted to this log")

Findings = Iterator[Finding | NotChecked]
Check = Callable[..., Findings]


class Rule(Struct, frozen=True, dict=True):
    """A check on a run, with the family it belongs to and the inputs it needs; its docstring is the page that explains it.

    Without its `own` check it is that of its file, which is imported when it is first asked for.
    """

    name: str
    family: str
    severity: Severity
    needs: tuple[str, ...]
    min_points: int
    own: Check | None = None

    @cached_property
    def check(self) -> Check:
        """The function that looks at a run."""
        if self.own is None:
            written: Rule = import_module(f"lmdiag.rules.{self.family}.{self.name.replace('-', '_')}").check
            return written.check
        return self.own

    @property
    def page(self) -> str:
        """What the rule looks for, how it decides, and what to do."""
        return inspect.getdoc(self.check) or ""

    @property
    def title(self) -> str:
        """The first sentence of the page."""
        return self.page.splitlines()[0].rstrip(".")

    @property
    def settings(self) -> dict[str, Any]:
        """The rule's settings with their defaults: the keyword-only arguments of its check."""
        parameters = inspect.signature(self.check).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def missing(self, run: Run) -> str | None:
        """Say why the rule cannot look at this run, or None when it can."""
        if self.family in KINDS and run.kind != self.family:
            return f"the run is {KINDS[self.family]}"
        for need in self.needs:
            if not run.has(need):
                return NEEDS.get(need, f"the log has no {need}")
        known = (run.kind == "preference" and self.name in OF_PAIRS) or (
            run.kind == "reinforcement" and self.name in OF_POLICIES
        )
        known = known or (run.objective == "signed" and self.name in OF_SIGNED)
        if self.family in LOSS_SHAPE_FAMILIES and run.objective in SHAPELESS and not known:
            if run.kind == "preference":
                return "training on preferences is judged by margins and accuracies, and by few shapes of its loss"
            return NO_SHAPE.format(SHAPELESS[run.objective])
        points, fewest = min(((_points(run, need), need) for need in self.needs), default=(0, ""))
        if points < self.min_points:
            return too_few(points, f"values of {SERIES.get(fewest, fewest)}", self.min_points).why
        return None

    def look(self, run: Run, **settings: Any) -> Findings:
        """Hand the check the run, in which nothing may be `missing`, and each of its `needs`; yield what it says."""
        return self.check(run, *(_handed(run, need) for need in self.needs), **settings)


def _points(run: Run, need: str) -> int:
    if need == "layers":
        return max(len(s) for name, s in run.series.items() if name.startswith("layers/"))
    if need in CURVES:
        return len(getattr(run, need)[1])
    return len(run[need])


def _handed(run: Run, need: str) -> Curve | LayerTable | Series:
    """Return what a check is handed for one of its needs: finite values only, for those as logged are in the run."""
    if need == "layers":
        return layer_table(run)
    if need in CURVES:
        metric, series = getattr(run, need)
        return Curve(metric, series.finite)
    return run[need].finite


def rule(
    *, family: str, needs: tuple[str, ...], severity: Severity = Severity.WARNING, min_points: int = 1
) -> Callable[[Check], Rule]:
    """Turn a check function into a Rule named after its file and explained by its docstring.

    `needs` are canonical metric names or the names in `NEEDS`, and the check is handed each of them after the run, in
    this order: the `Series` of a metric, the `Curve` of a loss, the `LayerTable` of the gradient norms. `min_points` is
    how many values of each the log must hold; NaN and infinities among them count, and are not handed over.

        @rule(family="spikes", needs=("curve", "grad_norm"), min_points=60)
        def check(run: Run, curve: Curve, norms: Series, *, smallest: float = 0.06) -> Findings:
            metric, losses = curve
    """
    assert family in FAMILIES, family

    def declare(check: Check) -> Rule:
        name = check.__module__.rpartition(".")[2].replace("_", "-")
        return Rule(name, family, severity, needs, min_points, check)

    return declare
