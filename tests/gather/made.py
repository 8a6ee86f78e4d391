"""Runs made of records, and what tests ask of them."""

from lmdiag import gather
from lmdiag.readers.tables.rows import Rows


def run_of(records, **facts):
    rows = Rows()
    for line, record in enumerate(records, 1):
        rows.add(record, line)
    return gather.run_of(rows.log("made", "a", **facts))


def points(run, metric="loss"):
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist(), strict=True))


def columns(**values):
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def points_of(series):
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))
