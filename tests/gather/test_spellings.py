"""Every name in the table of docs/metrics.md, read beside the others of its trainer, is the metric that the table says."""

import numpy as np
import pytest

from docs.spellings import SPELLINGS, names_of
from lmdiag.judging.reading import runs_of
from lmdiag.metrics import METRICS
from lmdiag.sources.source import Source
from tests.gather.made import run_of


def read(names):
    """Return {metric: name in the log} of a log with these names, of which each has values of its own."""
    values = {name: 0.3 + 0.01 * at for at, name in enumerate(names)}
    records = [{"step": step, **{n: v + 0.001 * step for n, v in values.items()}} for step in range(1, 13)]
    found = {}
    for metric, series in run_of(records).series.items():
        at = min(values, key=lambda name: abs(values[name] + 0.001 - series.values[0]))
        if series.source_unit or np.isclose(values[at] + 0.001, series.values[0], atol=1e-9):
            found[metric] = series.source_name or at
    return found


@pytest.mark.parametrize("trainer", SPELLINGS)
def test_every_name_is_read_as_the_table_says(trainer):
    names = names_of(SPELLINGS[trainer])
    found = read(names)
    assert {metric: found.get(metric) for metric in names.values()} == {metric: name for name, metric in names.items()}
    assert {m for n, m in names.items() if m != n and "/" not in m} <= set(METRICS)


@pytest.mark.parametrize("trainer", [name for name in SPELLINGS if name.startswith("TRL") and "sources" not in name])
@pytest.mark.parametrize("prefix", ["eval_", "eval/"])
def test_evaluations_have_the_same_names(trainer, prefix):
    names = {
        n: m for n, m in names_of(SPELLINGS[trainer]).items() if m not in ("lr", "grad_norm", "epoch", "step_time_s")
    }
    found = read([*names, *(f"{prefix}{name}" for name in names)])
    wanted = {f"val/{metric}": f"{prefix}{name}" for name, metric in names.items()}
    assert {metric: found.get(metric) for metric in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "form"),
    [("x.log", "step {k} loss {a} lm_loss {b}"), ("x.jsonl", '{{"step": {k}, "loss": {a}, "lm_loss": {b}}}')],
)
def test_which_of_two_losses_is_judged_is_said_of_the_run(name, form):
    text = "\n".join(form.format(k=k, a=5.5 - k / 10, b=5 - k / 10) for k in range(20))
    (run,) = runs_of(Source(name, content=text.encode()))
    assert run["loss"].values[0] == 5.0
    assert '"lm_loss" was taken for loss, and "loss" was not: it is the loss of the language model alone' in run.notes
