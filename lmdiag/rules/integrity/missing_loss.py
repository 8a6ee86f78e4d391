import numpy as np

from lmdiag import advice
from lmdiag.finding import Finding, Findings, Severity, rule
from lmdiag.run import Run, Series

BESIDE = 0.8  # share of the records with a loss in which the other metric stands, so that both are of the same records
FEWEST = 5  # records without a loss: one or two may be a summary


@rule(family="integrity", needs=("loss",), severity=Severity.ERROR, min_points=5)
def check(run: Run, _: Series) -> Findings:
    """The loss stops being logged while the run goes on.

    ## What it looks for
    Records at the end of the log that hold the learning rate, the gradient norm, a time or a count of tokens as before, but
    no loss.

    ## How it decides
    Another metric stands in at least 80% of the records with a loss, and at least five of its records, all at the end of the
    log, come after the last loss.

    ## Why it matters
    JSON has no NaN: orjson, msgspec, pandas and polars write `null` or an empty cell in its place. A loss that vanishes is
    mostly a loss that is no longer a number, and what follows was trained on it.

    ## False alarms it avoids
    Losses logged every few steps (the other metric then stands in other records, too); evaluations and summaries behind the
    last training record.

    ## What to try
    Print the loss of one of these steps. If it is NaN, go on as the page of `non-finite-loss` says; and write NaN as the
    text "NaN", so that the log shows it.

    ## References
    - RFC 8259, section 6: "Numeric values that cannot be represented in the grammar (such as Infinity and NaN) are not
      permitted."
    """
    loss = run["loss"]  # NaN included: one that was logged is not missing
    last = int(loss.steps[-1])
    gone: dict[str, np.ndarray] = {}
    for name, series in run.series.items():
        if "/" in name or name == "loss":
            continue
        alike = np.array_equal(loss.steps, series.steps)  # as in most logs, and quick to see
        beside = 1.0 if alike else np.isin(loss.steps, series.steps).mean()
        between = int(np.searchsorted(series.steps, last, "right"))  # a loss every few steps stands in few of these
        if beside >= BESIDE and len(loss) >= BESIDE * between:
            gone[name] = series.steps[between:]
    steps = max(gone.values(), key=len, default=np.empty(0, np.int64))
    if len(steps) < FEWEST:
        return
    others = [name for name, after in gone.items() if len(after) == len(steps)]
    also = "grad_norm" in run and int(run["grad_norm"].steps[-1]) == last
    broken = also and not np.isfinite(run["grad_norm"].values[-1])
    what = "The loss stops"
    if also:
        what = f"The loss and the gradient norm{', which is not finite there,' if broken else ''} stop"
    total = len(loss) + len(steps)
    yield Finding(
        f"{what} after {run.place(last)}: the last {len(steps):,} of {total:,} records have {others[0]} but no loss.",
        int(steps[0]),
        int(steps[-1]),
        "loss",
        {"last_loss": float(loss.values[-1]), "records": len(steps), "share": len(steps) / total},
        (
            *((advice.bf16(run), advice.rewind(run, last)) if broken else ()),
            f"Print the loss of {run.place(int(steps[0]))}: writers of JSON and CSV put null or nothing where it is "
            "NaN.",
            'Log NaN as the text "NaN", so that the log shows it.',
        ),
    )
