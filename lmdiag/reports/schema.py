"""The JSON Schema of `lmdiag-report/1`: what programs that read the report may rely on."""

from __future__ import annotations

from typing import Any

from lmdiag.account import USES
from lmdiag.diagnose import VERDICTS
from lmdiag.finding import FAMILIES, Severity
from lmdiag.methods import METHODS
from lmdiag.reports.json import SCHEMA

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_STEP = {"type": "integer"}
_NUMBER = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the report.

    >>> json_schema()["properties"]["schema"]
    {'const': 'lmdiag-report/1'}
    """
    document = _object(
        schema={"const": SCHEMA},
        lmdiag=_TEXT,
        verdict=_VERDICT,
        runs=_list(_RUN),
        unreadable=_list(_object(source=_TEXT, error=_TEXT, hint=_TEXT)),
        suppressed=_list({"allOf": [_object(source=_TEXT, run=_TEXT, reason=_TEXT), _FINDING]}),
        passed_over=_list(_object(source=_TEXT, why=_TEXT)),
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **document}


def _object(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has all of these properties, and later perhaps more."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_VERDICT = {"enum": list(VERDICTS)}
_FINDING = _object(
    rule=_TEXT,
    family={"enum": list(FAMILIES)},
    severity={"enum": [severity.label for severity in Severity]},
    metric=_TEXT,
    first_step=_STEP,
    last_step=_STEP,
    message=_TEXT,
    evidence={"type": "object", "additionalProperties": _or_null(_NUMBER)},
    advice=_list(_TEXT),
    changes=_list(_or_null({"type": "object", "additionalProperties": {"anyOf": [_NUMBER, _TEXT]}})),
    consequence_of=_or_null(_TEXT),
)
_ACCOUNT = _object(
    lines=_object(all=_COUNT, with_records=_COUNT, blank=_COUNT, text=_COUNT, lost=_COUNT),
    rows=_COUNT,
    dropped=_list(_object(reason=_TEXT, count=_COUNT, unit=_TEXT, line=_COUNT)),
    columns=_list(
        _object(
            name=_TEXT,
            use={"enum": list(USES)},
            metrics=_list(_TEXT),
            unit=_TEXT,
            scale=_NUMBER,
            values=_COUNT,
            why=_TEXT,
        )
    ),
    guesses=_list(_TEXT),
)
_RUN = _object(
    name=_TEXT,
    source=_TEXT,
    format=_TEXT,
    method={"enum": list(METHODS)},
    verdict=_VERDICT,
    known=_COUNT,
    complete=_or_null({"type": "boolean"}),
    planned_share=_or_null(_NUMBER),
    unjudged=_or_null(_TEXT),
    steps=_object(
        counts=_TEXT, first=_STEP, last=_STEP, points=_COUNT, segments=_COUNT, complete=_or_null({"type": "boolean"})
    ),
    summary=_object(
        loss_first=_or_null(_NUMBER),
        loss_last=_or_null(_NUMBER),
        loss_min=_or_null(_NUMBER),
        perplexity_last=_or_null(_NUMBER),
        perplexity=_or_null(_object(kind=_TEXT, unit=_TEXT, of=_TEXT, step=_STEP, records=_COUNT, best=_NUMBER)),
        keep=_or_null(_STEP),
        best=_or_null(_object(metric=_TEXT, step=_STEP, value=_NUMBER)),
    ),
    findings=_list(_FINDING),
    not_checked=_list(_object(rule=_TEXT, why=_TEXT)),
    notes=_list(_TEXT),
    account=_ACCOUNT,
    skipped_lines=_COUNT,
)
