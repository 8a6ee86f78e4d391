"""Content that two readers could take goes to the one that knows it best."""

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.readers import MARKS, may_read, read_source, reader_for, reader_named
from lmdiag.readers.options import ReadOptions
from lmdiag.sources.source import Source
from tests.readers.sample_logs import SAMPLES

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


@pytest.mark.parametrize("file", [*SAMPLES.values(), ("runs/ipynb/a.ipynb", b"{}")], ids=lambda file: file[0])
def test_a_reader_that_is_not_asked_would_have_said_no(file):
    head = Source(file[0], content=file[1]).head
    unasked = [name for name in MARKS if not may_read(name, file[0], head)]
    assert unasked
    assert not [name for name in unasked if reader_named(name).can_read(file[0], head)]


@pytest.mark.parametrize(
    ("name", "head", "reader"),
    [
        ("offline-0123456789abcdef0123456789abcdef.zip", b"PK\x03\x04", "clearml"),
        ("offline-0123456789abcdef0123456789abcdef/", b"\nmetrics.jsonl\ntask.json\n", "clearml"),
        ("a.json", b'[{"type": "training_stats_scalar", ', "clearml"),
        ("0123456789abcdef0123456789abcdef.zip", b"PK\x05\x06".ljust(22, b"\0"), "comet"),
        ("messages.json", b'{"payload":{"type":"metric_msg"', "comet"),
        ("a.json", b"TrainerState(x, 'log_history': [", "hf-trainer-state"),
    ],
)
def test_a_reader_is_asked_for_all_that_it_reads(name, head, reader):
    assert may_read(reader, name, head)
