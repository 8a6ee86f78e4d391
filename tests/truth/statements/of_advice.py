"""What follows from the log: rates and limits to try, how often, how long, how far."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.truth.case import Case, own_start
from tests.truth.numbers import parsed, spells
from tests.truth.statement import states


@states(
    r"[Gg]uess over <tokens> tokens(?: costs)? (?:\(<nats> nats\)|<alone> nats)", r"guess over <tokens> tokens costs"
)
def uniform(case: Case, tokens: str, nats: str = "", alone: str = "") -> bool:
    size = case.header("vocab_size")
    written = nats or alone
    costs = not written or spells(written, math.log(size)) or written == f"{math.log(size):.2f}"
    return spells(tokens, size) and costs


@states(r"the rise began <n> \w+s into the run")
def into_the_run(case: Case, n: str) -> bool:
    return spells(n, case.finding.first_step - case.run.first_step)


@states(r"after <n> (?:tokens|steps|samples|epochs),?(?: still)? more than")
def trained_for(case: Case, n: str) -> bool:
    return spells(n, int(case.subject.steps[-1] - case.subject.steps[0]))


@states(r"after <n> steps, where this log begins,")
def begun_before(case: Case, n: str) -> bool:
    return spells(n, int(case.subject.steps[0]))


@states(r"Stop there next time: <n> epochs? (?:is|are) enough")
def enough_epochs(case: Case, n: str) -> bool:
    return spells(n, case.at("epoch", case.finding.first_step))


@states(r", <n> times its noise")
def above_noise(case: Case, n: str) -> bool:
    return spells(n, case.finding.evidence["times_its_noise"])


@states(r"(?P<most>more than 1,000) times")
def far_more(case: Case, most: str) -> bool:
    return max(case.finding.evidence.get(name, 0) for name in ("ratio", "gradient_ratio", "times_its_noise")) > 1000


@states(r"takes <n> times as long as usual", r"shows <n> times the usual time")
def slower(case: Case, n: str) -> bool:
    return spells(n, case.finding.evidence["stall_s"] / case.finding.evidence["usual_s"])


@states(
    r"(?:Lower|Raise) the learning rate to <x>",
    r"Warm up over <steps> steps(?: to <x>)?",
    r"[Cc]lip the gradient norm at <limit>(?=:| to begin)",
)
def changed(case: Case, x: str = "", steps: str = "", limit: str = "") -> bool:
    told = {"lr": x, "warmup_steps": steps, "grad_clip": limit}
    changes = [change for change in case.finding.changes if change]
    return all(not said or any(spells(said, c[name]) for c in changes if name in c) for name, said in told.items())


@states(r"it was <rate> when this began, (?:as early as|at) <@rate>", r"had risen from [\d.e-]+ to <rate> by <@rate>")
def rate_then(case: Case, rate: str, at_rate: int) -> bool:
    return spells(rate, case.at("lr", at_rate))


@states(r"Resume from the last checkpoint before <@broken>")
def before_it_broke(case: Case, at_broken: int) -> bool:
    """A place of the finding, a gradient that is not finite, or, behind a rise that took its time, the first record behind those at the old level."""
    norm, seen = case.run.value_at("grad_norm", at_broken), case.finding.evidence
    if at_broken in case.known_places or (norm is not None and not math.isfinite(norm)):
        return True
    before = case.values[case.subject.steps < at_broken][-5:]
    near = "rebound" in seen and float(np.median(before)) <= seen["minimum"] + 0.1 * seen["rebound"]
    return near and at_broken in case.places and at_broken <= case.finding.first_step


@states(r"Resume from the checkpoint of <@best>, where (?P<metric>\S+) was lowest \(<x>\)")
def best_so_far(case: Case, at_best: int, metric: str, x: str) -> bool:
    name, losses = case.run.evaluation_loss or ("", case.subject)
    lowest = float(losses.finite.values.min())
    return name == metric and case.run.value_at(name, at_best) == lowest and spells(x, lowest)


@states(r"the settings give <x>", r"Leave the learning rate: <x> is too little")
def stated_rate(case: Case, x: str) -> bool:
    return any(spells(x, rate) for rate in _rates_in(case.run.config))


def _rates_in(settings: dict[str, Any]) -> Iterator[float]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _rates_in(value)
        elif name.endswith(("lr", "learning_rate")) and isinstance(value, int | float | str):
            yield float(value)


@states(r"Divide the peak learning rate by <n>")
def divided(case: Case, n: str) -> bool:
    """What began in the first fifth of the run, or within twice its warm-up, asks for ten times less, else for three times less.

    So does what began behind a twentieth of the run, and behind the best evaluation: much had been learned.
    """
    rates, at = case.series("lr"), case.finding.first_step
    warm_up = warmed_up_after(case) if len(rates) else 0
    span = max(case.span, np.nan_to_num(case.header("max_steps")))
    losses = case.run.evaluation_loss[1].finite if case.run.evaluation_loss else case.series("")
    best = int(losses.steps[np.argmin(losses.values)]) if len(losses) > 1 else 0
    learned = at - case.run.first_step >= 0.05 * span and case.run.first_step < best <= at
    early = at - case.run.first_step <= max(0.2 * span, 2 * warm_up) and not learned
    return n == ("10" if early and case.finding.rule != "not-learning" else "3")


def warmed_up_after(case: Case) -> int:
    rates = case.series("lr")
    return int(rates.steps[np.argmax(rates.values >= 0.99 * rates.values.max())]) - case.run.first_step


@states(r"Warm up over [\d,]+ \w+s instead of <present>")
def warms_up_now(case: Case, present: str) -> bool:
    return spells(present, warmed_up_after(case))


@states(r"Leave the learning rate: <now> at <@there>(?:, down from <peak>,)? is too little")
def left_alone(case: Case, now: str, at_there: int, peak: str = "") -> bool:
    """Where it has decayed, its peak before is named."""
    before = case.series("lr").between(case.run.first_step, at_there).values
    there = own_start(case, at_there) and spells(now, float(before[-1]))
    return there and (spells(peak, float(before.max())) if peak else before[-1] >= 0.2 * before.max())


@states(
    r"had risen from <x> to", r"at <x> an update move", r"it was <x>, and updates of", r"instead of beginning with <x>"
)
def a_rate(case: Case, x: str) -> bool:
    return any(spells(x, float(rate)) for rate in case.series("lr").values)


@states(r"moved the weights by <share%> of", r"an update moves only <share> of the weights")
def moved(case: Case, share: str) -> bool:
    return parsed(share) > 0


@states(
    r"where (?P<usual>1%) is usual",
    r"updates of (?P<usual>0\.01) of the weights are usual",
    r"where (?P<usual>0\.001 to 0\.01) is usual",
)
def usual_update(case: Case, usual: str) -> bool:
    return usual in ("1%", "0.01", "0.001 to 0.01")


@states(r"rose, to above its start \(<x>\)")
def start(case: Case, x: str) -> bool:
    return spells(x, float(case.series("loss").values[0]))


@states(r"the weights grew <x>-fold")
def weights(case: Case, x: str) -> bool:
    norms = case.series("param_norm").values
    return spells(x, float(np.median(norms[len(norms) // 2 :]) / norms[0]))


@states(r"no later evaluation is below <best>(?: \(<first> at first\))?")
def never_below(case: Case, best: str, first: str = "") -> bool:
    values = case.series("val/loss").values
    return spells(best, float(values[1:].min())) and (not first or spells(first, float(values[0])))


@states(r"<limit>, its 90th percentile before <@here>", r"90th percentile of the norms before <@here> \(<limit>\)")
def usual_norm(case: Case, limit: str, at_here: int) -> bool:
    return spells(limit, float(np.quantile(case.until("grad_norm", at_here), 0.9)))


@states(r"peak (?:learning rate |was |rate )?\(?(?:of |was )?<x>", r"the peak was <x>")
def peak_rate(case: Case, x: str) -> bool:
    return spells(x, float(case.series("lr").values.max()))


@states(r"[Ee]valuate every <n> \w+s, on text")
def tenth(case: Case, n: str) -> bool:
    return abs(float(n.replace(",", "")) / max(case.span // 10, 1) - 1) <= 0.05  # to two digits


@states(r"half as often \(every <n> ")
def twice(case: Case, n: str) -> bool:
    return spells(n, int(2 * case.finding.evidence["period_steps"]))


@states(r"clipping at <x> absorbed it", r"(?:present limit of|limit was|clipping limit at) <x>")
def limit(case: Case, x: str) -> bool:
    return spells(x, case.header("grad_clip"))


@states(r"(?:summed over|by)(?: the)? <n> accumulation steps")
def accumulation(case: Case, n: str) -> bool:
    return spells(n, case.header("grad_accum")) or spells(
        n, round(case.finding.evidence.get("times_the_evaluation", case.finding.evidence.get("ratio", 0)))
    )


@states(r"peak of <x> from <@top> on")
def at_peak_from(case: Case, x: str, at_top: int) -> bool:
    rates = case.series("lr")
    top = float(rates.values.max())
    near, there = (int(rates.steps[int(np.argmax(rates.values >= share * top))]) for share in (0.95, 0.999))
    return spells(x, top) and near <= at_top <= there


@states(r"Go on from <@end> for <a> to <b> \w+s")
def decay(case: Case, at_end: int, a: str, b: str) -> bool:
    tenth = max(case.span // 10, 1)
    return at_end == case.run.last_step and spells(a, tenth) and spells(b, 2 * tenth)


@states(r"Evaluate on <n> times as many tokens")
def more_tokens(case: Case, n: str) -> bool:
    return spells(n, (case.finding.evidence["sigma_share"] / 0.005) ** 2)


@states(r"(?P<more>25%) more \w+s should take it from <now> to <then> \(± <error>\)")
def forecast(case: Case, more: str, now: str, then: str, error: str) -> bool:
    seen = case.finding.evidence
    return (
        spells(now, seen["level"])
        and spells(then, seen["level"] - seen["expected_gain"])
        and spells(error, 1.645 * seen["standard_error"])
    )


@states(r"Train on: \w+ (?P<end>[\d,]+) should reach <then>")
def forecast_end(case: Case, end: str, then: str) -> bool:
    seen = case.finding.evidence
    return spells(end, round(case.finding.last_step * 1.25)) and spells(then, seen["level"] - seen["expected_gain"])


@states(r"(?<!\()[Ee]very <period> \w+s")
def period(case: Case, period: str) -> bool:
    seen = case.finding.evidence
    told = seen.get("period_steps", seen.get("period"))
    return spells(period, round(told)) if told is not None else tenth(case, period)


@states(r"a learning rate of <x>, ten times the present one, for <n> ")
def ten_times(case: Case, x: str, n: str) -> bool:
    return math.isclose(parsed(x), 10 * case.series("lr").values.max(), rel_tol=0.06) and spells(
        n, max(case.run.last_step // 10, 1)
    )


@states(r"in all <n> evaluations(?: from <@since> on)?")
def one_number_since(case: Case, n: str, at_since: int | None = None) -> bool:
    since = case.finding.first_step if at_since is None else at_since
    return case.finding.first_step == since and spells(n, int((case.subject.steps >= since).sum()))


@states(r"after <n> epochs no text came twice")
def read_once(case: Case, n: str) -> bool:
    read = case.at("epoch", case.run.last_step)
    return read < 1 and spells(n, read)


@states(r"came below that guess only at <@step>, <share%> into the run")
def below_the_guess(case: Case, at_step: int, share: str) -> bool:
    guess, run = case.finding.evidence["uniform"], case.run
    later = case.values[case.subject.steps >= at_step]
    return (
        bool(np.median(later) < guess)
        and share == f"{(at_step - run.first_step) / (run.last_step - run.first_step):.0%}"
    )


@states(r"this rose between <@before> and <@behind>")
def rose_at_once(case: Case, at_before: int, at_behind: int) -> bool:
    best = int(np.argmin(case.values))
    row = best + int(np.argmax(np.diff(case.values)[best:]))
    return [at_before, at_behind] == case.subject.steps[row : row + 2].tolist()
