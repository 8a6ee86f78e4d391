"""Run -> Diagnosis: run the rules, attribute consequences, give the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct, structs

from lmdiag.attribution import attribute
from lmdiag.errors import show_if_debugging
from lmdiag.finding import HEAVY_TAILED, SHAPELESS, Advice, Finding, NotChecked, Rule, Severity
from lmdiag.naming import evaluation_set
from lmdiag.perplexity import Perplexity, perplexity_of
from lmdiag.rules import RULES
from lmdiag.run import Run, Series

if TYPE_CHECKING:
    from lmdiag.forecast import Forecast

VERDICTS = ("healthy", "not-judged", "suspect", "unhealthy")  # best first
LEARNS = ("non-finite-loss", "divergence", "not-learning")
ESSENTIAL = {  # by kind of loss: a run of which these cannot tell anything is not judged
    **dict.fromkeys(("language-model", "classification", "other"), LEARNS),
    "preference": ("non-finite-metric", "flat-margin"),
    "reinforcement": ("non-finite-metric", "flat-reward"),
}
FEW, SAME = 3, 1e-5  # evaluations that are one number, to this share of it
EQUAL = 0.005  # accuracies this close are as good as each other
FAILED = "it failed on this log, which is a fault of lmdiag"
SPOILING = frozenset(  # errors from the onset of which no checkpoint is to be kept, however good its evaluation looks
    "divergence early-divergence lr-too-high masked-nan non-finite-gradient non-finite-metric swapped-pairs".split()
)
SPOILING_POLICIES = (
    SPOILING
    | frozenset(  # of policies and preferences warnings, too: the measure itself is what is gamed
        "kl-explosion falling-likelihood reward-collapse entropy-collapse frozen-policy missing-reward missing-answers".split()
    )
)
LEAST_READ = 0.98  # share of the records that must have been read


class Best(Struct, frozen=True):
    """The best evaluation of a run: which metric, at which step, and its value."""

    metric: str
    step: int
    value: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the rules said about a run: findings worst first, causes before their consequences.

    `asked` names the rules that were to look, those of `not_checked` included; `unjudged` says why a run without findings is
    not called healthy, "" where it is. `accepted` findings were left out because a baseline holds them or the settings suppress
    them; `known` of them are warnings and errors of the baseline.
    """

    run: Run
    findings: tuple[Finding, ...]
    not_checked: tuple[NotChecked, ...]
    unjudged: str
    best: Best | None
    asked: tuple[str, ...] = ()
    known: int = 0
    accepted: int = 0
    perplexity: Perplexity | None = None

    @property
    def looked(self) -> tuple[str, ...]:
        """The rules that were asked and could look."""
        refused = {refusal.rule for refusal in self.not_checked}
        return tuple(name for name in self.asked if name not in refused)

    @property
    def verdict(self) -> str:
        """`unhealthy` with an error, `suspect` with a warning, `not-judged` where too little was read or looked at, else
        `healthy`."""
        worst = max((f.severity or Severity.INFO for f in self.findings), default=Severity.INFO)
        if worst >= Severity.WARNING:
            return "unhealthy" if worst == Severity.ERROR else "suspect"
        return "not-judged" if self.unjudged else "healthy"

    @property
    def shown(self) -> str:
        """The verdict as people are told it: `known` or `unfinished` in place of a `healthy` that would claim too much."""
        if self.verdict != "healthy":
            return self.verdict
        if self.known:
            return "known"
        return "unfinished" if self.run.unfinished else "healthy"

    @property
    def judged(self) -> bool:
        """Whether anything could be judged: also where only the shape of the loss could not, as in reinforcement learning."""
        return self.verdict != "not-judged" or (self.run.objective in SHAPELESS and bool(self.looked))

    @cached_property
    def keep(self) -> Best | None:
        """The best evaluation before the run was spoilt, of which to keep the checkpoint; None where none is worth it.

        That of the untrained model, at step 0, is not in a run with errors or warnings. Where the log names the checkpoints that were saved, and
        evaluations at their steps, it is the best of these.
        """
        spoilt = [f.first_step for f in self.findings if _spoils(self.run, f)]
        kept = self.best
        if kept is not None and kept.step > min(spoilt, default=kept.step):
            kept = best_evaluation(self.run, min(spoilt))
        if kept is not None:
            kept = _saved_instead(self.run, kept, min(spoilt, default=np.inf)) or kept
        alarmed = any(f.alarms for f in self.findings)
        return None if kept is not None and kept.step == 0 and alarmed else kept

    @property
    def unknown_before(self) -> bool:
        """Whether a run went well for long before it was spoilt, and nothing was evaluated by then: its checkpoints may be worth keeping."""
        from lmdiag.updates import began_with_the_run  # asked for broken runs only

        onset = min((f.first_step for f in self.findings if _spoils(self.run, f)), default=None)
        if onset is None or self.run.evaluation is None or began_with_the_run(self.run, onset):
            return False
        return not (self.run.evaluation[1].steps < onset).any()

    @cached_property
    def forecast(self) -> Forecast | None:
        """Where the loss will end, computed when it is first asked for; None where the run does not let it be told."""
        from lmdiag.forecast import forecast  # its law is fitted only where it is shown

        return forecast(self.run)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.run.name!r}: {self.shown}, findings: {len(self.findings)}>"

    def _repr_html_(self) -> str:
        reports = import_module("lmdiag.reports.notebook")  # reports know diagnoses, never the reverse
        shown: str = reports.diagnosis_html(self)
        return shown


@np.errstate(all="ignore")  # numbers at the limits are for the rules, not for the terminal
def diagnose(
    run: Run, rules: Iterable[Rule] = RULES, settings: Mapping[str, Mapping[str, Any]] | None = None
) -> Diagnosis:
    """Run every rule whose inputs the log has, and say which could not look and why.

    `settings` overrides the keyword arguments of single rules: {rule: {setting: value}}. It is all that counts: settings
    files, suppressions and baselines are known to `lmdiag.judge` alone.
    """
    findings: list[Finding] = []
    not_checked: list[NotChecked] = []
    rules = tuple(rules)
    for rule in rules:
        why = rule.missing(run)
        if why:
            not_checked.append(NotChecked(why, rule.name))
            continue
        try:
            said = list(rule.look(run, **(settings or {}).get(rule.name, {})))
        except Exception as error:  # a fault of ours must not hide what the other rules say
            show_if_debugging(error)
            not_checked.append(NotChecked(f"{FAILED}: {type(error).__name__}: {error}", rule.name))
            continue
        refusals = [structs.replace(n, rule=rule.name) for n in said if isinstance(n, NotChecked)]
        not_checked += refusals
        findings += [
            replace(f, rule=rule.name, family=rule.family, severity=_severity(run, rule, f))
            for f in said
            if isinstance(f, Finding)
        ]
    attributed = attribute(findings, run.last_step - run.first_step)
    asked = tuple(rule.name for rule in rules)
    why = unjudged(run, asked, not_checked)
    told = tuple(decided_once(_worst_first(attributed)))
    best, perplexity = best_evaluation(run), perplexity_of(run, attributed)
    return Diagnosis(run, told, tuple(not_checked), why, best, asked, perplexity=perplexity)


def _severity(run: Run, rule: Rule, finding: Finding) -> Severity:
    """Return how bad a finding is: gradients and losses of single batches of pairs or rewards are heavy-tailed, and no alarm."""
    said = finding.severity or rule.severity
    tailed = run.kind in ("preference", "reinforcement") and not {rule.family, rule.name}.isdisjoint(HEAVY_TAILED)
    return min(said, Severity.INFO) if tailed else said


def _spoils(run: Run, finding: Finding) -> bool:
    """Tell whether what was trained after the onset of a finding is not to be kept; a loss scaler skips, and spoils nothing."""
    if finding.consequence_of == "loss-scale-collapse":
        return False
    if run.kind in ("preference", "reinforcement"):
        return finding.alarms and finding.rule in SPOILING_POLICIES
    return finding.severity == Severity.ERROR and finding.rule in SPOILING


def unjudged(run: Run, asked: Sequence[str], not_checked: Iterable[NotChecked]) -> str:
    """Return why nothing found means nothing: too little was read, or a rule that every verdict rests on could not look.

    "" where the run can be called healthy; of rules that were not asked nothing is demanded.
    """
    if not asked:
        return "no rule was asked to look"
    read, lost = run.records
    if lost and read < LEAST_READ * (read + lost):
        return f"{lost:,} of {read + lost:,} records could not be read"
    refusals = {refusal.rule: refusal.why for refusal in not_checked}
    essential = [name for name in ESSENTIAL[run.kind] if name in asked]
    if essential:
        return next((refusals[name] for name in essential if name in refusals), "")
    return "" if any(name not in refusals for name in asked) else refusals[asked[0]]


def _worst_first(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (f.consequence_of is not None, -(f.severity or 0), f.first_step))


def decided_once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings without advice about what a finding before them has decided: one checkpoint, one rate, one limit."""
    decided: set[str] = set()
    for finding in findings:
        left = []
        for line in finding.advice:
            about = set(line.about) if isinstance(line, Advice) else set()
            if not about & decided:
                left.append(line)
            decided |= about
        yield finding if len(left) == len(finding.advice) else replace(finding, advice=tuple(left))


def best_evaluation(run: Run, before: float = np.inf, without: np.ndarray | None = None) -> Best | None:
    """Return the best evaluation of those before a step, and at none of some steps; None of a run with fewer than two evaluations.

    Of a policy that is the one with the highest reward, of preferences with the highest accuracy (of equal ones the lowest loss, else the
    largest margin), of others with the lowest loss, or the highest accuracy where no loss is evaluated.
    """

    def early(series: Series) -> Series:
        return series.at((series.steps < before) & ~np.isin(series.steps, () if without is None else without))

    if run.kind == "reinforcement":
        return _highest(run, "reward", early)
    if run.kind == "preference" and (accuracies := _accuracies(run)):
        return _most_accurate(run, accuracies[0], early(accuracies[1]))
    if run.evaluation is None:
        return None if run.kind == "preference" else _highest(run, "accuracy", early)
    metric, series = run.evaluation
    left = early(series.finite)
    if len(series.finite) < 2 or not len(left):
        return None
    if len(series.finite) >= FEW and np.ptp(series.finite.values) <= SAME * abs(float(left.values[0])):
        return None  # one number throughout: none is the best
    at = int(np.argmin(left.values))
    return Best(metric, int(left.steps[at]), float(left.values[at]))


def _saved_instead(run: Run, best: Best, before: float) -> Best | None:
    """Return the best evaluation of the saved checkpoints, None where that of the best may have been saved, or none of theirs is known."""
    saved = {e.step for e in run.events if e.kind == "checkpoint_saved" and e.step is not None}
    series = run.evaluation[1] if run.evaluation and run.evaluation[0] == best.metric else run.series.get(best.metric)
    if series is None or not saved:
        return None
    behind = series.steps[series.steps > best.step]
    if any(best.step <= step < (behind[0] if len(behind) else np.inf) for step in saved):
        return None
    others = series.steps[~np.isin(series.steps, list(saved))]
    return best_evaluation(run, before, others)


def _sets(run: Run, measure: str) -> list[tuple[str, Series]]:
    """Return the evaluations of a measure with at least two finite values, `val` first, then those with the most."""
    sets = {name: series.finite for name, series in run.series.items() if name.endswith(f"/{measure}")}
    found = [(name, series) for name, series in sets.items() if evaluation_set(name) and len(series) > 1]
    return sorted(found, key=lambda item: (not item[0].startswith("val/"), -len(item[1])))


def _highest(run: Run, measure: str, early: Callable[[Series], Series]) -> Best | None:
    for name, series in ((name, early(series)) for name, series in _sets(run, measure)[:1]):
        if len(series):
            at = int(np.argmax(series.values))
            return Best(name, int(series.steps[at]), float(series.values[at]))
    return None


def _accuracies(run: Run) -> tuple[str, Series] | None:
    sets = _sets(run, "reward_accuracy")
    return sets[0] if sets else None


def _most_accurate(run: Run, name: str, series: Series) -> Best | None:
    if not len(series):
        return None
    split = name.rpartition("/")[0]
    equal = np.flatnonzero(series.values >= series.values.max() - EQUAL)
    at = int(equal[0])
    for other, sign in ((f"{split}/loss", -1.0), (f"{split}/reward_margin", 1.0)):
        values = [run.value_at(other, int(series.steps[row])) for row in equal]
        if all(value is not None and np.isfinite(value) for value in values):
            at = int(equal[int(np.argmax([sign * (value or 0.0) for value in values]))])
            break
    return Best(name, int(series.steps[at]), float(series.values[at]))
