"""Stores that one training wrote beside each other become one run: the fullest stands, the others add what it lacks.

Names only say which logs may belong together (`sources.beside`). Two stores are one run when their losses are the same at the
steps they share; stores without a common loss when they lie beside each other, cover the same steps and contradict each other
nowhere. Two runs in one folder, such as those of two seeds, hold other losses at the same steps and stay two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs

from lmdiag.gather.mean_of_ranks import is_loss, lines_of_broken, mean_of
from lmdiag.gather.series import WITHOUT_LOSS
from lmdiag.run import Run, Series
from lmdiag.sources.beside import Place, place

FEWEST_POINTS = 3  # fewer equal values may be chance
SHARED = 0.95
DIGITS = 6e-4  # of a value printed with four digits
VARIED = 20  # times the rounding that losses must vary, so that their being equal tells something
CLOSE = 0.25  # of its fall: how far the losses of two ranks of one model are apart at most
SAME_HOUR = 3600.0
NAMED = 6
COPY, PART = "holds the same run", "belongs to the same run"
CONSOLE = "/files/output.log"  # that W&B keeps in the folder of a run
COUNTERS = frozenset("epoch tokens samples time elapsed_s".split())
CLOCKS = frozenset(
    """
    time elapsed_s step_time_s data_time_s eval_time_s tokens_per_sec tokens_per_sec_per_device mem_bytes
    mem_reserved_bytes tflops_per_device mfu
    """.split()
)
OF_UPDATES = ("grad_norm", "loss_scale", "lr")  # what only training logs, but for a rate that is that of the training


@dataclass(frozen=True, eq=False)
class _Store:
    """One of the runs found: its number among them, what the name of its log tells, and whether that holds it alone."""

    number: int
    run: Run
    place: Place
    alone: bool


Join = Callable[[_Store, _Store], Run | None]


def joined(found: Sequence[tuple[str, Sequence[Run]]]) -> list[Run]:
    """Return the runs of several logs whose names say that they may be one, each training once."""
    placed = [(place(name), run, len(runs) == 1) for name, runs in found for run in runs]
    stores = [_Store(number, run, place, alone) for number, (place, run, alone) in enumerate(placed)]
    same: list[_Store] = []
    for store in _ranks_as_one(sorted(stores, key=_fullest_first)):
        _put(store, same, _with_copy, several=True)
    whole: list[_Store] = []
    for store in same:
        _put(store, whole, _with_part, several=False)
    whole = _without_consoles(whole)
    return [store.run for store in sorted(whole, key=lambda store: store.number)]


def _without_consoles(stores: Sequence[_Store]) -> list[_Store]:
    """Leave out the console of a tracker's run that could not be joined to its history, where that lacks nothing of it."""
    kept = list(stores)
    for console in (store for store in stores if store.run.source.endswith(CONSOLE) and _has_loss(store)):
        folder = console.run.source.removesuffix(CONSOLE)
        history = next((s for s in kept if s.run.format == "wandb" and s.run.source.startswith(folder)), None)
        if history is None or not _has_loss(history) or not _holds_all(history.run, console.run):
            continue
        said = f"The values of {console.run.source} are not joined: it is of the same run and counts otherwise."
        told = _merged(history.run, replace(console.run, series={}, superseded={}, skipped=()), PART)
        joined = replace(history, run=replace(told, notes=(*history.run.notes, said)))
        kept = [joined if store is history else store for store in kept if store is not console]
    return kept


def _holds_all(run: Run, other: Run) -> bool:
    """Tell whether a run has as many finite and as many other values of each metric of another, but for counters and clocks."""
    names = other.series.keys() - COUNTERS - CLOCKS
    return all(
        name in run
        and len(run[name].finite) >= len(other[name].finite)
        and len(run[name]) - len(run[name].finite) >= len(other[name]) - len(other[name].finite)
        for name in names
    )


def _has_loss(store: _Store) -> bool:
    return store.run.curve is not None


def joined_ranks(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of the ranks 0, 1, … that one log holds as one, where their losses are those of one model."""
    stores = [_Store(rank, run, Place("", "", "", rank), True) for rank, run in enumerate(runs)]
    return [store.run for store in _ranks_as_one(stores)]


def _put(store: _Store, among: list[_Store], join: Join, several: bool) -> None:
    """Join a store to the first that it belongs to, or unless `several` may be right, to the only one; else put it beside them."""
    fits = [(k, run) for k, base in enumerate(among) if (run := join(base, store)) is not None]
    if fits and (several or len(fits) == 1):
        k, run = fits[0]
        among[k] = replace(among[k], run=run, number=min(among[k].number, store.number))
    else:
        among.append(store)


def _fullest_first(store: _Store) -> tuple[bool, bool, int, bool, int]:
    run = store.run
    n = sum(map(len, run.series.values()))
    return bool(store.place.split), run.step_kind != "step", store.place.rank or 0, "loss" not in run, -n


def _with_copy(base: _Store, store: _Store) -> Run | None:
    """Return the run with what a store adds that holds the same losses; None where it does not.

    Two logs of one kind with the same metrics are left to `duplicates`: one that stops earlier may be the sick one of two.
    """
    run, other = base.run, _on_the_same_steps(base.run, _as_evaluations(base, store))
    if other is None or (run.format == other.format and run.series.keys() == other.series.keys()):
        return None
    shared = [name for name in run.series if is_loss(name) and name in other.series]
    for shift in (0, 1, -1):  # some count from 0
        moved = _moved(other, shift)
        compared = [_compared(run[name], moved[name]) for name in shared]
        if any(c.telling for c in compared) and all(c.agree for c in compared):
            return _merged(run, moved, COPY)
    return None


def _with_part(base: _Store, store: _Store) -> Run | None:
    """Return the run with what a store adds that shares no loss with it; None where it may be of another run."""
    if base.place.rank != store.place.rank:  # processes were joined before, or not for a reason
        return None
    run, other = base.run, _as_evaluations(base, store)
    shared = [name for name in run.series if name in other.series]
    new = [name for name in other.series if name not in run.series and name not in COUNTERS]
    if not (base.alone and store.alone and new and run.step_kind == other.step_kind and _overlap(run, other)):
        return None
    for name in shared:
        found = _compared(run[name], other[name])
        if name == "time":
            agree = _same_hours(run[name], other[name])
        else:
            agree = name in CLOCKS or (found.agree and (found.common > 0 or not is_loss(name)))
        if not agree:
            return None
    return _merged(run, other, PART)


def _as_evaluations(base: _Store, store: _Store) -> Run:
    """Return the run of a store that is called like an evaluation set, beside one that is not, under the name of that set."""
    run, training = store.run, base.run
    if not store.place.split or base.place.split or "loss" not in training:
        return run
    updates = [name for name in OF_UPDATES if name in run and not (name == "lr" and name in training)]
    evaluated = any(is_loss(name) for name in run.series if name != "loss")
    if updates or ("loss" in run and (evaluated or len(run["loss"]) > len(training["loss"]))):
        return run  # a training of its own
    own = store.place.key
    set_name = own if own not in ("", base.place.key) else store.place.split
    series = {n if "/" in n or n == "lr" or n in COUNTERS else f"{set_name}/{n}": s for n, s in run.series.items()}
    return replace(run, series=series)


def _on_the_same_steps(run: Run, other: Run) -> Run | None:
    """Return the other run on the steps of the first: where it counts epochs, by evaluations; records, by its losses, if they are as many."""
    if other.step_kind == run.step_kind:
        return other
    if other.step_kind == "epoch":
        return _on_the_steps_of_evaluations(run, other)
    a, b = run.series.get("loss"), other.series.get("loss")
    if other.step_kind != "record" or a is None or b is None or len(a) != len(b):
        return None
    steps = {name: np.rint(np.interp(s.steps, b.steps, a.steps)).astype(np.int64) for name, s in other.series.items()}
    series = {
        name: replace(s, steps=steps[name]) for name, s in other.series.items() if (np.diff(steps[name]) > 0).all()
    }
    return replace(other, series=series, step_kind=run.step_kind, notes=())


def _on_the_steps_of_evaluations(run: Run, other: Run) -> Run | None:
    """Return what a table of epochs holds where both have an evaluation; its losses of training are means of epochs."""
    for name in filter(is_loss, other.series):
        a, b = run.series.get(name), other[name]
        if name == "loss" or a is None or len(a) != len(b):
            continue
        found = _compared(a, replace(b, steps=a.steps))
        if found.telling and found.agree:
            series = {
                "epoch loss" if n == "loss" else n: s
                for n, s in other.series.items()
                if (n != "lr" or n not in run) and np.isin(s.steps, b.steps).all()
            }
            on_steps = {n: replace(s, steps=a.steps[np.searchsorted(b.steps, s.steps)]) for n, s in series.items()}
            return replace(other, series=on_steps, step_kind=run.step_kind, notes=())
    return None


def _moved(run: Run, shift: int) -> Run:
    return replace(run, series={n: replace(s, steps=s.steps + shift) for n, s in run.series.items()}) if shift else run


@dataclass(frozen=True)
class _Compared:
    """How many steps two series have in common, whether their values agree there, and whether that tells something."""

    common: int
    agree: bool
    telling: bool


def _compared(a: Series, b: Series) -> _Compared:
    """Compare two series where they have the same steps, as far as printing keeps their digits; NaN agrees with NaN alone."""
    _, in_a, in_b = np.intersect1d(a.steps, b.steps, assume_unique=True, return_indices=True)
    x, y = a.values[in_a], b.values[in_b]
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return _Compared(len(x), False, False)
    decimals = min((s.decimals for s in (a, b) if s.decimals is not None), default=None)
    printed = 0.0 if decimals is None else 0.51 * 10.0**-decimals
    finite = np.isfinite(x)
    x, y = x[finite], y[finite]
    if not len(x):
        return _Compared(len(finite), True, False)
    rounding = np.maximum(printed, DIGITS * np.abs(x))
    agree = float(np.mean(np.abs(x - y) <= rounding)) >= SHARED
    telling = len(x) >= max(FEWEST_POINTS, 0.5 * min(len(a), len(b))) and float(np.ptp(x)) > VARIED * rounding.max()
    return _Compared(len(finite), agree, bool(telling))


def _overlap(run: Run, other: Run) -> bool:
    """Tell whether most of what the other run logs falls into the steps of the first; records that were counted must be as many."""
    if run.step_kind == "record":
        return run.last_step == other.last_step
    steps = max(other.series.values(), key=len).steps
    return float(np.mean((steps >= run.first_step) & (steps <= run.last_step))) > 0.5


def _same_hours(a: Series, b: Series) -> bool:
    """Tell whether two runs went on at the same time."""
    return bool(b.values[0] <= a.values[-1] + SAME_HOUR and a.values[0] <= b.values[-1] + SAME_HOUR)


def _merged(run: Run, other: Run, why: str, who: str = "") -> Run:
    """Return the run with the points, metrics, facts and events of the other that it lacks, and a note on where they are from."""
    series = dict(run.series)
    added: list[str] = []
    digits: list[str] = []
    for name, s in other.series.items():
        if name not in series:
            series[name] = replace(s, lines=None)  # lines of another file
            added.append(name)
        elif name not in CLOCKS and len(more := _more(series[name], s)) > len(series[name]):
            series[name] = more
            added.append(f"{len(more) - len(run[name])} more values of {name}")
        if why == COPY and name in run and name not in CLOCKS:
            series[name] = finer = _finer(series[name], s)
            digits += [name] if finer.decimals != run[name].decimals else []
    added += [f"more digits of {_listed(digits)}"] if digits else []
    config = {**other.config, **run.config}
    if isinstance(of_other := other.config.get("config"), dict) and isinstance(own := run.config.get("config"), dict):
        config["config"] = {**of_other, **own}
    kinds = {event.kind for event in run.events}
    events = tuple(event for event in other.events if event.kind not in kinds)
    added += sorted({event.kind.replace("_", " ") for event in events})
    if len(config) > len(run.config):
        added.append("settings")
    asks = "loss" in run  # for what a part need not have
    heard = [note for note in other.notes if not (asks and note.startswith(WITHOUT_LOSS))]
    told = [f"{other.source}: {note}" for note in heard if added and why == PART]
    if added or not who:
        told.insert(0, f"{who or other.source} {why}{f'; from it: {_listed(added)}' if added else ''}.")
    unit = "record" if why == PART else "record of a copy"  # one lost from a copy is not lost to the run
    unread = tuple(
        structs.replace(s, line=0, reason=f"{other.source}: {s.reason}", unit=unit if s.unit == "record" else s.unit)
        for s in other.skipped
    )
    return replace(
        run,
        series=series,
        config=config,
        events=(*run.events, *events),
        notes=(*run.notes, *told),
        skipped=(*run.skipped, *unread),
        superseded={**{name: s for name, s in other.superseded.items() if name not in run.series}, **run.superseded},
        objective=other.objective if run.objective == "causal-lm" else run.objective,
        method=other.method if run.objective == "causal-lm" and other.method else run.method,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _more(a: Series, b: Series) -> Series:
    """Return a series with the points of another that it lacks, if the two agree where both have one."""
    lacking = ~np.isin(b.steps, a.steps)
    found = _compared(a, b)
    if not lacking.any() or not (found.agree and found.common):
        return a
    steps = np.concatenate([a.steps, b.steps[lacking]])
    order = np.argsort(steps, kind="stable")
    values = np.concatenate([a.values, b.values[lacking]])[order]
    lines = None
    if a.lines is not None:
        lines = np.concatenate([a.lines, np.zeros(int(lacking.sum()), a.lines.dtype)])[order]
    decimals = min((s.decimals for s in (a, b) if s.decimals is not None), default=None)
    return replace(a, steps=steps[order], values=values, lines=lines, decimals=decimals)


def _finer(a: Series, b: Series) -> Series:
    """Return a series with the digits of another that has the same values at all its steps and rounds them less."""
    if a.decimals is None or (b.decimals is not None and b.decimals <= a.decimals):
        return a
    place = np.minimum(np.searchsorted(b.steps, a.steps), len(b.steps) - 1)
    if not np.array_equal(b.steps[place], a.steps) or not _compared(a, b).agree:
        return a
    if np.array_equal(
        a.values.astype(np.float32), b.values[place], equal_nan=True
    ):  # its digits are those of single precision
        return a
    return replace(a, values=b.values[place], decimals=b.decimals)


def _ranks_as_one(stores: list[_Store]) -> list[_Store]:
    """Join the logs of the processes of one training, whose losses are those of one model on parts of a batch: to their mean."""
    ranks: dict[tuple[str, str, str], list[_Store]] = {}
    for store in stores:
        if store.place.rank is not None and store.alone:
            ranks.setdefault((store.place.folder, store.place.key, store.place.split), []).append(store)
    gone: set[int] = set()
    instead: dict[int, Run] = {}
    for group in ranks.values():
        first, *others = group
        if [store.place.rank for store in group] != list(range(len(group))) or not others:
            continue
        kinds = [_of_rank(first.run, store.run) for store in others]
        if "" in kinds:
            continue
        run = _with_broken_values(first.run, [store.run for store in others])
        if "own" in kinds:
            run = mean_of(run, [store.run for store in group])
        for store, kind in zip(others, kinds):
            held = {"own": "with losses of its own", "same": "with the same losses", "none": "without a loss"}[kind]
            in_one = f"Rank {store.place.rank}" if store.run.source == first.run.source else ""
            why = f"is {'' if in_one else f'rank {store.place.rank} '}of the same run, {held}"
            run = _merged(run, store.run, why, in_one)
        gone |= {store.number for store in others}
        instead[first.number] = run
    return [replace(store, run=instead.get(store.number, store.run)) for store in stores if store.number not in gone]


def _of_rank(first: Run, other: Run) -> str:
    """Say what the log of another rank holds: the `same` losses as the first, its `own`, `none`; "" if it may be another run."""
    if not any(map(is_loss, other.series)):
        return "none"
    a, b = first.series.get("loss"), other.series.get("loss")
    if a is None or b is None or first.step_kind != other.step_kind:
        return ""
    _, in_a, in_b = np.intersect1d(a.steps, b.steps, assume_unique=True, return_indices=True)
    if len(in_a) < SHARED * max(len(a), len(b)):  # where they are killed, they have not all come to the same step
        return ""
    if _compared(a, b).agree:
        return "same"
    if "lr" in first and "lr" in other and not _compared(first["lr"], other["lr"]).agree:
        return ""
    apart = np.abs(a.values[in_a] - b.values[in_b])
    fall = np.ptp(a.finite.values) if len(a.finite) else 0.0
    return "own" if np.isfinite(apart).any() and np.nanmedian(apart) <= CLOSE * fall else ""


def _with_broken_values(run: Run, others: Sequence[Run]) -> Run:
    """Return the run of the first rank with what other ranks logged as not finite in place of its values, and a note on values that differ."""
    series, differ = dict(run.series), []
    for name in (n for n in run.series if not is_loss(n) and n not in CLOCKS and n not in COUNTERS):
        for other in others:
            if name not in other.series:
                continue
            _, i, j = np.intersect1d(series[name].steps, other[name].steps, return_indices=True)
            a, b = series[name].values[i], other[name].values[j]
            broken, sound = np.isfinite(a) & ~np.isfinite(b), np.isfinite(a) & np.isfinite(b)
            if broken.any():
                values = series[name].values.copy()
                values[i[broken]] = b[broken]
                lines = lines_of_broken(run, series[name], other, other[name])
                series[name] = replace(series[name], values=values, lines=lines)
            if not np.allclose(a[sound], b[sound], rtol=DIGITS) and name not in differ:
                differ.append(name)
    told = (f"The ranks differ in {_listed(differ)}: the values are those of the first.",) if differ else ()
    return replace(run, series=series, notes=(*run.notes, *told))
