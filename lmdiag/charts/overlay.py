"""Several runs in one chart, the median and range of runs that differ only in their seed, and how far runs are from one of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmdiag.charts.cursor import Cell, Cursor, End, as_of
from lmdiag.charts.downsampling import extremes
from lmdiag.charts.palette import DASHES, cycled, palette
from lmdiag.charts.panel import Band, Panel
from lmdiag.charts.panels import drawing, x_domain
from lmdiag.charts.part import Drawing, Part
from lmdiag.charts.smoothing import half_life_mean, records_in_a_mean
from lmdiag.charts.stack import stacked
from lmdiag.charts.traces import Trace, scale_domain, trace
from lmdiag.charts.vega import Place
from lmdiag.charts.view import View, axis_title, positions, steps_at
from lmdiag.run import Run, Series
from lmdiag.stats.noise import scatter

MOST_RUNS = 24
POINTS = 4000  # of all curves of a comparison together
LEAST_BUCKETS, MOST_BUCKETS = 60, 400
BAND_POINTS = 200
READ_ROWS = 250
ROOM_FOR_NOISE = 2.5  # times the range of chance that the scale of differences covers at least
# of the differences of the middle run this share is on the scale and room beyond, so that one that diverged does not hide all others
USUAL_SHARE, BEYOND = 0.99, 1.3
NOISE = 2.0  # standard deviations to each side of what chance makes
LABEL = 12.0  # pixels between two names at the ends of curves
MOST_TELLING = 3  # settings in the name of a group
SEED_KEYS = frozenset({"seed", "run_id", "name", "log", "time", "data_seed", "output_dir", "checkpoints", "hostname"})


def overlay_chart(runs: Mapping[str, Run], metric: str, view: View, picked: Collection[str] = ()) -> Drawing | None:
    """Draw one metric of several runs, {name: run}, those that are `picked` in front; None where no run has it."""
    having = {name: run for name, run in list(runs.items())[:MOST_RUNS] if metric in run and len(run[metric])}
    if not having:
        return None
    views = _views(having, view)
    traces = [trace(run, name, metric, run[metric], views[name]) for name, run in having.items()]
    return drawing(_panel(having, _thinned(traces), metric, view, picked), (), view)


def grouped_chart(groups: Mapping[str, Sequence[Run]], metric: str, view: View) -> Drawing | None:
    """Draw the median of each group of runs as a line, and the range from its lowest to its highest run as a band."""
    traces: list[Trace] = []
    bands, members = [], {}
    for label, runs in groups.items():
        having = [run for run in runs if metric in run and len(run[metric].finite) > 1]
        if having:
            name = f"{label} (n = {len(having)})"
            series, low, high = _median_and_range(having, metric, view.half_life)
            own = _views({name: having[0]}, view)[name]
            inside = slice(*np.searchsorted(series.steps, own.steps)) if own.steps else slice(None)
            bands.append(
                Band(len(traces), positions(having[0], view.axis, series.steps)[inside], low[inside], high[inside])
            )
            traces.append(trace(having[0], name, metric, series, replace(own, half_life=0.0)))
            members[name] = having[0]
    if not traces:
        return None
    return drawing(replace(_panel(members, traces, metric, view), bands=bands), (), view)


def difference_chart(runs: Mapping[str, Run], metric: str, view: View, base: str) -> Drawing | None:
    """Draw how far the smooth mean of each run is above that of the run `base`, and the range in which chance alone puts it.

    None where `base` or all others lack the metric.
    """
    having = {
        name: run for name, run in list(runs.items())[:MOST_RUNS] if metric in run and len(run[metric].finite) > 2
    }
    if base not in having or len(having) < 2:
        return None
    half_life = view.half_life or 1.0
    known = having[base][metric].finite
    level = half_life_mean(known.steps, known.values, half_life)
    traces = []
    for name, run in having.items():
        own = run[metric].finite
        inside = (own.steps >= known.steps[0]) & (own.steps <= known.steps[-1])
        apart = half_life_mean(own.steps, own.values, half_life) - np.interp(own.steps, known.steps, level)
        values = np.where(inside, apart, np.nan) if name != base else np.zeros(len(own))
        series = Series(own.steps[inside], values[inside])
        traces.append(trace(run, name, metric, series, replace(_views({name: run}, view)[name], half_life=0.0)))
    noise = NOISE * np.sqrt(2) * scatter(known.values) / np.sqrt(records_in_a_mean(known.steps, half_life))
    panel = _panel(having, _thinned(traces), "difference", replace(view, log_y=False), levels=(noise, -noise))
    words = f"what chance makes of each run minus {base}: two standard deviations"
    band = Band(list(having).index(base), np.array(panel.x_domain), np.full(2, -noise), np.full(2, noise), words)
    reach = [float(np.quantile(np.abs(t.values), USUAL_SHARE)) for t in traces if len(t.values) and t.name != base]
    usual = max([ROOM_FOR_NOISE * noise, *([BEYOND * float(np.median(reach))] if reach else [])])
    ends = panel.y_domain if view.full_range or not usual > 0 else (-usual, usual)
    return drawing(replace(panel, bands=[band], height=130, y_domain=ends, named=False), (), view)


def compared_chart(runs: Mapping[str, Run], metric: str, view: View, drawings: Sequence[Drawing]) -> Drawing:
    """Return the charts of a comparison as one, which reads out the metric of every run at the pointer."""
    parts = [drawing.part for drawing in drawings if drawing.part is not None]
    first = parts[0]
    x = np.linspace(*first.x_domain, READ_ROWS)
    if view.axis == "step":
        x = np.unique(x.round())
    dashes = cycled(DASHES, len(first.traces), True)
    cells = [Cell(axis_title(next(iter(runs.values())), view.axis), "step" if view.axis == "step" else "number", x)]
    for t, colour, dash in zip(first.traces, first.colours, dashes):
        run = runs.get(t.name) or next(iter(runs.values()))
        cells.append(Cell(t.name, "number", as_of(t.series, steps_at(run, view.axis, x)), colour, 0, dash))
    cursor = Cursor(x, cells, first.x_domain, wide=True, ends=_ends(first, view))
    spec = stacked([replace(first, words=first.words[len(first.traces) :]), *parts[1:]], palette(view.dark), cursor)
    return Drawing(spec, " ".join(drawing.alt for drawing in drawings), "", (metric,))


def _ends(part: Part, view: View) -> list[End]:
    """Return the names of curves at the heights of their last values, moved apart where they would overlap."""
    domain = part.y(Place())["scale"].get("domain")
    last = [(t.smooth.values if t.smooth else t.values) for t in part.traces]
    known = [
        (float(v[np.isfinite(v)][-1]), t.name, c)
        for v, t, c in zip(last, part.traces, part.colours)
        if np.isfinite(v).any()
    ]
    if domain is None or not known:
        return []
    scaled = np.log if view.log_y else np.asarray
    low, high = scaled(np.array(domain, float))
    known.sort()
    with np.errstate(all="ignore"):
        heights = ((scaled(np.array([value for value, _, _ in known])) - low) / (high - low)).clip(0.0, 1.0)
    gap = min(LABEL / part.height, 1.0 / max(len(known) - 1, 1))
    places = np.arange(len(known)) * gap
    heights = np.nan_to_num(heights)
    upwards = np.maximum.accumulate(heights - places) + places  # none nearer than the gap to the one below
    downwards = np.minimum.accumulate((heights - places)[::-1])[::-1] + places  # nor to the one above
    heights = ((upwards + downwards) / 2).clip(places, 1.0 - places[::-1])
    return [End(name, colour, float(height)) for height, (_, name, colour) in zip(heights, known)]


def _views(runs: Mapping[str, Run], view: View) -> dict[str, View]:
    """Return the view of each run: the same stretch of the x axis may be other steps of another run."""
    if view.across is None:
        return dict.fromkeys(runs, view)
    return {
        name: replace(view, steps=tuple(steps_at(run, view.axis, np.array(view.across)).tolist()))
        for name, run in runs.items()
    }


def _thinned(traces: Sequence[Trace]) -> list[Trace]:
    """Return curves of fewer points where they are many, each with the extremes of its stretches."""
    buckets = min(max(POINTS // (2 * len(traces)), LEAST_BUCKETS), MOST_BUCKETS)
    return [replace(t, chosen=extremes(t.values, buckets=buckets), buckets=buckets // 2) for t in traces]


def _panel(
    runs: Mapping[str, Run],
    traces: Sequence[Trace],
    metric: str,
    view: View,
    picked: Collection[str] = (),
    levels: Sequence[float] = (),
) -> Panel:
    ends = [x_domain(run, view) for run in runs.values()]
    one = next(iter(runs.values()))
    return Panel(
        title=metric,
        traces=traces,
        x_title=axis_title(one, view.axis),
        x_domain=view.across or (min(low for low, _ in ends), max(high for _, high in ends)),
        y_domain=scale_domain(traces, view.log_y, view.full_range, levels),
        log=view.log_y,
        height=320,
        unit=one.unit,
        picked=[number for number, t in enumerate(traces) if t.name in picked],
    )


def _median_and_range(runs: Sequence[Run], metric: str, half_life: float) -> tuple[Series, np.ndarray, np.ndarray]:
    """Return the median, the lowest and the highest of the smooth means of the runs, over the steps that all of them cover."""
    curves = [run[metric].finite for run in runs]
    first, last = max(int(c.steps[0]) for c in curves), min(int(c.steps[-1]) for c in curves)
    steps = np.unique(np.linspace(first, max(last, first), BAND_POINTS).round().astype(np.int64))
    smooth = [half_life_mean(c.steps, c.values, half_life) if half_life > 0 else c.values for c in curves]
    values = np.array([np.interp(steps, c.steps, level) for c, level in zip(curves, smooth)])
    return Series(steps, np.median(values, axis=0)), values.min(axis=0), values.max(axis=0)


def settings_of(run: Run) -> dict[str, str]:
    """Return the settings of a run by dotted name, without those that differ from seed to seed."""
    return {name: value for name, value in _flat(run.config) if name.rpartition(".")[2] not in SEED_KEYS}


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in config.items():
        pairs += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", str(value))]
    return pairs


def differing_settings(runs: Mapping[str, Run]) -> dict[str, dict[str, str]]:
    """Return the settings in which runs differ: {setting: {run: value}}; "" where a run does not have it.

    >>> a, b = Run("a", {}, config={"lr": 1, "seed": 1}), Run("b", {}, config={"lr": 2, "seed": 2})
    >>> differing_settings({"a": a, "b": b})
    {'lr': {'a': '1', 'b': '2'}}
    """
    settings = {name: settings_of(run) for name, run in runs.items()}
    names = dict.fromkeys(name for one in settings.values() for name in one)
    table = {name: {run: one.get(name, "") for run, one in settings.items()} for name in names}
    return {name: values for name, values in table.items() if len(set(values.values())) > 1}


def seed_groups(runs: Mapping[str, Run]) -> dict[str, list[Run]]:
    """Return groups of runs that differ only in their seed, by name; a run without settings is a group of its own."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, run in runs.items():
        settings = settings_of(run)
        groups.setdefault(tuple(sorted(settings.items())) or ((name, ""),), []).append(name)
    labels = _labels({names[0]: settings for settings, names in zip(map(dict, groups), groups.values())})
    return {labels[names[0]]: [runs[name] for name in names] for names in groups.values()}


def _labels(settings: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Name each group by the settings in which groups differ, if these are few, else by its first run."""
    names = dict.fromkeys(name for one in settings.values() for name in one)
    telling = [name for name in names if len({one.get(name, "") for one in settings.values()}) > 1]
    words = {
        group: ", ".join(f"{name.rpartition('.')[2]} = {one.get(name, '')[:20]}" for name in telling)
        for group, one in settings.items()
    }
    plain = 0 < len(telling) <= MOST_TELLING and len(set(words.values())) == len(words)
    return words if plain else {group: group for group in settings}
