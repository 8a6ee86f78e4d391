"""`lmdiag compare`: exit 1 on a regression, 0 without, 3 when it cannot tell, 2 when there is nothing to compare."""

import json
import re

import numpy as np
import pytest

from tests.cli.conftest import curve, write_log


@pytest.fixture
def logs(tmp_path):
    def make(name, seed, worse=0.0, n=400):
        random = np.random.default_rng(seed)
        losses = curve(np.arange(1, n + 1)) * (1 + worse) * (1 + random.normal(0, 0.002, 1)) + random.normal(0, 0.02, n)
        return write_log(tmp_path / f"{name}.jsonl", losses, model={"vocab_size": 100})

    return make


def test_another_seed_passes_and_a_worse_run_fails(run, logs):
    a, b, c = logs("a", 1), logs("b", 2), logs("c", 3)
    worse = logs("worse", 4, worse=0.05)
    done = run("compare", a, b, c)
    assert done.code == 0
    assert done.out.startswith("✓ not worse  ")
    done = run("compare", a, b, worse, "--metric", "loss")
    assert done.code == 1
    assert "✗ worse" in done.out
    assert "worse by more than 1.00% beyond chance" in done.out


def test_a_better_run_is_called_so_with_the_difference_and_its_interval(run, logs):
    done = run("compare", logs("a", 1), logs("b", 2), logs("better", 4, worse=-0.2), "--metric", "loss")
    assert done.code == 0
    assert done.out.startswith("✓ better  ")
    assert re.search(r"better beyond chance: -\d+\.\d% \(-\d+\.\d% to -\d+\.\d%\) at the end", done.out)
    document = json.loads(run("compare", "a.jsonl", "better.jsonl", "--metric", "loss", "-f", "json").out)
    assert (document["verdict"], document["direction"]) == ("no-regression", "better")
    low, high = document["metrics"][-1]["tail"]["interval"]
    assert low < -0.2 < high < 0


def test_the_tolerance_is_a_share(run, logs):
    a, worse = logs("a", 1), logs("worse", 4, worse=0.05)
    assert run("compare", a, worse, "--metric", "loss", "--tolerance", "0.1").code == 0
    assert run("compare", a, worse, "--metric", "loss", "--tolerance", "10%").code == 0
    done = run("compare", a, worse, "--tolerance", "ten")
    assert done.code == 2
    assert "give a share such as 1%" in done.err


def test_too_little_data_is_exit_3(run, logs):
    assert run("compare", logs("a", 1, n=5), logs("b", 2, n=5), "--metric", "loss").code == 3


def test_the_json_document_holds_every_window(run, logs):
    document = json.loads(run("compare", logs("a", 1), logs("b", 2), "-f", "json").out)
    assert (document["schema"], document["verdict"]) == ("lmdiag-compare/1", "no-regression")
    assert [metric["metric"] for metric in document["metrics"]] == ["loss", "val/loss"]
    window = document["metrics"][0]["windows"][-1]
    assert set(window) == {"first", "last", "difference", "margin", "p", "worse", "better", "interval"}


def test_a_folder_of_baselines_is_many_baselines(run, logs, tmp_path):
    logs("base/a", 1), logs("base/b", 2)
    document = json.loads(run("compare", "base", logs("c", 3), "-f", "json").out)
    assert sorted(document["baselines"]) == ["base/a.jsonl", "base/b.jsonl"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["a.jsonl"], "at least one baseline"),
        (["a.jsonl", "no.jsonl"], "no.jsonl"),
        (["a.jsonl", "."], "the candidate is one run"),
    ],
)
def test_what_cannot_be_compared_is_exit_2(run, logs, paths, said):
    logs("a", 1), logs("b", 2)
    done = run("compare", *paths)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
