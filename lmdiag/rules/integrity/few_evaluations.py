from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run, Series

ONE_PASS = 1.05  # epochs, with room for rounding
LONG = 200  # records
ADVISED = 10


@rule(family="integrity", needs=("loss",), severity=Severity.INFO, min_points=20)
def check(run: Run, _: Series, *, enough: int = 3) -> Findings:
    """Too few evaluations to see overfitting.

    ## What it looks for
    A run that is hardly ever measured on text it does not train on.

    ## How it decides
    Fewer than `enough` evaluations in a run that repeats its data (more than one epoch), or that is long (200 records). Information only:
    the run may be sound, but nothing in its log could show that it is not.

    ## Why it matters
    Training loss keeps falling while a model memorises. Three evaluations are the fewest that show a minimum and a rise after it.

    ## False alarms it avoids
    Short runs, evaluations by other measures than loss, logs of evaluations alone, reinforcement learning.

    ## What to try
    Evaluate eight to ten times over the run, on a fixed set that is large enough for its noise.

    ## References
    - Prechelt 1998, Early stopping - but when?, doi:10.1007/3-540-49430-8_3.
    """
    if run.kind == "reinforcement":
        yield NotChecked("the reward is measured on new responses at every step")
        return
    held = max((len(series) for name, series in run.series.items() if _is_evaluation(run, name)), default=0)
    epochs = float(run["epoch"].finite.values.max(initial=0.0)) if "epoch" in run else 0.0
    span = run.last_step - run.first_step
    if held >= enough or (epochs <= ONE_PASS and len(run["loss"]) < LONG):
        return
    what = f"{figure(epochs, 2)} passes over the data" if epochs > ONE_PASS else f"{span:,} {run.unit}s"
    count = {0: "no evaluation", 1: "one evaluation"}.get(held, f"{held} evaluations")
    yield Finding(
        f"The log has {count} in {what}: {'too few to show' if held else 'nothing in it could show'} overfitting.",
        run.first_step,
        run.last_step,
        "loss",
        {"evaluations": held, "steps": span, **({"epochs": epochs} if epochs else {})},
        (
            f"Evaluate every {figure(max(span // ADVISED, 1), 2)} {run.unit}s, on text that is not trained on.",
            "Save a checkpoint at each evaluation, so that the best one can be kept.",
        ),
    )


def _is_evaluation(run: Run, name: str) -> bool:
    return name.startswith(("val/", "test/")) or name.removesuffix("/loss") in run.evaluations
