"""What messages between the rows of a table said of them: steps that were skipped, and the loss scale."""

from __future__ import annotations

import numpy as np

from lmdiag.naming import spelling
from lmdiag.readers.tables.table import Table

# What a column adds up to beyond so many times the steps that messages say were skipped was counted anew.
RUNNING_TOTAL = 4


def summary_of(table: Table) -> str:
    """Say what the messages of a log without a record tell, "" where they tell nothing of the training."""
    steps = int(sum(values.get("skipped", 0.0) for _, values in table.said))
    scales = [v for _, values in table.said for name, v in values.items() if name.startswith("loss_scale")]
    scale = f" while the loss scale went from {scales[0]:g} to {scales[-1]:g}" if scales else ""
    return f"{steps:,} messages of steps that were skipped for an overflow{scale}" if steps else ""


def put_said(table: Table) -> None:
    """Make columns of what messages said: the steps skipped since the record before, and the loss scale that was left.

    >>> table = Table()
    >>> for step in (1, 2):
    ...     table.add(step, {"step": step})
    ...     table.said.append((step, {"skipped": 1.0, "loss_scale": 64.0 / step}))
    >>> put_said(table)
    >>> table.cells("skipped").tolist(), table.cells("loss_scale").tolist()
    ([0.0, 2.0], [nan, 32.0])
    """
    if not table.said:
        return
    known = {table.names.get(name) or spelling(name).name: name for name in table.columns}
    last = len(table.lines) - 1
    skipped, scale = np.zeros(last + 1), np.full(last + 1, np.nan)
    for row, values in table.said:
        at = min(row, last)
        skipped[at] += values.get("skipped", 0.0)
        if at and "loss_scale before" in values and np.isnan(scale[at - 1]):
            scale[at - 1] = values["loss_scale before"]
        scale[at] = values.get("loss_scale", scale[at])
    own = known.get("skipped", "skipped")
    if skipped.any() and (own not in table.columns or np.nansum(table.cells(own)) > RUNNING_TOTAL * skipped.sum()):
        table.put(own, skipped)
    if "loss_scale" not in known and not np.isnan(scale).all():
        table.put("loss_scale", scale)
