"""How rewards, divergences, entropies and lengths went, where a policy is trained by reinforcement."""

from __future__ import annotations

import numpy as np

from lmdiag.figures import figure
from tests.truth.case import Case, own_start
from tests.truth.courses import closing, first_where, last_third, lasts_from, most_from, opening, windows
from tests.truth.evidence_of_post_training import size, trained_since, zero_share
from tests.truth.numbers import parsed, rounds_to, spells
from tests.truth.statement import states

OF_REWARDS = ("reward", "reward_max", "reward_min")


@states(
    r"while the reward went from <a> to <b>",
    r"and the reward goes from <a> to <b>",
    r"The reward does not rise by more than its noise: a level of <a> at the start and of <b> at the end of <n> records",
)
def reward_went(case: Case, a: str, b: str, n: str = "") -> bool:
    rewards = case.series("reward")
    return spells(a, opening(rewards)) and spells(b, closing(rewards)) and (not n or spells(n, len(rewards)))


@states(r"the gradient norm is <zero> in every record, and the (?:reward|loss) goes")
def no_gradient(case: Case, zero: str) -> bool:
    return zero == "0" and not case.series("grad_norm").values.any()


@states(
    r"and the loss goes from <a> to <b>\.",
    r"The loss of the preferences goes from <a> to <b>:",
    r"The loss of the preferences is <a> at the start and at the end:",
)
def loss_went(case: Case, a: str, b: str = "") -> bool:
    losses = case.run.curve[1].finite
    return spells(a, opening(losses)) and spells(b or a, closing(losses))


@states(r"The reward is <x> in every record\.")
def constant_reward(case: Case, x: str) -> bool:
    values = case.series("reward").values
    return bool((values == values[0]).all()) and spells(x, float(values[0]))


@states(r"<share%> of the groups have equal rewards \(median of the run\)")
def equal_groups(case: Case, share: str) -> bool:
    return spells(share, float(np.median(case.series("zero_std_share").values)))


@states(r"it was <x> in the middle\.")
def middle_rate(case: Case, x: str) -> bool:
    return spells(x, case.at("lr", case.run.first_step + case.span // 2))


@states(r"Check the learning rate: it is <x> at the end")
def last_rate(case: Case, x: str) -> bool:
    return spells(x, case.at("lr", case.run.last_step))


@states(
    r"^<share%> of the groups have equal rewards \(median of the last two thirds of the records\), and <bar%> or more in most records from <@since> on, with a reward of <reward> at the end"
)
def without_signal(case: Case, share: str, bar: str, at_since: int, reward: str) -> bool:
    values = case.values
    since = most_from(case.subject, values >= parsed(bar))
    return (
        spells(share, float(np.median(values[len(values) // 3 :])))
        and spells(bar, case.settings["most"])
        and own_start(case, at_since)
        and at_since == since
        and spells(reward, closing(case.series("reward")))
    )


@states(
    r"^<share%> of the last two thirds of the records have rewards without any spread, and so have most records from <@since> on, with a reward of <reward> at the end"
)
def without_spread(case: Case, share: str, at_since: int, reward: str) -> bool:
    equal = case.values <= 1e-6
    return (
        spells(share, float(equal[len(equal) // 3 :].mean()))
        and own_start(case, at_since)
        and at_since == most_from(case.subject, equal)
        and spells(reward, closing(case.series("reward")))
    )


@states(r"gradient norm is exactly <zero> in <share%> of the records whose rewards differ")
def still(case: Case, zero: str, share: str) -> bool:
    return zero == "0" and spells(share, zero_share(case))


@states(r"The divergence from the reference is <zero> to nine digits in <share%> of the records from the third on")
def no_divergence(case: Case, zero: str, share: str) -> bool:
    return zero == "0" and spells(share, zero_share(case))


@states(
    r"The divergence from the reference reaches a level of <limit> nats (?P<per>per token|a response) at <@first>, and of <most> at its highest"
)
def ran_away(case: Case, limit: str, per: str, at_first: int, most: str) -> bool:
    levels, bound = windows(case.subject, 20), case.settings["token" if per == "per token" else "response"]
    reached = first_where(levels, levels.values >= bound)
    named = case.finding.metric == ("kl" if per == "per token" else "sequence_kl")
    return (
        named
        and spells(limit, bound)
        and own_start(case, at_first)
        and at_first == reached
        and spells(most, float(levels.values.max()))
    )


@states(
    r"The divergence from the reference bursts <n> times, up to <most> nats (?P<per>per token|a response), first at <@first>"
)
def bursts(case: Case, n: str, most: str, per: str, at_first: int) -> bool:
    high = case.values >= 5 * case.settings["token" if per == "per token" else "response"]
    return (
        spells(n, int(high.sum()))
        and spells(most, float(case.values.max()))
        and own_start(case, at_first)
        and at_first == first_where(case.subject, high)
    )


@states(r"The divergence from the reference is negative: <x> nats")
def negative(case: Case, x: str) -> bool:
    return parsed(x) < 0 and spells(x, float(windows(case.subject, 20).values.min()))


@states(r"KL coefficient: it is <now>, try <then>")
def coefficient(case: Case, now: str, then: str) -> bool:
    return spells(now, kl_weight(case)) and rounds_to(then, (3 - collapse(case)) * kl_weight(case))


@states(r"Set a KL coefficient of 0.01 to 0.05: it is <zero>\.")
def no_coefficient(case: Case, zero: str) -> bool:
    return zero == "0" and kl_weight(case) == 0


def collapse(case: Case) -> bool:
    return case.finding.rule in ("reward-collapse", "reward-hacking", "length-collapse")


def kl_weight(case: Case) -> float:
    """The weight that is logged, else that of the settings."""
    if "kl_coef" in case.run:
        return case.at("kl_coef", case.run.last_step if collapse(case) else case.finding.first_step)
    given = {**(case.run.config.get("config") or {}), **case.run.config}
    return next(float(given[n]) for n in ("kl_coef", "beta", "kl_beta", "init_kl_coef", "kl_loss_coef") if n in given)


@states(
    r"The entropy fell from <a> to <b> nats per token, mostly <bar> or less from <@since> on",
)
def entropy_fell(case: Case, a: str, b: str, bar: str, at_since: int) -> bool:
    start = opening(case.subject)
    limit = max(2 * case.settings["fallen_to"] * start, 0.02)
    since = lasts_from(case.subject, case.values <= limit)
    ends = spells(a, start) and spells(b, closing(case.subject))
    return ends and spells(bar, limit) and own_start(case, at_since) and at_since == since


@states(r"Stop or resume before <@since>: <share%> of the entropy is gone at the end")
def entropy_gone(case: Case, at_since: int, share: str) -> bool:
    return own_start(case, at_since) and spells(share, 1 - closing(case.subject) / opening(case.subject))


@states(
    r"The entropy rose from <a> to a level of <b> nats per token, and was above <limit> by <@first>:",
)
def entropy_rose(case: Case, a: str, b: str, limit: str, at_first: int) -> bool:
    start, levels = opening(case.subject), windows(case.subject, 10)
    bound = max(case.settings["grown"] * start, start + case.settings["rise"])
    return (
        spells(a, start)
        and spells(b, float(levels.values.max()))
        and spells(limit, bound)
        and own_start(case, at_first)
        and at_first == first_where(levels, levels.values >= bound)
    )


@states(
    r"^<share%> of the responses are cut off at the limit(?: of <limit> tokens)? \(median of the last third of the records\), and <bar%> or more in most records from <@since> on"
)
def cut_off(case: Case, share: str, bar: str, at_since: int, limit: str = "") -> bool:
    least, values = 0.8 * case.settings["most"], case.values
    since = lasts_from(case.subject, values >= least, len(values) - len(last_third(case.subject)))
    longest = case.series("response_length_max").values
    return (
        spells(share, float(np.median(last_third(case.subject))))
        and spells(bar, least)
        and own_start(case, at_since)
        and at_since == since
        and (spells(limit, float(longest.max())) if limit else not len(longest))
    )


@states(
    r"^All responses are cut off at the limit of <limit> tokens in <share%> of the last third of the records, and in most records from <@since> on"
)
def all_cut_off(case: Case, limit: str, share: str, at_since: int) -> bool:
    at = case.values == case.values.max()
    last = len(last_third(case.subject))
    return (
        spells(limit, float(case.values.max()))
        and spells(share, float(at[-last:].mean()))
        and own_start(case, at_since)
        and at_since == lasts_from(case.subject, at, len(at) - last)
    )


@states(r"Raise the limit from <now> to <then> tokens")
def larger_limit(case: Case, now: str, then: str) -> bool:
    limit = float(
        case.series("response_length_max" if "truncated_share" in case.run else "response_length").values.max()
    )
    return spells(now, limit) and then == figure(2 * limit)


@states(r"The responses (?:grew|shrank) from <a> to <b> tokens, half of the way by <@half>")
def lengths_went(case: Case, a: str, b: str, at_half: int) -> bool:
    start, end = opening(case.subject), closing(case.subject)
    half = (start + end) / 2
    there = case.values >= half if end > start else case.values <= half
    own = own_start(case, at_half) and at_half == lasts_from(case.subject, there)
    return own and a == figure(start, 3) and b == figure(end, 3 if end > start else 2)


@states(r"; <share%> are cut off at the end")
def cut_at_end(case: Case, share: str) -> bool:
    return spells(share, closing(case.series("truncated_share")))


@states(r"length beyond <x> tokens, twice", r"at least <half> tokens, half of that")
def length_to_pay(case: Case, x: str = "", half: str = "") -> bool:
    start = opening(case.subject)
    return rounds_to(x, 2 * start) if x else rounds_to(half, start / 2)


@states(r"Read a (?:long )?response of <@end>")
def last_response(case: Case, at_end: int) -> bool:
    return at_end == case.run.last_step


@states(
    r"The reward fell from <high> around <@best> to <b>, half of the way by <@half>, and stays there; it began at <a>",
    r"The reward fell from <high> around <@best> to <b> \(median of the last <n> records\), half of the way by <@half>; it began at <a>",
)
def collapsed(case: Case, high: str, at_best: int, b: str, at_half: int, a: str, n: str = "") -> bool:
    levels, end = windows(case.subject, 10), closing(case.subject)
    if n:
        last = max(3, len(case.values) // 25)
        end = float(np.median(case.values[-last:]))
        if not spells(n, last):
            return False
    top = float(levels.values.max())
    best = first_where(levels, levels.values == top)
    later = case.subject.between(best, case.run.last_step)
    half = lasts_from(later, later.values < (top + end) / 2)
    return (
        (at_best, at_half) == (best, half)
        and own_start(case, at_half)
        and spells(high, top)
        and spells(b, end)
        and spells(a, opening(case.subject))
    )


@states(r"Read responses of <@best> and of <@end> side by side")
def two_responses(case: Case, at_best: int, at_end: int) -> bool:
    levels = windows(case.subject, 10)
    return at_best == first_where(levels, levels.values == levels.values.max()) and at_end == case.finding.last_step


@states(
    r"the trainer differ by <late>(?: nats| nats per token)? \(median of the last third of the records\), by <limit> or more in most records from <@since> on"
)
def mismatch(case: Case, late: str, limit: str, at_since: int) -> bool:
    bound = {"logp_mismatch": 0.1, "prob_mismatch": 0.05, "mismatch_kl": 0.05}[case.finding.metric]
    last = last_third(case.subject)
    since = lasts_from(case.subject, case.values >= bound, len(case.values) - len(last))
    return (
        spells(late, float(np.median(last)))
        and spells(limit, bound)
        and own_start(case, at_since)
        and at_since == since
    )


@states(
    r"^<share%> of the tokens are clipped around <@top> \(<usual>, the median of the run\)",
    r"One update moves the policy by <nats> nats per token around <@top> \(<usual>, the median of the run\)",
)
def large_update(case: Case, at_top: int, usual: str, share: str = "", nats: str = "") -> bool:
    levels = windows(case.subject, 10)
    top = float(levels.values.max())
    return (
        spells(share or nats, top)
        and at_top == first_where(levels, levels.values == top)
        and rounds_to(usual, float(np.median(case.subject.thinned(1000).values)))
    )


@states(r"The value function explains <b> of the variance of the returns at the end \(<a> at the start\)")
def explains(case: Case, b: str, a: str) -> bool:
    return rounds_to(b, closing(case.subject)) and rounds_to(a, opening(case.subject))


@states(r"No response has a reward from <@first> on: the last <n> records are trained on nothing")
def unrewarded(case: Case, at_first: int, n: str) -> bool:
    steps = case.run.curve[1].finite.steps if case.run.curve else max(case.run.series.values(), key=len).steps
    after = steps[steps > case.run["reward"].steps[-1]]
    return own_start(case, at_first) and at_first == int(after[0]) and spells(n, len(after))


@states(r"The reward function \S+ returned nothing from <@first> on")
def silent_function(case: Case, at_first: int) -> bool:
    rewarded, last = case.run["reward"].steps, case.run[case.finding.metric].steps[-1]
    return own_start(case, at_first) and at_first == int(rewarded[rewarded > last][0])


@states(r"call it on the responses of <@first>\.")
def unrewarded_step(case: Case, at_first: int) -> bool:
    return own_start(case, at_first)


@states(
    r"^The reward of \w+ went from <a> to <b> \(median of the last two\), while that of the training rose from <c> to <d>[:;]",
    r"^The (?:reward|accuracy) of \w+ fell from <a> around <@peak> to <b>, while (?:that|the reward) of the training rose on from <c> to <d>[:;]",
)
def left_behind(case: Case, a: str, b: str, c: str, d: str, at_peak: int | None = None) -> bool:
    trained = trained_since(case)
    if at_peak is None:
        levels = spells(a, float(case.values[0])) and spells(b, float(np.median(case.values[-2:])))
    else:
        best = max(float(windows(case.subject, 10).values.max()), float(case.values[0]))
        levels = spells(a, best) and spells(b, closing(case.subject))
        levels = levels and at_peak == case.finding.first_step
    return levels and spells(c, opening(trained)) and spells(d, closing(trained))


@states(r"^The reward rose from <a> to <b>, and its part \w+ fell from <c> to <d>[:;]")
def part_fell(case: Case, a: str, b: str, c: str, d: str) -> bool:
    rewards = case.series("reward")
    sums = spells(a, opening(rewards)) and spells(b, closing(rewards))
    return sums and spells(c, opening(case.subject)) and spells(d, closing(case.subject))


@states(r"; responses are <more%> longer:")
def longer_responses(case: Case, more: str) -> bool:
    lengths = case.series("response_length")
    return spells(more, closing(lengths) / opening(lengths) - 1)


@states(
    r"grew from a size of <a> to one of <high>, and was above <bar> by <@there>: no reward explains that",
    r"has a size of <a> \(median of the first tenth of the records\), beside rewards of <most> at most",
)
def exploded(case: Case, a: str, high: str = "", bar: str = "", at_there: int = 0, most: str = "") -> bool:
    sizes, largest = size(case), max([1.0, *(float(np.abs(case.series(n).values).max(initial=0)) for n in OF_REWARDS)])
    if most:
        return spells(a, opening(sizes)) and spells(most, largest)
    levels = windows(sizes, 10)
    squared = 1 if case.finding.metric == "policy_loss" else 2
    least = max(case.settings["grown"] * opening(sizes), case.settings["least"] * largest**squared)
    there = first_where(levels, levels.values >= least)
    return (
        spells(a, opening(sizes))
        and spells(high, float(levels.values.max()))
        and spells(bar, least)
        and at_there == there
        and own_start(case, at_there)
    )
