"""Several runs in one chart, and the mean and range of runs that differ only in their seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmdiag.charts.panel import Panel
from lmdiag.charts.panels import drawing, x_domain
from lmdiag.charts.traces import Trace, scale_domain, trace
from lmdiag.charts.vega import layer, mark
from lmdiag.charts.view import Drawing, View, axis_title, positions
from lmdiag.run import Run, Series

MOST_RUNS = 24
BAND_POINTS = 200
MOST_TELLING = 3  # settings in the name of a group
SEED_KEYS = frozenset({"seed", "run_id", "name", "log", "time", "data_seed", "output_dir", "checkpoints", "hostname"})


def overlay_chart(runs: Mapping[str, Run], metric: str, view: View) -> Drawing | None:
    """Draw one metric of several runs, {name in the legend: run}; None where no run has it."""
    having = {name: run for name, run in list(runs.items())[:MOST_RUNS] if metric in run and len(run[metric])}
    if not having:
        return None
    panel = _panel(having, [trace(run, name, metric, run[metric], view) for name, run in having.items()], metric, view)
    return drawing(panel, (), view)


def grouped_chart(groups: Mapping[str, Sequence[Run]], metric: str, view: View) -> Drawing | None:
    """Draw the mean of each group of runs as a line, and the range from its lowest to its highest run as a band."""
    traces, bands, members = [], [], {}
    for label, runs in groups.items():
        having = [run for run in runs if metric in run and len(run[metric].finite) > 1]
        if having:
            name = f"{label} (n = {len(having)})"
            series, low, high = _mean_and_range(having, metric)
            t = trace(having[0], name, metric, series, view)
            members[name] = having[0]
            traces.append(t)
            x = positions(having[0], view.axis, series.steps)
            bands += [
                {"x": float(a), "low": float(b), "high": float(c), "trace": name} for a, b, c in zip(x, low, high)
            ]
    if not traces:
        return None
    drawn = drawing(_panel(members, traces, metric, view), (), view)
    inner = drawn.spec["layer"][0]["layer"]
    x = inner[0]["encoding"]["x"]
    y = {**inner[0]["encoding"]["y"], "field": "low"}
    band = mark("area", opacity=0.2, clip=True)
    inner.insert(0, layer(bands, band, x=x, y=y, y2="high", color=inner[0]["encoding"]["color"]))
    return drawn


def _panel(runs: Mapping[str, Run], traces: Sequence[Trace], metric: str, view: View) -> Panel:
    ends = [x_domain(run, view) for run in runs.values()]
    one = next(iter(runs.values()))
    return Panel(
        title=metric,
        traces=traces,
        x_title=axis_title(one, view.axis),
        x_domain=(min(low for low, _ in ends), max(high for _, high in ends)),
        y_domain=scale_domain(traces, view.log_y, view.full_range),
        log=view.log_y,
        height=340,
        unit=one.unit,
    )


def _mean_and_range(runs: Sequence[Run], metric: str) -> tuple[Series, np.ndarray, np.ndarray]:
    """Return the mean, the lowest and the highest value of the runs, over the steps that all of them cover."""
    curves = [run[metric].finite for run in runs]
    first, last = max(int(c.steps[0]) for c in curves), min(int(c.steps[-1]) for c in curves)
    steps = np.unique(np.linspace(first, max(last, first), BAND_POINTS).round().astype(np.int64))
    values = np.array([np.interp(steps, c.steps, c.values) for c in curves])
    return Series(steps, values.mean(axis=0)), values.min(axis=0), values.max(axis=0)


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
