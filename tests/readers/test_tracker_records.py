"""Records of trackers that are sound as such, and do not hold what they should: each is counted as lost."""

import shutil
import struct
from pathlib import Path

import pytest

from lmdiag.errors import NoValues
from lmdiag.judging.reading import read_runs, runs_of
from lmdiag.readers.trackers import swanlab
from lmdiag.run import Run
from lmdiag.sources.source import Source
from tests.readers.event_writer import nested
from tests.readers.wandb_writer import wandb_file

STORES = Path(__file__).parent / "stores"


def run_with(log: str, more: bytes) -> Run:
    """The run of a stored file, and what is put behind its end."""
    (path,) = STORES.glob(log)
    (run,) = runs_of(Source(path.name, content=path.read_bytes() + more))
    return run


def lost(run: Run) -> list[tuple[int, str]]:
    return [(skipped.count, skipped.reason) for skipped in run.skipped]


def test_visualdl_a_value_without_its_metric():
    record = nested(1, b"\x08\x29" + b"\x25" + struct.pack("<f", 2.5))
    run = run_with("visualdl/log/whole/vdlrecords.*.log", struct.pack("<Q", len(record)) + record)
    assert (lost(run), len(run["loss"].values)) == ([(1, "record that cannot be decoded")], 40)


def test_swanlab_a_time_that_is_a_number():
    (path,) = STORES.glob("swanlab/log/whole-offline/*/*.swanlab")
    start = nested(10, nested(4, b"made") + nested(10, b"abcdefgh"))
    value = nested(13, nested(1, b"loss") + b"\x20\x05" + nested(5, b"\x09" + struct.pack("<d", 2.5)))
    (log,) = swanlab.read(Source("run.swanlab", content=wandb_file(start, value, header=path.read_bytes()[:7])))
    assert [(skipped.count, skipped.reason) for skipped in log.skipped] == [(1, "record that cannot be decoded")]


@pytest.mark.parametrize("name", ["null", "5", "[1]"])
def test_comet_a_metric_without_a_name(name):
    metric = f'{{"epoch":null,"metricName":{name},"metricValue":0.1,"step":26}}'
    message = (
        f'{{"payload":{{"local_timestamp":1795981524865,"message_id":7,"metric":{metric}}},"type":"metric_msg"}}\n'
    )
    run = run_with("comet/log/killed/*/messages.json", message.encode())
    assert [count for count, _ in lost(run)] == [1]
    assert len(run["loss"].values) == 25


def test_neptune_an_operation_without_a_type(tmp_path):
    shutil.copytree(STORES / "neptune/log/whole", tmp_path / "log")
    (path,) = tmp_path.rglob("data-1.log")
    path.write_text(path.read_text() + '{"obj": {"type": null, "path": ["train", "loss"]}}\n')
    (run,), problems = read_runs([tmp_path])
    assert ([count for count, _ in lost(run)], problems) == ([1], [])


def test_a_store_of_which_all_values_are_lost_says_why():
    lines = b'{"track": {"loss": [[1, null]]}}\n'
    with pytest.raises(NoValues, match="holds no values that can be read: loss: not a step and its values"):
        runs_of(Source("log.jsonl", content=lines))


@pytest.mark.parametrize(
    ("log", "name"), [("aim/log/whole", "run_metadata.sqlite"), ("swanlab/log/killed-local", "runs.swanlab")]
)
def test_a_database_beside_a_store_whose_schema_is_no_text(log, name, tmp_path):
    shutil.copytree(STORES / log, tmp_path / "log")
    (path,) = tmp_path.rglob(name)
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CRE\xffTE TABLE"))
    (run,), problems = read_runs([tmp_path])
    assert problems == []
    assert run["loss"].steps[0] == 1
