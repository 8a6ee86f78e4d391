"""Arrays that NumPy saved: names, steps, and what is not loaded."""

import io

import numpy as np
import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.sources.source import Source
from tests.readers.sample_logs import arrays

LOSSES = [3.0, 2.5, np.nan, 2.0]


def saved(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def read(name, content):
    (run,) = runs_of(Source(name, content=content))
    return run


def points(run, metric="loss"):
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist(), strict=True))


def test_each_length_has_its_own_steps():
    run = read("h.npz", arrays(step=[1, 2, 3, 4], train_loss=LOSSES, val_step=[2, 4], val_loss=np.float32([3, 2])))
    assert points(run)[0] == (1, 3.0)
    assert np.isnan(run["loss"].values[2])
    assert points(run, "val/loss") == [(2, 3.0), (4, 2.0)]


@pytest.mark.parametrize(("name", "metric"), [("losses.npy", "loss"), ("runs/val_loss.npy", "val/loss")])
def test_a_lone_array_is_called_after_its_file(name, metric):
    run = read(name, saved(np.array(LOSSES)))
    assert (run.step_kind, len(run[metric])) == ("record", 4)


def test_two_columns_are_steps_and_values():
    assert points(read("loss.npy", saved(np.array([[10, 3.0], [20, 2.0]])))) == [(10, 3.0), (20, 2.0)]


def test_what_is_no_list_of_numbers_is_counted():
    run = read("h.npz", arrays(loss=[3.0, 2.0], weights=np.zeros((2, 3, 4)), names=np.array(["a", "b"])))
    assert {s.reason for s in run.skipped} == {
        '"weights" is an array of shape (2, 3, 4)',
        '"names" holds words or objects, which are not loaded',
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (saved(np.array([{"loss": 1}], object), allow_pickle=True), "not loaded"),
        (saved(np.zeros(100))[:-8], "is cut off"),
        (saved(np.zeros(3)).replace(b"(3,)", b"(9,)"), "is cut off"),
        (b"\x93NUMPY\x01\x00\x02\x00{}", "none"),
        (saved(np.zeros((2, 3, 4))), "holds no list of numbers"),
    ],
    ids=["objects", "torn", "too few numbers", "no header", "other shape"],
)
def test_refused_in_words(content, words):
    with pytest.raises(UnreadableLog, match=words):
        read("loss.npy", content)


def test_a_shorter_list_without_steps_stands_evenly_among_the_others():
    run = read("h.npz", arrays(train=[4.0, 3.0, 2.5, 2.0], val=[3.0, 2.5], lr=0.1))
    assert points(run) == [(1, 4.0), (2, 3.0), (3, 2.5), (4, 2.0)]
    assert points(run, "val/loss") == [(2, 3.0), (4, 2.5)]
    assert run.config["config"]["lr"] == 0.1
    assert "2 values of val_loss are taken to stand evenly among 4 records" in "\n".join(run.notes)


def test_steps_of_the_evaluations_that_end_with_the_training_count_it():
    run = read("h.npz", arrays(loss=[4.0, 3.0, 2.5, 2.0], val_loss=[3.0, 2.5], val_iters=[2, 4]))
    assert (points(run)[-1], points(run, "val/loss")) == ((4, 2.0), [(2, 3.0), (4, 2.5)])


def test_two_arrays_in_one_file_are_refused():
    with pytest.raises(UnreadableLog, match="called twice"):
        read("loss.npy", saved(np.zeros(3)) + saved(np.zeros(3)))
