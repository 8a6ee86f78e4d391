"""How many, and which share."""

from __future__ import annotations

import numpy as np

from tests.truth.case import Case
from tests.truth.numbers import parsed, spells
from tests.truth.statement import states


@states(
    r"not finite in <n> of <all> (?:records|evaluations), first at <@first>",
    r"after \S+ \(<n> of <all> records(?:\)|, on)",
)
def not_finite(case: Case, n: str, all: str, at_first: int | None = None) -> bool:
    series = case.run[case.finding.metric]
    bad = ~np.isfinite(series.values)
    return spells(n, int(bad.sum())) and spells(all, len(bad)) and at_first in (None, int(series.steps[bad][0]))


@states(r"on rank <n> (?:alone|first)", r"hardware of rank <n>")
def a_rank(case: Case, n: str) -> bool:
    return any(event.fields["whose"] == f"rank {n}" for event in case.run.events if event.kind == "broken_rank")


@states(r"exactly <value> in <n> of <all> records(?:, first at <@first>)?")
def exact_zeros(case: Case, value: str, n: str, all: str, at_first: int | None = None) -> bool:
    series = case.logged
    zeros = series.values == 0
    there = at_first in (None, int(series.steps[zeros][0]))
    return value == "0" and there and spells(n, int(zeros.sum())) and spells(all, len(zeros))


@states(r"exactly zero in every record")
def zero_throughout(case: Case) -> bool:
    return bool((case.logged.values == 0).all())


@states(r"exactly zero in <share%> of the records, first at <@first>")
def zero_share(case: Case, share: str, at_first: int) -> bool:
    zeros = case.values == 0
    return spells(share, float(zeros.mean())) and int(case.subject.steps[zeros][0]) == at_first


@states(r"^<share%> of the steps are clipped: the median norm is <x>, the limit <limit>")
def clipped(case: Case, share: str, x: str, limit: str) -> bool:
    norms, fractions = case.during(), case.series("clip_frac")
    above = (
        fractions.values[fractions.steps >= case.finding.first_step]
        if len(fractions)
        else norms > case.header("grad_clip")
    )
    return (
        spells(share, float(above.mean()))
        and spells(x, float(np.median(norms)))
        and spells(limit, case.header("grad_clip"))
    )


@states(r"is 0 from <@first> on \(<share%> of the run\)", r"almost 0 from <@first> on \(<share%> of the run\)")
def rate_is_zero(case: Case, at_first: int, share: str) -> bool:
    rates, later = case.values, case.values[case.subject.steps >= at_first]
    steps = case.subject.steps
    of_run = float(steps[-1] - at_first) / max(float(steps[-1] - steps[0]), 1)
    return bool(later.max() <= 0.01 * rates.max()) and spells(share, of_run)


@states(r"at <@last> of (?:the planned )?<planned>(?: \(<share%>\))?")
def of_planned(case: Case, at_last: int, planned: str, share: str = "") -> bool:
    plan = case.header("max_steps")
    return at_last == case.run.last_step and spells(planned, plan) and (not share or spells(share, at_last / plan))


@states(r"has (?:no evaluation|one evaluation|<held> evaluations) in <steps> steps")
def few(case: Case, steps: str, held: str = "") -> bool:
    return spells(steps, case.span) and (not held or spells(held, int(case.finding.evidence["evaluations"])))


@states(r"over the last <share%> of the run")
def rest_of_run(case: Case, share: str) -> bool:
    return spells(
        share, (case.finding.last_step - case.finding.first_step) / max(case.finding.last_step - case.run.first_step, 1)
    )


@states(r"<n> of the <all> updates from <@first> on were skipped")
def skipped(case: Case, n: str, all: str, at_first: int) -> bool:
    series = case.series("skipped")
    updates = case.run.last_step - at_first + 1
    return spells(n, int(series.values[series.steps >= at_first].sum())) and spells(all, updates)


@states(
    r"of a step (?:is|was) spent waiting for data \(medians: (?P<wait>\S+) s of (?P<whole>\S+) s\): without the wait the run would be <times> times"
)
def starved(case: Case, wait: str, whole: str, times: str) -> bool:
    share = case.finding.evidence["share"]
    of_run = case.finding.evidence.get("share_of_run", share)
    return spells(times, 1 / max(1 - of_run, 0.01)) and abs(float(wait) / float(whole) - share) < 0.05


@states(r"(?P<layers>\d+) of (?P<of>\d+) layers receives? no gradient in at least <share%> of the records")
def dead(case: Case, layers: str, of: str, share: str) -> bool:
    seen = case.finding.evidence
    return int(layers) == seen["layers"] and int(of) == seen["of"] and 0 <= seen["share"] - parsed(share) < 0.01


@states(r"stops? after <@last>: the last <n> of <all> records have")
def stops(case: Case, at_last: int, n: str, all: str) -> bool:
    missing = int(case.finding.evidence["records"])
    return at_last == int(case.subject.steps[-1]) and spells(n, missing) and spells(all, len(case.logged) + missing)


@states(r"^<n> gradient norms are <least> to <most> times the usual one")
def unclipped(case: Case, n: str, least: str, most: str) -> bool:
    return (
        spells(n, len(case.finding.steps))
        and spells(least, case.settings["spike"])
        and spells(most, case.finding.evidence["largest_ratio"])
    )


@states(r"the largest of <n> such records")
def such_records(case: Case, n: str) -> bool:
    return spells(n, len(case.finding.steps))


@states(r"^<n> of <all> layers receives? no gradient in any record")
def all_dead(case: Case, n: str, all: str) -> bool:
    return spells(n, case.finding.evidence["layers"]) and spells(all, case.finding.evidence["of"])


@states(r"a gain of <share%> in <n> records")
def gain(case: Case, share: str, n: str) -> bool:
    seen = case.finding.evidence
    return spells(share, seen["gain"] / abs(seen["end"])) and spells(n, len(case.subject))


@states(r"; <share%> of the time (?:since then is|there was) lost(?:, <minutes> minutes)?")
def time_lost(case: Case, share: str, minutes: str = "") -> bool:
    seen = case.finding.evidence
    told = not minutes or spells(minutes, round(seen["lost_s"] / 60))
    return told and spells(share, seen["lost_share"])


@states(r"^In <n> stretches from <@first> to <@last>, the last since <@began>")
def slow_stretches(case: Case, n: str, at_first: int, at_last: int, at_began: int) -> bool:
    return spells(n, case.finding.evidence["stretches"]) and at_first < at_began <= at_last


@states(r"one change in four of its last half is <x>-fold or more")
def jumps_about(case: Case, x: str) -> bool:
    late = case.values[len(case.values) // 2 :]
    return spells(x, float(np.exp(np.quantile(np.abs(np.diff(np.log(late))), 0.75))))
