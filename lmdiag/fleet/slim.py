"""A diagnosis without its million points: what reports of many runs need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmdiag.diagnose import Diagnosis
from lmdiag.run import Event, Run, Series
from lmdiag.stats.extremes import extreme_rows
from lmdiag.stats.windows import distinct
from lmdiag.task_measures import DRAWN, progress

STRETCHES = 144  # twice as many as the widest curve in a line of text has characters


def slimmed(diagnosis: Diagnosis, stretches: int = STRETCHES, every_metric: bool = False) -> Diagnosis:
    """Return the diagnosis with a run that holds only what reports show; its curves are coarser, all else is the same.

    Of the curves that reports draw in a line of text, or of `every_metric`, it keeps the highest and the lowest value
    of each of so many `stretches`, and the steps of findings; of other metrics, the first and last step of the run.
    """
    run = diagnosis.run
    decided = {"curve": run.curve, "evaluation": run.evaluation}
    measured = _evaluations(diagnosis)
    shown = measured | {metric for metric, _ in filter(None, (progress(run), *decided.values()))}
    shown |= {*DRAWN.get(run.kind, ())} | {f.metric for f in diagnosis.findings}
    series = {
        name: thinned(s, stretches, _marks(diagnosis, name, measured))
        for name, s in run.series.items()
        if every_metric or name in shown
    }
    small = replace(
        run,
        series=_with_the_ends(run, series),
        superseded={},
        events=run.events
        if every_metric
        else tuple(e for e in run.events if e.kind == "end" or _names_kept(diagnosis, e)),
        decided={
            name: found and (found[0], _of_curve(run, series, *found, stretches, _kept(diagnosis)))
            for name, found in decided.items()
        },
    )
    return replace(diagnosis, run=small)


def _of_curve(
    run: Run, kept: dict[str, Series], metric: str, curve: Series, stretches: int, steps: list[int]
) -> Series:
    """Return the points of a curve: those of its metric, unless it leaves some out, such as zeros that mask NaN."""
    return kept[metric] if curve is run.series.get(metric) else thinned(curve, stretches, steps)


def _evaluations(diagnosis: Diagnosis) -> set[str]:
    """Return what decides which checkpoint to keep: the metric of the best evaluation, and those that tell equal ones apart."""
    if diagnosis.best is None:
        return set()
    split = diagnosis.best.metric.rpartition("/")[0]
    return {diagnosis.best.metric, *(f"{split}/{name}" for name in ("loss", "reward_margin") if split)}


def _names_kept(diagnosis: Diagnosis, event: Event) -> bool:
    """Tell whether an event says that the checkpoint to keep was saved."""
    return event.kind == "checkpoint_saved" and diagnosis.keep is not None and event.step == diagnosis.keep.step


def _kept(diagnosis: Diagnosis) -> list[int]:
    return [best.step for best in (diagnosis.best, diagnosis.keep) if best is not None]


def _marks(diagnosis: Diagnosis, metric: str, measured: set[str]) -> list[int]:
    own = [step for f in diagnosis.findings if f.metric == metric for step in (f.first_step, f.last_step)]
    return own + (_kept(diagnosis) if metric in measured else [])


def thinned(series: Series, stretches: int, steps: list[int] | None = None) -> Series:
    """Return the first and last value, the highest and lowest of each stretch, and the values next to some steps.

    >>> series = Series(np.arange(1000), np.sin(np.arange(1000.0)))
    >>> few = thinned(series, 10, [123])
    >>> len(few) <= 24, few.logged, 123 in few.steps.tolist(), float(few.values.max()) == float(series.values.max())
    (True, 1000, True, True)
    """
    rows = extreme_rows(np.where(np.isfinite(series.values), series.values, np.inf), stretches)
    marked = np.searchsorted(series.steps, steps or [])
    chosen = distinct(np.concatenate([rows, marked[marked < len(series)]]))
    return replace(series.at(chosen), logged=series.logged or len(series))


def _with_the_ends(run: Run, series: dict[str, Series]) -> dict[str, Series]:
    """Add a value at the first and at the last step of the run, where no series that stays has one."""
    kept = dict(series)
    whole = {name: s for name, s in run.series.items() if len(s)}
    if not whole:
        return kept
    first = min(whole, key=lambda name: whole[name].steps[0])
    last = max(whole, key=lambda name: whole[name].steps[-1])
    for name in {first, last} - set(kept):
        kept[name] = replace(whole[name].at(np.array([0, -1])), logged=len(whole[name]))
    return kept
