"""Content that two readers could take goes to the one that knows it best."""

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.readers import read_source, reader_for
from lmdiag.readers.options import ReadOptions
from lmdiag.sources.source import Source

TABLE = "step\ttype\ttrain_loss\tval_bpb\tstep_ms\tgravity\n" + "".join(
    f"{i}\tF\t{7 - i / 50:.4f}\t\t10.{i % 10}\t0.127,0.127,0.69\n" for i in range(1, 51)
)
PRINTED = "".join(f"Epoch {i}, train loss {3 / i:.3f}, val loss {3.2 / i:.3f}\n" for i in range(1, 21))


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("run.tsv", TABLE, "csv-table"),
        ("run.txt", TABLE, "csv-table"),
        ("run.log", PRINTED, "text"),
        ("run.csv", "epoch,loss,val_loss\n1,2.0,2.1\n2,1.8,2.0\n", "keras-csv"),
        ("run.jsonl", '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.9}\n', "jsonl"),
        ("run.jsonl", '{"type": "run", "schema": "lmdiag-log/1", "run_id": "a"}\n', "lmdiag-jsonl"),
    ],
)
def test_reader_for(name, content, reader):
    assert reader_for(Source(name, content=content.encode())) == reader


def test_an_error_is_not_its_own_cause():
    with pytest.raises(UnreadableLog, match="no rows") as raised:
        read_source(Source("a.csv", content=b"step,loss\n"), ReadOptions(reader="csv-table"))
    assert raised.value.__cause__ is not raised.value
