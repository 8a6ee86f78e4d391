"""Chart and history exports: a run per curve, buckets told apart from single values, the right counter."""

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.wandb.export import can_read, read
from lmdiag.sources.source import Source

CHART = (
    '"Step","a - b - train/loss","a - b - train/loss__MIN","a - b - train/loss__MAX",'
    '"owl - train/loss","owl - train/loss__MIN","owl - train/loss__MAX"\n'
    '"0","10.5","10.5","10.5","9","8","11"\n"10","9.5","9.5","9.5","NaN","NaN","NaN"\n"20","8.5","8.5","8.5","",,""\n'
)


def source(text: str) -> Source:
    return Source("export.csv", content=text.encode())


def test_a_chart_holds_a_run_per_curve():
    first, second = read(source(CHART))
    assert (first.name, second.name) == ("export.csv#a - b", "export.csv#owl")
    assert first.columns["train/loss"].values.tolist() == [10.5, 9.5, 8.5]
    assert str(second.columns["train/loss"].values.tolist()) == "[9.0, nan]"


def test_buckets_keep_their_highest_value_and_are_told():
    first, second = read(source(CHART))
    assert (set(first.columns), first.notes, first.reductions) == ({"Step", "train/loss"}, (), {})
    assert str(second.columns["train/loss__MAX"].values.tolist()) == "[11.0, nan]"
    assert second.reductions == {"train/loss": "window_mean"}
    assert "means of several steps" in second.notes[0]


def test_an_axis_that_was_chosen():
    text = '"train/global_step","owl - _step","owl - _step__MIN","owl - _step__MAX","owl - loss","owl - loss__MIN","owl - loss__MAX"\n'
    (run,) = runs_of(source(text + "".join(f'"{100 * s}","{s}","{s}","{s}","2.5","2.5","2.5"\n' for s in range(5))))
    assert run["loss"].steps.tolist() == [0, 100, 200, 300, 400]


def test_time_on_the_axis_is_no_step():
    text = '"Relative Time (Process)","owl - loss","owl - loss__MIN","owl - loss__MAX"\n' + '"1.5","2","2","2"\n' * 3
    (run,) = runs_of(source(text))
    assert run["loss"].steps.tolist() == [1, 2, 3]


def test_grouped_charts():
    text = '"Step","Group: base - loss","Group: base - loss__MIN","Group: base - loss__MAX"\n"1","2","1","3"\n"2","2","1","3"\n'
    (log,) = read(source(text))
    assert log.columns["loss"].values.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (CHART, True),
        ("_step,_runtime,loss\n0,1,2\n", True),
        ("Name,State,Created,a - loss\n", False),
        ("step,loss__MIN\n1,2\n", False),
        ("_step,loss\n", False),
    ],
)
def test_recognised_by_its_header(head, expected):
    assert can_read("x.csv", head.encode()) is expected


def test_history_prefers_the_iteration_to_the_number_of_the_call():
    text = "_runtime,_step,iter,train/loss,train/step_loss,val/loss\n1,0,0,4.2,,4.3\n2,1,0,,4.1,\n3,2,10,,3.9,\n4,3,20,3.5,,3.6\n5,4,20,,3.4,\n"
    (run,) = runs_of(source(text))
    assert run["loss"].values.tolist() == [4.1, 3.9, 3.4]
    assert run["val/loss"].steps.tolist() == run["train/loss"].steps.tolist() == [0, 20]
