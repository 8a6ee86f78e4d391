"""The JSON Schema of the standard log against what the trainers and the writer write."""

import json
from pathlib import Path

import jsonschema
import pytest

from lmdiag.record.schema import json_schema
from lmdiag.record.writer import RunLogger

SAMPLES = sorted(Path(__file__).parents[2].joinpath("sample_logs").glob("*.jsonl"))
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_sample_logs_fulfil_it(path):
    *lines, last = path.read_text(encoding="utf-8").split("\n")
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            assert path.stem == "truncated-run"
            continue
        VALIDATOR.validate(record)
    assert last == "" or path.stem == "truncated-run"


def test_what_the_writer_writes_fulfils_it(tmp_path):
    with RunLogger(tmp_path / "a.jsonl", {"x": None}, model={"params": 5}, reference_loss={"uniform": 4.6}) as log:
        log.step(1, loss=float("nan"), layers={"a": {"grad_norm": float("inf")}})
        log.eval(1, split="test", loss=2.0)
        log.event("sample", 1, "Once upon a time")
    for line in (tmp_path / "a.jsonl").read_text().splitlines():
        VALIDATOR.validate(json.loads(line))


@pytest.mark.parametrize(
    "record",
    [
        {"step": 1},
        {"type": "run", "run_id": "a"},
        {"type": "run", "run_id": "a", "schema": "lmdiag-log/9"},
        {"type": "step", "loss": 1.0},
        {"type": "step", "step": 1.5},
        {"type": "step", "step": 1, "loss": "nan"},
        {"type": "step", "step": 1, "layers": {"a": 1.0}},
        {"type": "eval", "step": 1},
        {"type": "end", "status": "fine"},
    ],
)
def test_refuses_what_is_wrong(record):
    assert not VALIDATOR.is_valid(record)


@pytest.mark.parametrize("record", [{"type": "remark"}, {"type": "step", "step": 1, "my_metric": 3, "loss": None}])
def test_leaves_room_for_more(record):
    assert VALIDATOR.is_valid(record)
