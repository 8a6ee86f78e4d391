"""What the header of a converted log says about the log that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lmdiag.run import Event, Skipped

METRIC = " (metric)"


def facts_of_origin(origin: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of a RawLog that keep a converted log the run it was: all names stay as they are.

    A metric that is called like a column of the converted log has `(metric)` behind its name there.
    """
    skipped = (piece for piece in origin.get("skipped", ()) if isinstance(piece, list) and len(piece) in (3, 4))
    series = origin.get("series")
    spans = (span for span in origin.get("segments", ()) if isinstance(span, list) and len(span) == 2)
    return {
        "step_column": "step",
        "step_kind": str(origin.get("step_kind", "step")),
        "objective": str(origin.get("objective", "")),
        "method": str(origin.get("method", "")),
        "notes": tuple(map(str, origin.get("notes", ()))),
        "skipped": tuple(
            Skipped(int(line), str(reason), int(count), *map(str, unit)) for line, reason, count, *unit in skipped
        ),
        "origins": series if isinstance(series, dict) else {},
        "spans": tuple((int(first), int(last)) for first, last in spans),
        "names": {name: name.removesuffix(METRIC) for name in names if name != "step"},
    }


def event_of(record: Mapping[str, Any]) -> Event:
    """Return the event that an `event` or `end` record tells of."""
    said = {key: value for key, value in record.items() if key not in ("type", "kind", "step", "message")}
    step = record.get("step")
    whole = int(step) if isinstance(step, (int, float)) and abs(step) < 2**63 else None
    kind = "end" if record.get("type") == "end" else str(record.get("kind", "event"))
    return Event(kind, whole, str(record.get("message", "")), said)
