"""How margins, log-probabilities and accuracies went, where a policy is trained on preferences."""

from __future__ import annotations

import math

import numpy as np

from lmdiag.figures import figure
from tests.truth.case import Case, own_start
from tests.truth.courses import closing, lasts_from, opening
from tests.truth.numbers import rounds_to, spells
from tests.truth.statement import states

LN2 = math.log(2)


@states(
    r"The log-probability of the preferred answers fell from <a> to <b>, mostly <bar> or less from <@since> on(?:; that of the rejected ones went from <c> to <d>)?"
)
def likelihood_fell(case: Case, a: str, b: str, bar: str, at_since: int, c: str = "", d: str = "") -> bool:
    """The start is the level of the first records, or the first record where the policy is gone at once."""
    start, first, rejected = opening(case.subject), float(case.values[0]), case.series("rejected_logp")
    later = case.values[1 + len(case.values) // 10 :]
    gone = 3 * first > start or np.count_nonzero(later <= 1.5 * first) >= 0.95 * len(later)
    start = first if start < first < 0 and gone else start
    limit = (1 + case.settings["fallen"]) * start
    others = spells(c, float(rejected.values[0])) and spells(d, closing(rejected)) if c else len(rejected) < 5
    return (
        others
        and a == figure(start, 3)
        and b == figure(closing(case.subject), 3)
        and bar == figure(limit, 3)
        and own_start(case, at_since)
        and at_since == lasts_from(case.subject, case.values <= limit)
    )


def opened(case: Case, limit: float) -> float:
    """Return the level of the first records, or the first record where the policy is gone at once."""
    start, first = opening(case.subject), float(case.values[0])
    return max(start, first) if first > limit / 2 else start


@states(
    r"The reward of the preferred answers fell from <a> to <b>(?:, beside a margin of <margin>)?, mostly <bar> or less from <@since> on: they lost <nats> nats of "
    r"their log-probability(?: at a beta of <beta>|, if beta is <usual>, as usual)"
)
def chosen_fell(
    case: Case, a: str, b: str, bar: str, at_since: int, nats: str, margin: str = "", beta: str = "", usual: str = ""
) -> bool:
    """Beta is that of the settings, 0.1 where they do not say it."""
    given = case.run.config.get("config", {}).get("beta")
    limit, margins = -case.settings["nats"] * (given or 0.1), case.series("reward_margin")
    told = spells(beta, given) if given else usual == "0.1"
    beside = spells(margin, closing(margins)) if margin else len(margins) < 5
    return (
        (told and beside)
        and a == figure(opened(case, limit), 3)
        and b == figure(closing(case.subject), 3)
        and bar == figure(limit, 3)
        and nats == figure(-closing(case.subject) / (given or 0.1), 3)
        and own_start(case, at_since)
        and at_since == lasts_from(case.subject, case.values <= limit)
    )


@states(r"Keep a checkpoint from before <@since>, and read", r"Read what the policy writes (?:after|at) <@since>")
def before_it(case: Case, at_since: int) -> bool:
    return own_start(case, at_since)


@states(r"Look at rewards and KL around <@there> first")
def look_there(case: Case, at_there: int) -> bool:
    return own_start(case, at_there)


@states(r"The margin is exactly <zero> in all <n> records(?: and the loss <loss>)?")
def no_margin(case: Case, zero: str, n: str, loss: str = "") -> bool:
    values = case.values
    told = not loss or spells(loss, case.at("loss", case.run.last_step))
    return zero == "0" and float(np.abs(values).max()) <= 1e-9 and spells(n, len(values)) and told


@states(
    r"The margin between preferred and rejected answers goes from <a> to <b>:",
    r"The margin between preferred and rejected answers is <a> at the start and at the end:",
)
def margin_went(case: Case, a: str, b: str = "") -> bool:
    return spells(a, opening(case.subject)) and spells(b or a, closing(case.subject))


@states(r"the loss stays at ln <two> \(<x> at the end\)", r"it stays at ln <two>, where nothing")
def at_ln2(case: Case, two: str, x: str = "") -> bool:
    end = closing(case.series("loss"))
    return two == "2" and abs(end - LN2) <= case.settings["near"] and (not x or spells(x, end))


@states(r"Lower the peak learning rate from <x> to <less>\.")
def third_of_peak(case: Case, x: str, less: str) -> bool:
    rates = case.series("lr")
    end = case.finding.first_step if case.finding.rule == "kl-explosion" else case.run.last_step
    peak = float(rates.between(case.run.first_step, end).values.max())
    return spells(x, peak) and rounds_to(less, peak / 3)


@states(r"its peak is <x>; try <more>")
def five_times(case: Case, x: str, more: str) -> bool:
    peak = float(case.series("lr").values.max())
    return spells(x, peak) and rounds_to(more, 5 * peak)


@states(
    r"^<share%> of the pairs are ranked correctly in the second half of the run: (?P<than>fewer|no more) than by chance"
)
def by_chance(case: Case, share: str, than: str) -> bool:
    late = float(case.values[len(case.values) // 2 :].mean())
    return spells(share, late) and (than == "fewer") == (late < 0.4)


@states(r"the margin of <x> at the end comes")
def last_margin(case: Case, x: str) -> bool:
    return rounds_to(x, case.at("reward_margin", case.run.last_step))


@states(
    r"^<share%> of the pairs of \S+ are ranked correctly in the second half of the run, and <trained%> of the training pairs"
)
def by_heart(case: Case, share: str, trained: str) -> bool:
    own, known = case.values, case.series("reward_accuracy").values
    return spells(share, float(own[len(own) // 2 :].mean())) and spells(trained, float(known[len(known) // 2 :].mean()))


@states(
    r"^<trained%> of the training pairs are ranked correctly, and <share%> of those of [\w/-]+(?:, and the evaluation loss rose from <a> to <b>, above ln <two>)?:"
)
def swapped(case: Case, trained: str, share: str, a: str = "", b: str = "", two: str = "2") -> bool:
    losses = case.series(case.finding.metric.rpartition("/")[0] + "/loss").values
    above = (
        spells(a, float(losses[0])) and spells(b, float(losses[-1])) and losses[-1] > max(LN2, losses[0]) if a else True
    )
    return (
        above
        and two == "2"
        and spells(trained, closing(case.series("reward_accuracy")))
        and spells(share, float(np.median(case.values[-3:])))
    )
