"""Run -> a standard log (`lmdiag-log/1`) or a parquet table, either of which reads back as the same run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmdiag.naming import evaluation_set, evaluation_sets
from lmdiag.record.writer import SCHEMA
from lmdiag.run import Event, Run, Segment, Series
from lmdiag.strict_json import dumps, encodable, plain

NOT_A_FIELD = frozenset(("type", "step", "split", "kind", "time", "metrics", "layers"))


def lines(run: Run) -> Iterator[str]:
    """Yield the records of a run as lines of strict JSON."""
    for record in records(run):
        yield dumps(record)


def records(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the header, then steps and evaluations in the order of the log, with a header at every restart, then events.

    Values of steps that a resumed run wrote again stand before the header of the resume, as they did in the log.
    """
    head = header(run)
    sets = evaluation_sets([*run.series, *run.superseded])
    yield head
    for number, segment in enumerate(_segments(run)):
        if number:
            yield {**head, "resumed_from_step": segment.first_step - 1}
        for step, cells in _rows(run, number):
            yield from _typed(step, cells, sets)
    yield from map(_event, run.events)


def header(run: Run) -> dict[str, Any]:
    """Return the header of a run; under `source` it says what records cannot: where the values come from."""
    series = {name: _about(s) for name, s in run.series.items() if _about(s)}
    source = {
        "format": run.format,
        "path": run.source,
        "objective": run.objective,
        "method": run.method,
        "step_kind": run.step_kind,
        "notes": list(run.notes),
        "skipped": [[s.line, s.reason, s.count, s.unit] for s in run.skipped],
        "series": series,
        "segments": [[s.first_step, s.last_step] for s in _segments(run)],
    }
    facts = {
        key: value for key, value in run.config.items() if key not in ("type", "schema", "run_id", "name", "source")
    }
    return {"type": "run", "schema": SCHEMA, "run_id": run.name or "run", "name": run.name, **facts, "source": source}


def parquet(runs: Sequence[Run]) -> bytes:
    """Return a parquet table with the columns `run`, `step` and one for each metric; the headers are in its metadata."""
    import polars as pl

    columns: dict[str, list[Any]] = {"run": [], "step": []}
    metrics = dict.fromkeys(name for run in runs for name in (*run.series, *run.superseded))
    columns |= {_column(name): [] for name in metrics}
    for run in runs:
        for number in range(len(_segments(run))):
            for step, cells in _rows(run, number):
                columns["run"].append(encodable(run.name))
                columns["step"].append(step)
                for name in metrics:
                    columns[_column(name)].append(cells.get(name))
    types = dict.fromkeys(columns, pl.Float64) | {"run": pl.String, "step": pl.Int64}
    said = [{**header(run), "events": [_event(event) for event in run.events]} for run in runs]
    buffer = io.BytesIO()
    frame = pl.DataFrame(columns, schema=types)
    frame.write_parquet(buffer, metadata={"lmdiag": json.dumps(plain(said), allow_nan=False)})
    return buffer.getvalue()


def _column(metric: str) -> str:
    return f"{metric} (metric)" if metric in ("run", "step") else encodable(metric)


def _about(series: Series) -> dict[str, Any]:
    said = {
        "name": series.source_name,
        "unit": series.source_unit,
        "decimals": series.decimals,
        "reduction": series.reduction,
    }
    return {key: value for key, value in said.items() if value not in ("", None)}


def _segments(run: Run) -> Sequence[Segment]:
    return run.segments or (Segment(run.first_step, run.last_step, 0),)


def _rows(run: Run, number: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield what one segment wrote, in order of step: first what was written again later, then what stands."""
    segments = _segments(run)
    first = segments[number].first_step if number else None
    stop = segments[number + 1].first_step if number + 1 < len(segments) else None
    replaced = {step: cells for step, cells in _by_step(run.superseded).items() if _home(segments, step) == number}
    standing = _by_step(run.series, first, stop)
    for step in sorted(replaced.keys() | standing.keys()):
        if step in replaced:
            yield step, replaced[step]
        if step in standing:
            yield step, standing[step]


def _home(segments: Sequence[Segment], step: int) -> int:
    """Return the segment that wrote a value which was written again: by the next segment, else within itself."""
    spans = list(zip(segments, segments[1:], strict=False))
    resumed = [n for n, (s, after) in enumerate(spans) if max(s.first_step, after.first_step) <= step <= s.last_step]
    return max(resumed or (n for n, s in enumerate(segments) if n == 0 or s.first_step <= step))


def _by_step(
    series: Mapping[str, Series], since: int | None = None, before: int | None = None
) -> dict[int, dict[str, float]]:
    rows: dict[int, dict[str, float]] = {}
    for metric, found in series.items():
        for step, value in zip(found.steps.tolist(), found.values.tolist(), strict=True):
            if (since is None or step >= since) and (before is None or step < before):
                rows.setdefault(step, {})[metric] = value
    return rows


def _typed(step: int, cells: Mapping[str, float], sets: set[str]) -> Iterator[dict[str, Any]]:
    """Yield one record for the training stream and one for each evaluation set."""
    found: dict[str, dict[str, Any]] = {}
    for metric, value in cells.items():
        split, name = _place(metric, sets)
        record = found.setdefault(split, _empty(step, split))
        _put(record, name, value)
    yield from (found[split] for split in sorted(found))


def _place(metric: str, sets: set[str]) -> tuple[str, str]:
    """Return the evaluation set and the field of a metric, given the sets of the run; "" is the training stream.

    >>> _place("val/loss", {"val"}), _place("actor/lr", {"val"}), _place("layers/h.0/grad_norm", {"val"})
    (('val', 'loss'), ('', 'actor/lr'), ('', 'layers/h.0/grad_norm'))
    """
    split = evaluation_set(metric) or metric.rpartition("/")[0]
    name = metric[len(split) + 1 :]
    return (split, name) if split in sets and name and name not in NOT_A_FIELD else ("", metric)


def _empty(step: int, split: str) -> dict[str, Any]:
    return {"type": "eval", "step": step, "split": split} if split else {"type": "step", "step": step}


def _put(record: dict[str, Any], name: str, value: float) -> None:
    layer, _, field = name.removeprefix("layers/").rpartition("/")
    if name.startswith("layers/") and layer and field:
        record.setdefault("layers", {}).setdefault(layer, {})[field] = value
    elif name in NOT_A_FIELD:
        record.setdefault("metrics", {})[name] = value
    else:
        record[name] = value


def _event(event: Event) -> dict[str, Any]:
    said = {"step": event.step, "message": event.message or None, **event.fields}
    said = {key: value for key, value in said.items() if value is not None}
    if event.kind == "end":
        return {"type": "end", "status": "completed", **said}
    return {"type": "event", "kind": event.kind, **said}
