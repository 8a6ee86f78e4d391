from lmdiag import advice
from lmdiag.chance.coin import coin
from lmdiag.chance.guess import FEWEST_IN_NATS, KNOWN_RECORDS, LASTS
from lmdiag.chance.of_answers import all_measures, by_accuracy, by_roc, likelihoods, one_answer
from lmdiag.chance.of_tokens import (
    above_frequencies,
    begins,
    begun_late,
    from_the_start,
    late_and_wrong,
    many_passes,
    of_a_handful,
    uniform,
    worse_in_nats,
)
from lmdiag.chance.stated import at_stated_cost, dropped_once
from lmdiag.figures import figure
from lmdiag.finding import NO_SHAPE, SHAPELESS, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.level import level
from lmdiag.stats.limits import FEW_PLANNED, SURE
from lmdiag.stats.progress import progress

LEAST_RECORDS, ERROR_RECORDS = 10, 50
FALLS = 3.0  # times the gain of a flat curve: what falls by more need not be looked at closely


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=FEWEST_IN_NATS)
def check(run: Run, curve: Curve, *, near: float = 0.005, flat: float = 0.02) -> Findings:
    """Loss stays at what guessing costs.

    ## What it looks for
    A model that ignores its input: it answers everything alike, or as often as each answer occurs. The loss may fall to
    that level first.

    ## How it decides
    One of these tests. *Flat* is an equivalence test: over the last 80% of the records the loss changes surely (95%) by
    less than `flat` (2%) of its level, and its ranks do not fall unless the gain is under 1%. A guess is *met* where the mean of these records, and of the last tenth, lies
    within a share of its cost, and the noise leaves no more room than that.

    | test | asks for | why that much |
    |---|---|---|
    | uniform guess over a large vocabulary | 8 to 16 nats per token, 10 to 90% range under 35% | ln V of 3,000 to 250,000 tokens, and what a bad initialisation adds |
    | | fall from the first to the last third under 3% above 8 nats, 10% above 9, 20% above 10 | the nearer to ln V, the surer that the fall only undoes the initialisation |
    | | second half: no rank trend (z above -1.5), or under 1% gained | a loss that falls on is learning, as in the first steps of a warm-up |
    | the same in warm-up | 30 records, all above 10.3 nats | the first rates are tiny |
    | more than token frequencies cost | after 1,000 steps and 20 records 8 to 16 nats, fall under 15%; not while the rates still rise and the loss falls | the unigram entropy over 50,000 tokens is 7.3 to 7.7 nats |
    | the same in epochs | 20 at 8 to 16 nats, a fall under 10% in their last half; the accuracy never moves, as below | so many passes leave token frequencies behind |
    | a guess that the header states: ln V, ln k of its classes, the unigram loss | flat, and from 1% below to 3% above it; or so the last half of six evaluations or more | on its way down a loss passes these levels, it does not stay |
    | one drop | first record within 6% of ln V of the header, then flat at 62% of ln V or above | unigram entropies are 0.65 to 0.8 of ln V, from characters to 50,000 tokens; a model that uses the context falls below |
    | ln 2, where the header states no vocabulary and the log counts no tokens | flat, met to `near` (0.5%), in 15 records, and no evaluation elsewhere, no accuracy above 0.55; for the last half if the evaluation meets it too; met to 1% where three evaluations or more are at most 2% above it and none is below; or 200 records or more begin within 10% of it, and their last half meets it, gaining up to 2% | of healthy fine-tunes that are as flat one in 200 ends there by chance |
    | | not where the loss is surely below it, unless the evaluation is not, nor, in fewer than 200 records, where the first tenth lies surely 3% above | no coin costs less; what only undoes the initialisation takes a few steps |
    | log that begins late | step 10,000 or later; flat at 7 nats or above, over 1,000 steps; a perplexity or a vocabulary says that it is one of tokens | a model that learns has left token frequencies behind by then, at any rate |
    | | or never below 7 nats without a clear fall (z above -3), and an accuracy of the training of 0.1 at most | the same of one that swings |
    | few epochs, losses and accuracies | at least 3 of each, of training without its first record and of the evaluation: losses within 0.5% of ln k, for one k up to 1,000, accuracies within 10% of 1/k | four measures that agree are no chance, however few |
    | three to nine records from the start of the run | 8.5 to 16 nats, within 2% of each other, over 500 steps or three epochs and not in warm-up; the last no more than 0.3% below the first | the first steps lead away from the uniform guess, or the rate is far too low |
    | a handful of records, no token right | 5 at 8 to 16 nats, within 1% of each other, from step 500 on; an accuracy of the training is exactly 0 in all | patience explains no warm-up of 500 steps that leaves both where they were |
    | a handful of records, worse than any guess | 6 above 13 nats, within 1% of each other, over 100 steps | so wrong a model betters itself at the lowest rates |
    | the same, in nats | 3 above 13, the last no lower than the first, and a perplexity of e^loss (to 1% of the loss) beside each, or in all the cap of one (e^50 or more) below a loss that falls by less than 10% | it is no sum |
    | a negative likelihood | a loss from -1 to 0 and five accuracies; the likelihood is the accuracy to 10%, both are 1/k to 10%, for k up to 20; the accuracy changes by less than 5% of itself, the median of the last half is no more than 1% better | who guesses gives the right answer 1/k; the negative log-likelihood of probabilities, of which no logarithm was taken, is so |
    | accuracy | flat; accuracy times e^loss from 0.8 to 1.1, accuracy up to 0.55 | who guesses among k answers is right once in k, and pays ln k |
    | a handful of records, one accuracy | 4, within 1% of each other; the accuracy is the same in all, to the last of four digits, up to 0.55, and 0.8 to 1.1 times e^-loss | who learns anything answers some question otherwise |
    | accuracy that never moves | flat at 2 nats or above; accuracy, of tokens or of whole answers, up to 0.15, under 0.1 of it gained from its first to its last half, or up to 0.001 in the last | a token of 2 nats is right more often than once in seven |
    | ROC curve | ln 2 met to 2%; area within 0.01 of 1/2 | tossing a coin |

    It is an error where the uniform guess over a large vocabulary lasts for 50 records: nothing at all was learned.

    ## Why it matters
    The labels do not fit the inputs, the input is masked or constant, or the gradient does not reach what reads it. More
    steps will not help.

    ## False alarms it avoids
    The first 5% of a planned run; the first records of a warm-up, of which each is lower than the one before, and fewer than 100 steps whose second half is so ordered; noise that hides whether the loss is flat;
    summed losses, for which no guess is known.

    ## What to try
    Overfit one batch. Feed the same batch with its inputs shuffled: if the loss is the same, the input is ignored.

    ## References
    - Karpathy 2019, A recipe for training neural networks: verify that the loss is better than with zeroed inputs.
    """
    metric, losses = curve
    guessed = likelihoods(run, losses)
    if run.objective == "signed" and not guessed:
        yield NotChecked(NO_SHAPE.format(SHAPELESS[run.objective]))
        return
    surely = worse_in_nats(run, losses)
    agreed = surely or all_measures(run, losses) or of_a_handful(run, losses) or one_answer(run, losses)
    agreed = agreed or guessed
    if len(losses) < LEAST_RECORDS:
        agreed = agreed or from_the_start(run, losses)
    if len(losses) < LEAST_RECORDS and not agreed:
        yield too_few(len(losses), "finite values of the loss", LEAST_RECORDS)
        return
    share = run.planned_share
    if share is not None and share < FEW_PLANNED and not surely:
        yield NotChecked(f"only {share:.1%} of the planned steps are done")
        return
    if not agreed and begins(run, losses):
        return
    seen = progress(losses.values)
    found = agreed or uniform(run, losses, seen) or above_frequencies(run, losses, seen)
    found = found or many_passes(run, losses, seen) or late_and_wrong(run, losses, seen)
    may_stay = seen.gain < FALLS * flat * abs(seen.end) + SURE * seen.gain_error
    kept = level(losses.values, LASTS) if found is None and may_stay else None
    if kept:
        found = begun_late(run, losses, kept, flat)
    if kept and found is None and len(losses) >= KNOWN_RECORDS:
        found = at_stated_cost(run, losses, kept, flat) or dropped_once(run, losses, kept, flat)
        found = found or coin(run, losses.values, kept, near, flat) or by_accuracy(run, kept, flat) or by_roc(run, kept)
    if found is None:
        return
    stays = found.level or level(losses.values, LASTS).value
    does = f"falls only to {figure(seen.end)}" if found.falls else f"stays at {figure(stays)}"
    does = f"is never below {figure(found.never_below)}" if found.never_below else does
    name = found.metric or ("The loss" if metric == "loss" else metric)
    first = figure(float(losses.values[0]))
    after = "" if found.metric or first in ("0", figure(stays)) else f", after {first} in the first"
    yield Finding(
        f"{name} {does} in {seen.records:,} records{after}: {found.words}.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        found.metric or metric,
        {
            "start": seen.start,
            "end": seen.end,
            "level": stays,
            "fall": seen.fall,
            "guess": found.cost,
            "records": seen.records,
        },
        _advice(run),
        Severity.ERROR if found.of_all and seen.records >= ERROR_RECORDS else Severity.WARNING,
    )


def _advice(run: Run) -> tuple[str, ...]:
    peak = float(run["lr"].finite.values.max(initial=0.0)) if "lr" in run else 0.0
    known = f"; the peak was {figure(peak, 2)}" if peak > 0 else ""
    return (
        *advice.set_in_motion(run),
        "Feed one batch again with its inputs shuffled: if the loss is the same, the model does not see its input.",
        advice.labels(run),
        f"Overfit one batch: if its loss goes to zero, try learning rates a factor of ten apart, both ways{known}.",
    )
