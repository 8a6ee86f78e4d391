from lmdiag.advice import rounded
from lmdiag.figures import figure
from lmdiag.finding import Advice, Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import held_at
from lmdiag.stats.limits import HIGH_RATE, LARGE_UPDATE, SETTLED
from lmdiag.stats.windows import median
from lmdiag.updates import USUAL, larger_lr, update_ratios

RECORDS = 5
MOST_RECORDS = 20_000  # a median needs no more


@rule(family="schedule", needs=("curve",), severity=Severity.INFO)
def check(
    run: Run, _: Curve, *, low: float = 1e-5, high: float = LARGE_UPDATE, very_low: float = 1e-6, very_high: float = 0.1
) -> Findings:
    """Updates are far too large or far too small for the weights.

    ## What it looks for
    The norm of an update over the norm of the weights it changes.

    ## How it decides
    The median of `update_ratio` (or `update_norm` / `param_norm`) where the learning rate is above half of its peak, the first tenth left out, is outside
    `low` to `high` (information) or `very_low` to `very_high` (warning). A thousandth is usual on average, and AdamW at 3e-4 with a decay of 0.1
    stands at 0.008; small models at a rate of 4e-3 reach a hundredth in health, which is why the upper limits are wide.

    ## Why it matters
    At a tenth, every ten steps replace the weights: nothing learned lasts. At a millionth, low-precision weights do not change at all.

    ## False alarms it avoids
    Warm-up, decay, weights that start at zero (adapters), whose first ratios are huge.

    ## What to try
    Scale the learning rate by the ratio that is missing. In equilibrium AdamW has sqrt(2 lr wd).

    ## References
    - Kosson et al. 2024, Rotational equilibrium, arXiv:2305.17212.
    - Karpathy 2022, makemore part 3: update-to-data ratio of 1e-3.
    """
    ratios = update_ratios(run)
    if ratios is None:
        yield NotChecked("the log has neither update_ratio nor update_norm and param_norm")
        return
    settled = ratios.at(slice(int(SETTLED * len(ratios)), None, 1 + len(ratios) // MOST_RECORDS))
    stable = _at_high_rate(run, settled)
    if len(stable) < RECORDS:
        ratios_there = "update ratios at a high learning rate"
        held = f"only {len(stable)} {ratios_there}, {RECORDS} needed" if len(stable) else f"no {ratios_there}"
        yield NotChecked(held)
        return
    typical = float(median(stable.values))
    if typical <= 0:
        yield NotChecked("the update ratio is not above 0 in most records: it was not computed")
        return
    if low <= typical <= high:
        return
    rate = run.value_at("lr", int(stable.steps[len(stable) // 2]))
    yield Finding(
        f"The median update changes the weights by {figure(typical, 2)} of their norm, where 0.001 to 0.01 is usual: "
        f"{'too large to keep what is learned' if typical > high else 'too small to learn anything'}.",
        int(stable.steps[0]),
        int(stable.steps[-1]),
        ratios.source_name or "update_ratio",
        {"update_ratio": typical, "records": len(stable), **({} if rate is None else {"lr": rate})},
        (
            _advice(typical, rate),
            "Log the ratio of each layer: if one alone stands out, look at its initialisation and its weight decay.",
        ),
        Severity.WARNING if not very_low <= typical <= very_high else Severity.INFO,
    )


def _advice(ratio: float, rate: float | None) -> str:
    large = ratio > USUAL
    factor = USUAL / ratio if large else larger_lr(1.0, ratio)
    if not rate:
        return f"Take {figure(factor, 1)} times the learning rate."
    return Advice(
        f"{'Lower' if large else 'Raise'} the learning rate to {figure(rate * factor, 2)}: it was {figure(rate, 2)}, "
        f"and updates of {figure(USUAL)} of the weights are usual at the peak.",
        lr=rounded(rate * factor),
    )


def _at_high_rate(run: Run, ratios: Series) -> Series:
    rates = run["lr"].finite if "lr" in run else None
    if rates is None or not len(rates):
        return ratios
    return ratios.at(held_at(ratios.steps, rates.steps, rates.values) >= HIGH_RATE * rates.values.max())
