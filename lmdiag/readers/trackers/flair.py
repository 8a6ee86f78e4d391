"""flair: its table of epochs, `loss.tsv`, and the lines of its `training.log`."""

from __future__ import annotations

from msgspec.structs import replace

from lmdiag.readers.rawlog import Column, RawLog

_TABLE = {"EPOCH", "LEARNING_RATE", "TRAIN_LOSS"}
_PRINTED = {"epoch loss", "momentum", "samples/sec"}
ROUNDED = "flair rounds it to four decimals: 0 may be any rate below 5e-5"  # findings/flair-table-has-no-rate-of-a-fine-tuning.sh
MEAN = "flair prints the mean of the losses since the beginning of the epoch, not that of the batch."


def tells(log: RawLog) -> bool:
    """Tell whether rows have the columns of the table, or those of the lines."""
    return log.columns.keys() >= _TABLE or log.columns.keys() >= _PRINTED


def understood(log: RawLog) -> RawLog:
    """Return the table without rates of 0, which no epoch of flair's is trained with, and the lines with a note on their loss."""
    if not log.columns.keys() >= _TABLE:
        return replace(log, notes=(*log.notes, MEAN))
    rates = log.columns["LEARNING_RATE"]
    told = rates.values != 0
    if told.all():
        return log
    left = {"LEARNING_RATE": Column(rates.rows[told], rates.values[told])} if told.any() else {}
    others = {name: column for name, column in log.columns.items() if name != "LEARNING_RATE"}
    unused = {} if left else {"LEARNING_RATE": ROUNDED}
    note = f"{int((~told).sum())} values of LEARNING_RATE left out: {ROUNDED}."
    return replace(log, columns={**others, **left}, unused={**log.unused, **unused}, notes=(*log.notes, note))
