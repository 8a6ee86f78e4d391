"""Where a metric starts, stands and ends, from where it rose, and to where it jumped."""

from __future__ import annotations

import math
import re

import numpy as np

from lmdiag.task_measures import HIGHER_IS_BETTER
from tests.truth.case import Case, is_head, is_median, is_tail, levels, lowest_windows
from tests.truth.numbers import any_spells, parsed, spells
from tests.truth.statement import states


@states(r"\bends at <x>")
def ends(case: Case, x: str) -> bool:
    return (len(case.values) > 0 and spells(x, float(case.values[-1]))) or _is_rate_end(case, x)


def _is_rate_end(case: Case, x: str) -> bool:
    return case.finding.metric == "lr" and spells(x, float(case.values[-1]))


@states(r"\bstarts at <x>\b", r"The first loss, <x>,")
def starts(case: Case, x: str) -> bool:
    return len(case.values) > 0 and spells(x, float(case.values[0]))


@states(
    r"(?:rose|crept up) from a median of <low> near <@low> to one of <high>(?: and stayed up, from| since) <@onset>"
)
def rose(case: Case, low: str, at_low: int, high: str, at_onset: int) -> bool:
    """The level before the rise is the lowest of all of its width before the onset, and the other that of the end; it is named by its middle."""
    if at_onset != case.finding.first_step:
        return False
    series = case.subject.thinned(1000)
    row = int(np.searchsorted(series.steps, at_low))
    lowest = lowest_windows(series.values, int(np.searchsorted(series.steps, at_onset)))
    held = (spells(low, level) and row == start + width // 2 for start, width, level in lowest)
    return any(held) and is_tail(series.values, high)


@states(
    r"rose from <low> at <@low> to a median of <high> and stayed up, from <@onset>",
    r"rose from <low> at <@low> to <high> or more in its last <last> records and stayed up, from <@onset>",
)
def rose_from_one(case: Case, low: str, at_low: int, high: str, at_onset: int, last: str = "") -> bool:
    """The level before the rise is that of a single record, the lowest before the end; that of the end a median, or less than its last records."""
    series = case.subject
    row = int(np.searchsorted(series.steps, at_low))
    ends = spells(high, float(series.values[-int(last) :].min())) if last else is_tail(series.values, high)
    lowest = float(series.values[: int(np.searchsorted(series.steps, at_onset))].min())
    return at_onset == case.finding.first_step and spells(low, lowest) and series.values[row] == lowest and ends


@states(
    r"rose from a median of <low> near <@low> to <high> or more in its last <last> records and stayed up, from <@onset>"
)
def rose_to_the_least(case: Case, low: str, at_low: int, high: str, last: str, at_onset: int) -> bool:
    level = any(
        spells(low, level) for _, level in levels(case.values, int(np.searchsorted(case.subject.steps, at_low)))
    )
    return level and at_onset == case.finding.first_step and spells(high, float(case.values[-int(last) :].min()))


@states(r"the loss rose from a median of <low> to one of <high> from <@onset> on")
def rose_somewhere(case: Case, low: str, high: str, at_onset: int) -> bool:
    series = case.subject.thinned(1000)
    onset = int(np.searchsorted(series.steps, case.finding.first_step))
    lowest = any(spells(low, level) for _, _, level in lowest_windows(series.values, onset))
    return at_onset == case.finding.first_step and lowest and is_tail(series.values, high)


@states(r"the loss rose from <low> to a median of <high> from <@onset> on")
def rose_from_one_somewhere(case: Case, low: str, high: str, at_onset: int) -> bool:
    values = case.subject.thinned(1000).values
    before = case.subject.values[case.subject.steps < at_onset]
    return at_onset == case.finding.first_step and spells(low, float(before.min())) and is_tail(values, high)


@states(r"jumped from <level> to <peak> at <@peak>")
def jumped(case: Case, level: str, peak: str, at_peak: int) -> bool:
    row = int(np.searchsorted(case.subject.steps, at_peak))
    before = (
        case.values[max(0, start - width) : start]
        for start in range(max(1, row - 30), row + 1)
        for width in range(1, 51)
    )
    return spells(peak, float(case.values[row])) and any(spells(level, float(np.median(near))) for near in before)


@states(r"norm jumped to <peak> at <@peak>")
def norm_jumped(case: Case, peak: str, at_peak: int) -> bool:
    return spells(peak, case.at(case.finding.metric, at_peak))


@states(
    r"^(?P<metric>\S+) was <start> at <@first>; the loss is <loss> in its first record, <@begin>, and neither comes back: \S+ is <least> at best"
)
def began_worse(case: Case, metric: str, start: str, at_first: int, loss: str, at_begin: int, least: str) -> bool:
    evaluations = case.run[metric].finite
    later = evaluations.between(at_begin, case.run.last_step).values
    return (
        spells(start, case.at(metric, at_first))
        and at_begin == int(case.subject.steps[0])
        and spells(loss, float(case.values[0]))
        and spells(least, float(later.min()))
    )


@states(r"jumped by <size> nats, from a median of <level>, where a checkpoint was loaded, at <@load>")
def jumped_at_load(case: Case, size: str, level: str, at_load: int) -> bool:
    row = int(np.searchsorted(case.subject.steps, at_load))
    before = [float(np.median(case.values[max(0, row - k) : row])) for k in range(3, 60)]
    return (
        at_load == case.finding.first_step and spells(size, case.finding.evidence["jump"]) and any_spells(level, before)
    )


@states(r"It is <begun> there, as at the start of the run \(<first>\)")
def began_anew(case: Case, begun: str, first: str) -> bool:
    row = int(np.searchsorted(case.subject.steps, case.finding.first_step))
    return spells(begun, float(case.values[row])) and spells(first, float(case.values[0]))


@states(
    r"^(?P<metric>\S+) was best at <@best> \(<x>\)",
    r"where (?P<metric>\S+) was lowest \(<x>\)",
    r"(?P<metric>\S+) was lowest there \(<x>\)",
)
def best(case: Case, metric: str, x: str, at_best: int | None = None) -> bool:
    named = (name for name in case.run if re.sub(r"\d", "#", name) == metric)  # so sentences spell a digit of a name
    series = case.series(next(named, metric)) or case.subject
    sign = -1.0 if HIGHER_IS_BETTER.search(metric.rpartition("/")[2]) else 1.0
    best = int(np.argmin(sign * series.values))
    return at_best in (None, int(series.steps[best])) and spells(x, float(series.values[best]))


@states(r"the best saved one, of <@saved>, has <x>")
def best_saved(case: Case, at_saved: int, x: str) -> bool:
    return spells(x, case.at(case.finding.metric, at_saved))


@states(r"evaluated at <@evaluated>")
def evaluated(case: Case, at_evaluated: int) -> bool:
    return case.at(case.finding.metric, at_evaluated) == case.finding.evidence["best_saved"]


@states(r"a median of <x> over its last <n> values", r"a median of <x> nats per token over its last <n> values")
def tail_of(case: Case, x: str, n: str) -> bool:
    return spells(n, max(3, len(case.values) // 10)) and spells(x, float(np.median(case.values[-int(n) :])))


@states(r"a median of <x> over its first three")
def head_of_three(case: Case, x: str) -> bool:
    return spells(x, float(np.median(case.values[:3])))


@states(r"values, after <x> in its first record")
def first_record(case: Case, x: str) -> bool:
    return spells(x, float(case.values[0]))


@states(r"the median of the first three is <x>", r"after <x> over its first three")
def first_three(case: Case, x: str) -> bool:
    return head_of_three(case, x)


@states(r"a median of <x> over (?:its|the) last quarter(?: of <n> records)?", r"the median of its last quarter is <x>")
def last_quarter(case: Case, x: str, n: str = "") -> bool:
    values = case.subject.thinned(1000).values
    return (not n or spells(n, len(case.subject))) and spells(x, float(np.median(values[-max(1, len(values) // 4) :])))


@states(r"a median of <x> at first and of <late> over the last quarter")
def first_and_last_quarter(case: Case, x: str, late: str) -> bool:
    return at_first(case, x) and last_quarter(case, late)


@states(r"a median of <x> at first", r"the <x> of its first ones", r"after a median of <x> at first")
def at_first(case: Case, x: str) -> bool:
    return is_head(case.subject.thinned(1000).values, x)


@states(r"flat at <level> from <@first> to <@last> \(<share%> of the run\)")
def flat(case: Case, level: str, at_first: int, at_last: int, share: str) -> bool:
    of_run = (at_last - at_first) / max(case.span, 1)
    thinned = case.subject.thinned(1000).between(at_first, at_last).values
    own = (at_first, at_last) == (case.finding.first_step, case.finding.last_step)
    return own and spells(level, float(np.median(thinned))) and spells(share, of_run)


@states(r"around <x>, the median of its second half")
def second_half(case: Case, x: str) -> bool:
    values = case.subject.thinned(1000).values
    return spells(x, float(np.median(values[len(values) // 2 :])))


@states(r"stayed within <band%> of <x> since <@since>")
def stayed(case: Case, band: str, x: str, at_since: int) -> bool:
    seen, late = case.finding.evidence, case.values[case.subject.steps >= at_since]
    within = bool((np.abs(late - seen["level"]) <= seen["band"] * 1.001).all())
    return (
        within
        and at_since == case.finding.first_step
        and spells(x, seen["level"])
        and spells(band, seen["band"] / seen["level"])
    )


@states(r"went from <a> to <b> at <@there>")
def went(case: Case, a: str, b: str, at_there: int) -> bool:
    row = int(np.searchsorted(case.subject.steps, at_there))
    return spells(a, float(case.values[row - 1])) and spells(b, float(case.values[row]))


@states(
    r"at every one of \d+ evaluations(?:, as if (?:summed over \d+ accumulation steps|divided by (?:about )?\d+))?: <a> and <b> at the end"
)
def both_ends(case: Case, a: str, b: str) -> bool:
    evaluation = case.run.evaluation
    return (
        spells(a, float(case.values[-1]))
        and evaluation is not None
        and spells(b, float(evaluation[1].finite.values[-1]))
    )


@states(r"(?:became non-finite|was not finite once,) at <@bad>, after <x> \(")
def became(case: Case, at_bad: int, x: str) -> bool:
    return (
        at_bad == case.finding.first_step
        and spells(x, float(case.until("loss", at_bad)[-1]))
        and not np.isfinite(case.run["loss"].between(at_bad, at_bad).values).any()
    )


@states(r"scale fell from (?:a median of )?<high> to <low>(?:, as good as 0)?, from")
def scale_fell(case: Case, high: str, low: str) -> bool:
    heights = (float(case.values.max()), case.finding.evidence["usual"])
    return any(written in (high,) for written in (f"{height:,.5g}" for height in heights)) and spells(
        low, float(case.values[-1])
    )


@states(
    r"best at <@best> \(<x>, against <then> at the best loss\)",
    r"Keep the checkpoint of <@best> if (?P<metric>\S+) counts \(<x>\)",
)
def measure(case: Case, at_best: int, x: str, then: str = "", metric: str = "") -> bool:
    loss = case.subject
    scores = [case.series(name) for name in case.run if name.startswith("val/") and name != case.finding.metric]
    then_at = int(loss.steps[int(np.argmin(loss.values))])
    return any(
        at_best in s.steps
        and spells(x, float(s.values[s.steps == at_best][0]))
        and (not then or spells(then, float(s.values[s.steps <= then_at][-1])))
        for s in scores
    )


@states(r"<@there> for [\w#]+, <@loss> for probabilities")
def measures(case: Case, at_there: int, at_loss: int) -> bool:
    return at_loss == int(case.subject.steps[int(np.argmin(case.values))]) and at_there in case.places


@states(r"has risen since, from a level of <low> to <high>: by <more%>")
def risen(case: Case, low: str, high: str, more: str) -> bool:
    seen = case.finding.evidence
    near = case.values.min() * (1 - 1e-9) <= seen["level_before"] <= case.values[0] * (1 + 1e-9)
    share = seen["rise"] / seen["level_before"]
    return near and spells(low, seen["level_before"]) and spells(high, seen["end"]) and spells(more, share)


@states(r"stays at <x> in <n> records, after <first> in the first:", r"stays at <x> in <n> records:")
def stays(case: Case, x: str, n: str, first: str = "") -> bool:
    told = not first or spells(first, float(case.values[0]))
    return told and spells(n, case.finding.evidence["records"]) and spells(x, case.finding.evidence["level"])


@states(r"is never below <x> in <n> records, after <first> in the first:")
def never_below(case: Case, x: str, n: str, first: str) -> bool:
    return spells(n, len(case.values)) and spells(first, float(case.values[0])) and spells(x, float(case.values.min()))


@states(r"falls only to <x> in <n> records, after <first> in the first:", r"falls only to <x> in <n> records:")
def falls_only_to(case: Case, x: str, n: str, first: str = "") -> bool:
    told = not first or spells(first, float(case.values[0]))
    return told and spells(n, case.finding.evidence["records"]) and spells(x, case.finding.evidence["end"])


@states(r"its <n> values are, digit for digit, the first ones \(<a>, <b>, …\)")
def again(case: Case, n: str, a: str, b: str) -> bool:
    values = case.during()
    same = bool((values == case.values[: len(values)]).all()) and spells(n, len(values))
    return same and spells(a, float(values[0])) and spells(b, float(values[1]))


@states(
    r"steps down by <size> nats \(<share%>\) at <@here>, most of it in one record, and keeps its new level(?:, as if divided by about <n> from there on)?(?:; <metric> was <a> before it and <b> after it)?(?:: another unit, or other data)?\."
)
def part(
    case: Case, size: str, share: str, at_here: int, n: str = "", metric: str = "", a: str = "", b: str = ""
) -> bool:
    level, step = case.finding.evidence["level_before"], -case.finding.evidence["step_size"]
    told = not n or abs(level / (level - step) / float(n) - 1) < 0.1
    if metric:
        evaluated = case.run[metric].finite
        earlier, later = (evaluated.values[chosen] for chosen in (evaluated.steps < at_here, evaluated.steps > at_here))
        told = told and spells(a, float(earlier[-1])) and spells(b, float(later[0]))
    return told and at_here == case.finding.first_step and spells(size, step) and spells(share, step / level)


@states(r"steps (?:up|down) by <size> nats \(<share%>\) at <@here> and keeps its new level")
def step_of_level(case: Case, size: str, share: str, at_here: int) -> bool:
    level, step = case.finding.evidence["level_before"], abs(case.finding.evidence["step_size"])
    return at_here == case.finding.first_step and spells(size, step) and spells(share, step / level)


@states(r"<n> values of (?:the loss|\S+) from <@here> on are, digit for digit, those from <@there> on:")
def copied(case: Case, n: str, at_here: int, at_there: int) -> bool:
    values, first = case.during(), int(np.searchsorted(case.subject.steps, at_there))
    same = bool((values == case.values[first : first + len(values)]).all()) and spells(n, len(values))
    return same and at_here == case.finding.first_step


@states(r"is <size> nats \(<share%>\) lower from <@first> to <@last> only")
def dip(case: Case, size: str, share: str, at_first: int, at_last: int) -> bool:
    seen = case.finding.evidence
    own = (at_first, at_last) == (case.finding.first_step, case.finding.last_step)
    return own and spells(size, seen["nats"]) and spells(share, seen["nats"] / seen["level_before"])


@states(r"the median of its last two values is <more%> higher")
def median_of_two(case: Case, more: str) -> bool:
    return spells(more, float(np.median(case.values[-2:]) / case.values.min() - 1))


@states(r"has grown from <before> nats \(<@before>\) to <now>, mostly since <@since>")
def gap(case: Case, before: str, at_before: int, now: str, at_since: int) -> bool:
    seen = case.finding.evidence
    quarter = case.run.first_step + 0.25 * case.span
    begins = at_before == int(case.subject.steps[case.subject.steps >= quarter][0])
    own = at_since == case.finding.first_step
    return begins and own and spells(before, seen["gap_before"]) and spells(now, seen["gap"])


@states(r"the last three evaluations one of <x>", r"last three evaluations have a median of <x>")
def last_three(case: Case, x: str) -> bool:
    evaluation = case.run.evaluation
    values = evaluation[1].finite.values if evaluation else case.values
    scale = (
        1.0
        if case.finding.metric.endswith("bpb") or "bits_per_byte" not in case.finding.evidence
        else math.log(2) * case.header("bytes_per_token")
    )
    return spells(x, float(np.median(values[-3:]) / scale))


@states(r"more than the <bits> of random bytes")
def random_bytes(case: Case, bits: str) -> bool:
    return bits == "8"


@states(r"\(medians: <own> and <other>\)")
def both_medians(case: Case, own: str, other: str) -> bool:
    late = case.subject.steps >= case.finding.first_step
    return is_median(case.values[late], own) and spells(other, case.finding.evidence["training"])


@states(r"its last <n> values have (?:a median only <fall> below that of|no lower median than) its first <m>:")
def hardly_lower(case: Case, n: str, m: str, fall: str = "") -> bool:
    fell = float(np.median(case.values[: int(m)]) - np.median(case.values[-int(n) :]))
    told = spells(fall, fell) if fall else fell <= 0
    return (n, m) == ("3", "2") and told


@states(r"swings by <size> around <x> in the last third of the run, <times> times as much")
def wider(case: Case, size: str, x: str, times: str) -> bool:
    seen = case.finding.evidence
    return (
        spells(x, seen["level"])
        and spells(size, seen["amplitude"])
        and spells(times, seen["amplitude"] / seen["amplitude_before"])
    )


@states(
    r"rose from <low> to <high> \(medians of a few records\) in \w+ <first>–<top> and was back at <@back>: <share%> of the run"
)
def hump(case: Case, low: str, high: str, first: str, top: str, at_back: int, share: str) -> bool:
    seen, finding = case.finding.evidence, case.finding
    begins, tops = (int(step.replace(",", "")) for step in (first, top))
    places = (begins, at_back) == (finding.first_step, finding.last_step) and begins <= tops <= at_back
    of_run = (at_back - begins) / max(case.span, 1)
    told = spells(low, seen["level"]) and spells(high, seen["highest"]) and spells(share, of_run)
    row = int(np.searchsorted(case.subject.steps, tops))
    middles = (float(np.median(case.values[max(row - half, 0) : row + half + 1])) for half in range(1, 5))
    return places and told and any(spells(high, level) for level in middles)


@states(r"a model that knew the text would begin below <x>\.")
def untrained_level(case: Case, x: str) -> bool:
    return spells(x, case.settings["untrained"])


@states(r"and the gradient norm is <zero> there as well")
def no_gradient_there(case: Case, zero: str) -> bool:
    norms = case.run["grad_norm"]
    there = norms.values[np.isin(norms.steps, case.logged.steps[case.logged.values == 0])]
    return zero == "0" and len(there) > 0 and not there.any()


@states(
    r"its <n> values from <@here> to the end are, (?:digit for digit|to <apart>), those <lag> records before: the weights"
)
def goes_round(case: Case, n: str, at_here: int, lag: str, apart: str = "0") -> bool:
    values, before = case.during(), case.values[-len(case.during()) - int(lag) : -int(lag)]
    same = bool(np.abs(values - before).max() <= 1.5 * parsed(apart))
    return same and at_here == case.finding.first_step and spells(n, len(values))


@states(r"although it still fell from <x> at <@late>")
def still_fell(case: Case, x: str, at_late: int) -> bool:
    value = case.run.value_at(case.finding.metric, at_late)
    return value is not None and spells(x, value) and case.values[-1] < value
