"""What a check of a small log imports: its first quarter of a second is spent on that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lmdiag
from lmdiag.rules import RULES

CHECK = """
import dataclasses, sys
made, process = [], dataclasses._process_class
dataclasses._process_class = lambda cls, *options: made.append(cls.__name__) or process(cls, *options)
from lmdiag.cli import main
code = main(["check", {log!r}, "--isolated"])
modules = [*sys.modules]
import json
print(json.dumps([code, modules, made]))
"""
HEAVY = {"polars", "pandas", "scipy", "torch", "streamlit", "altair", "rich", "platformdirs"}
OF_OTHER_LOGS = {
    "tomllib",
    "shutil",
    "zipfile",
    "gzip",
    "bz2",
    "lzma",
    "sqlite3",
    "multiprocessing",
    "concurrent.futures",
}
UNUSED_OF_NUMPY = {"numpy.random", "numpy.ma", "numpy.polynomial", "numpy.fft", "numpy.testing", "numpy.f2py"}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("start") / "run.jsonl"
    path.write_text("".join(f'{{"step": {i}, "loss": {2 + 3 / i + i * 7919 % 101 / 5000}}}\n' for i in range(1, 400)))
    return path


@pytest.fixture(scope="module")
def started(log):
    return check_of(log)


def check_of(log):
    """The modules that a check of a log imported, and the names of what it made dataclasses."""
    code = CHECK.format(log=log.as_posix())
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True
    )
    status, modules, made = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    return set(modules), set(made)


def test_no_heavy_imports(started):
    modules, _ = started
    assert modules.isdisjoint(HEAVY | OF_OTHER_LOGS)
    assert {".".join(name.split(".")[:2]) for name in modules}.isdisjoint(UNUSED_OF_NUMPY)


def test_no_rule_whose_needs_the_log_lacks(started, log):
    run = lmdiag.read(log)
    files = {rule.name: f"lmdiag.rules.{rule.family}.{rule.name.replace('-', '_')}" for rule in RULES}
    lacking = {files[rule.name] for rule in RULES if rule.missing(run)}
    assert started[0] & set(files.values()) == set(files.values()) - lacking
    assert len(lacking) > 50


def test_no_reader_that_has_nothing_to_read(started):
    readers = {name.split(".")[2] for name in started[0] if name.startswith("lmdiag.readers.")}
    assert readers.isdisjoint(
        {"csv", "frames", "huggingface_state", "lightning", "sockeye", "tensorboard", "text", "wandb"}
    )
    trackers = {name for name in started[0] if name.startswith("lmdiag.readers.trackers.")}
    assert trackers == {"lmdiag.readers.trackers.programs"}


def test_a_table_asks_no_reader_that_cannot_have_been_meant(tmp_path):
    log = tmp_path / "run.csv"
    log.write_text("step,loss\n" + "".join(f"{i},{2 + 3 / i}\n" for i in range(1, 100)))
    readers = {name.split(".")[2] for name in check_of(log)[0] if name.startswith("lmdiag.readers.")}
    assert readers.isdisjoint({"frames", "huggingface_state", "json", "lmdiag_log", "notebooks", "tensorboard", "text"})


def test_no_dataclass_but_those_that_users_are_handed(started):
    """Each costs a third of a millisecond at every start, a `msgspec.Struct` a hundredth of that."""
    assert started[1] <= {*lmdiag.__all__, "Event", "Source"}


def test_the_process_neither_looks_for_garbage_nor_ends_with_it(log):
    """What a check makes stays to its end, when it goes with the process: Python would look through it for a sixth of the time."""
    code = """
import atexit, gc
from lmdiag.__main__ import run
begun = gc.get_stats()[0]["collections"]
atexit.register(lambda: print(gc.get_stats()[0]["collections"] - begun, gc.get_freeze_count() > 0))
run()
"""
    command = [sys.executable, "-c", code, "check", str(log), "--isolated"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0 True")


def test_no_pattern_of_other_scripts(log):
    """Its wide ranges of letters take 3 ms to compile, and most logs are in English."""
    code = "import lmdiag, lmdiag.languages as words; lmdiag.judge({log!r}); print(vars(words._FOREIGN_LETTER).keys())"
    command = [sys.executable, "-c", code.format(log=log.as_posix())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    assert done.stdout.splitlines()[-1] == "dict_keys(['_text', '_flags'])"
