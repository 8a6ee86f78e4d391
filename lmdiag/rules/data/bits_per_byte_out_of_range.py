from lmdiag.figures import figure
from lmdiag.finding import NOT_POSITIVE, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.metrics import LN2
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median

UNIFORM = 8.0  # bits per byte of random bytes

SEES_TOO_MUCH = (
    "Change one late token of an input: outputs before it must stay the same (causal mask); decode inputs and labels of one batch: shifted by one, once?",
    "Look for evaluation documents in the training data.",
)
UNIT = (
    "Check the unit of the loss: nats per token divided by ln 2 are bits per token.",
    "Check the number of bytes per token that was used.",
)


@rule(family="data", needs=("evaluation",), severity=Severity.WARNING, min_points=3)
def check(run: Run, evaluation: Curve, *, suspicious: float = 0.5, impossible: float = 0.25) -> Findings:
    """Bits per byte of the evaluation lie outside what text allows.

    ## What it looks for
    An evaluation whose bits per byte no model of text has, in either direction.

    ## How it decides
    Bits per byte as logged, else the evaluation loss over ln 2 and over the header's `bytes_per_token`; the median of the last three values. Below `suspicious`
    (0.5; the best large models reach about 0.6 on web text) it is information, since code and templates go lower; below `impossible` (0.25) a
    warning. Above 8 bits, the cost of random bytes, it is a warning once half of the run is done.

    ## Why it matters
    It is the one measure that compares runs with different tokenizers. Outside its range the loss, the unit or the split is wrong.

    ## False alarms it avoids
    Training loss (memorised text goes to zero), the start of a run, logs without the number of bytes.

    ## What to try
    Check the unit (nats or bits), the count of bytes, and whether evaluation documents are in the training data.

    ## References
    - Gao et al. 2020, The Pile, arXiv:2101.00027, section 3: bits per byte.
    """
    metric, bits = _bits_per_byte(run, evaluation)
    if len(bits) < 3:
        yield too_few(len(bits), "finite evaluations in bits per byte", 3)
        return
    level = float(median(bits.values[-3:]))
    planned = max(float(run.config.get("max_steps") or 0), run.last_step)
    if suspicious <= level <= UNIFORM:
        return
    if level <= 0:
        yield NOT_POSITIVE
        return
    if level > UNIFORM and bits.steps[-1] < 0.5 * planned:
        yield NotChecked("the last evaluation comes before half of the run is done")
        return
    why = f"more than the {UNIFORM:g} of random bytes" if level > UNIFORM else "less than language models reach on text"
    yield Finding(
        f"The last three evaluations have a median of {figure(level, 3)} bits per byte, {why}.",
        int(bits.steps[0]),
        int(bits.steps[-1]),
        metric,
        {"bits_per_byte": level},
        (*(SEES_TOO_MUCH if level < suspicious else ()), *UNIT),
        Severity.INFO if impossible <= level < suspicious else Severity.WARNING,
    )


def _bits_per_byte(run: Run, evaluation: Curve) -> Curve:
    """Return bits per byte of the evaluation; an empty series where they are not known."""
    metric, losses = evaluation
    logged = f"{metric.rpartition('/')[0]}/bpb"
    if logged in run:
        return Curve(logged, run[logged].finite)
    per_token = run.config.get("bytes_per_token")
    if not isinstance(per_token, (int, float)) or per_token <= 0:
        return Curve(metric, losses.at(slice(0)))
    return Curve(metric, Series(losses.steps, losses.values / LN2 / float(per_token)))
