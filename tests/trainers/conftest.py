"""A model so small that a run takes a second."""

import json

import pytest
import torch

SIZES = {"max-characters": 20000, "n-layer": 1, "d-model": 16, "context": 16, "batch-size": 8, "eval-tokens": 500}
TINY = ["--recipe", "small"]
TINY += [word for name, value in SIZES.items() for word in (f"--{name}", str(value))]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def train(tmp_path):
    """Run the command line with a tiny model; return the records of the log, torn lines left out."""
    from trainers.__main__ import main

    def run(*arguments, name="transformer", log="a.jsonl", code=0):
        assert main([name, *TINY, "--log", str(tmp_path / log), *map(str, arguments)]) == code
        return read(tmp_path / log)

    return run


def read(path):
    """Return the records of a log."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def values(records, name, kind="step"):
    """Return one field of all records of a type, but of the test at the end."""
    return [r[name] for r in records if r["type"] == kind and r.get("split") != "test"]
