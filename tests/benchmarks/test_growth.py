"""The logs whose growth is measured are logs, what a rule takes is measured where it looks, and nothing takes the square of its time."""

import time
from math import inf

import pytest

import lmdiag
from benchmarks import growth

SQUARE = (
    6.0  # times as long at four times the size: four is linear, sixteen the square, and a busy machine has shown five
)
TRIES = 9  # the least time counts, and a busy machine is asked again


@pytest.mark.parametrize("kind", growth.KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_log_is_read(kind, tmp_path):
    suffix = growth.SUFFIXES.get(kind.__name__, ".log")
    (tmp_path / f"a{suffix}").write_text("\n".join(kind(400)) + "\n")
    assert any(len(run["loss"]) > 5 for run in lmdiag.read_all(tmp_path / f"a{suffix}") if "loss" in run)


def test_rules_that_look_are_measured(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    measured = dict(growth.rules(100, tries=1))
    assert {"divergence, evaluations", "overfitting, evaluations", "loss-spike, lines"} <= measured.keys()
    assert all(len(took) == 3 for took in measured.values())
    assert not [name for name in measured if name.startswith("reward")]


def test_reading_grows_no_faster_than_a_log(kind_of_log, tmp_path):
    suffix = growth.SUFFIXES.get(kind_of_log.__name__, ".log")
    logs = [tmp_path / f"{lines}{suffix}" for lines in (2000, 8000)]
    for log in logs:
        log.write_text("\n".join(kind_of_log(int(log.stem))) + "\n")
    lmdiag.read_all(logs[0])
    assert _ratio(lambda: [_seconds(log) for log in logs]) < SQUARE


@pytest.fixture(params=growth.KINDS, ids=lambda kind: kind.__name__)
def kind_of_log(request):
    return request.param


def test_rules_grow_no_faster_than_a_log(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    least = {}
    for _ in range(TRIES):
        for name, took in growth.rules(500, tries=1):
            least[name] = list(map(min, least.get(name, [inf] * 3), took))
        slow = {
            name
            for name, (_, middle, long) in least.items()
            if long > growth.NOTICED and middle > growth.LOOKED and long > SQUARE * middle
        }
        if not slow:
            break
    assert len(least) > 50
    assert not slow


def _seconds(log):
    started = time.process_time()
    lmdiag.read_all(log)
    return time.process_time() - started


def _ratio(measure):
    least = [inf, inf]
    for _ in range(TRIES):
        least = list(map(min, least, measure()))
        if least[1] < SQUARE * least[0]:
            break
    return least[1] / least[0]
