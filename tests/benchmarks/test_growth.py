"""The logs whose growth is measured are logs, and what a rule takes is measured where it looks."""

import pytest

import lmdiag
from benchmarks import growth


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
