"""Run -> the lines of a standard log (`lmdiag-log/1`) that reads back as the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lmdiag.record.writer import SCHEMA
from lmdiag.run import Run, Series
from lmdiag.strict_json import dumps


def lines(run: Run) -> Iterator[str]:
    """Yield the records of a run as lines of strict JSON."""
    for record in records(run):
        yield dumps(record)


def records(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the header, then steps, evaluations and events in order of step, with a header at every restart.

    Values of steps that a resumed run wrote again stand before the header of the resume, as they did in the log.
    """
    header = {"type": "run", "schema": SCHEMA, "run_id": run.name or "run", "name": run.name, **run.config}
    header.setdefault("task", run.objective)
    yield header
    seams = [segment.first_step for segment in run.segments[1:]]
    for at, seam in enumerate([*seams, None]):
        yield from _measured(run.series, since=seams[at - 1] if at else None, before=seam)
        if seam is not None:
            yield from _measured(run.superseded, since=seam, before=None)
            yield {**header, "resumed_from_step": seam - 1}
    yield from _events(run)


def _measured(series: Mapping[str, Series], since: int | None, before: int | None) -> Iterator[dict[str, Any]]:
    """Yield one record per step and evaluation set with since <= step < before."""
    records: dict[tuple[int, str], dict[str, Any]] = {}
    for metric, values in series.items():
        split, name = _place(metric)
        for step, value in zip(values.steps.tolist(), values.values.tolist(), strict=True):
            if (since is None or step >= since) and (before is None or step < before):
                record = records.setdefault((step, split), _empty(step, split))
                _put(record, name, value)
    yield from (records[key] for key in sorted(records))


def _place(metric: str) -> tuple[str, str]:
    """Return the evaluation set and the field of a metric; "" is the training stream.

    >>> _place("val/loss"), _place("loss"), _place("layers/h.0/grad_norm")
    (('val', 'loss'), ('', 'loss'), ('', 'layers/h.0/grad_norm'))
    """
    if metric.startswith("layers/") or "/" not in metric:
        return "", metric
    split, _, name = metric.rpartition("/")
    return split, name


def _empty(step: int, split: str) -> dict[str, Any]:
    return {"type": "eval", "step": step, "split": split} if split else {"type": "step", "step": step}


def _put(record: dict[str, Any], name: str, value: float) -> None:
    if not name.startswith("layers/"):
        record[name] = value
        return
    layer, _, field = name.removeprefix("layers/").rpartition("/")
    record.setdefault("layers", {}).setdefault(layer, {})[field] = value


def _events(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the events, the end of the run last."""
    ends = [event for event in run.events if event.kind == "end"]
    for event in run.events:
        if event.kind not in ("end", "restart"):
            said = {"step": event.step, "message": event.message or None, **event.fields}
            yield {"type": "event", "kind": event.kind} | {
                key: value for key, value in said.items() if value is not None
            }
    if ends:
        yield {"type": "end", "status": "completed", "step": ends[-1].step, **ends[-1].fields}
