"""Hugging Face trainer states: of every version, with NaN, cut off, and with several evaluation sets."""

import json

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers import huggingface_state as hf_trainer_state
from lmdiag.readers.json.record_type import RecordType
from lmdiag.sources.source import Source

NAN = float("nan")
TRAIN = [
    {"epoch": s / 40, "grad_norm": 1.5, "learning_rate": 1e-5, "loss": 3.0 - s / 100, "step": s}
    for s in range(10, 60, 10)
]
EVAL = {"epoch": 0.5, "eval_loss": 2.75, "eval_runtime": 1.5, "eval_samples_per_second": 3.0, "step": 20}
LAST = {
    "epoch": 1.25,
    "step": 50,
    "total_flos": 1e9,
    "train_loss": 2.9,
    "train_runtime": 12.5,
    "train_samples_per_second": 4.0,
}
STATE = {
    "best_metric": None,
    "epoch": 1.25,
    "global_step": 50,
    "log_history": [*TRAIN[:2], EVAL, *TRAIN[2:], LAST],
    "max_steps": 50,
}


def read(text, name="out/run-7/checkpoint-50/trainer_state.json"):
    text = text if isinstance(text, str) else json.dumps(text, indent=2)
    source = Source(name, content=text.encode())
    assert hf_trainer_state.can_read(source.name, source.head)
    (run,) = runs_of(source)
    return run


def test_records_evaluations_and_the_summary_are_told_apart():
    run = read(STATE)
    assert run["loss"].values.tolist() == [r["loss"] for r in TRAIN]
    assert (run["val/loss"].steps.tolist(), run["val/loss"].values.tolist()) == ([20], [2.75])
    assert run["grad_norm"].values.tolist() == [1.5] * 5
    assert "train/loss" not in run
    assert (run.config["max_steps"], run.config["train_loss"], run.complete) == (50, 2.9, True)
    assert (run.name, run["loss"].reduction, run["loss"].decimals) == ("run-7", "window_mean", 1)


def test_lines_lead_to_the_record():
    run = read(STATE)
    text = json.dumps(STATE, indent=2).splitlines()
    for line, record in zip(run["loss"].lines.tolist(), TRAIN, strict=True):
        assert json.loads("".join(text[line - 1 : line + 6]).strip().rstrip(",")) == record


def test_bare_nan_and_infinity():
    history = [
        *TRAIN,
        {"loss": 0.0, "grad_norm": NAN, "step": 60},
        {"loss": NAN, "grad_norm": float("inf"), "step": 70},
    ]
    run = read({"log_history": history})
    assert run["grad_norm"].values[-2:].tolist() == pytest.approx([NAN, float("inf")], nan_ok=True)
    assert run["loss"].values[-2:].tolist() == pytest.approx([0.0, NAN], nan_ok=True)


def test_a_time_on_every_record_is_no_summary():
    run = read({"log_history": [{**r, "train_runtime": 1.0, "train_tokens_per_second": 9.0} for r in TRAIN]})
    assert len(run["loss"]) == 5


def test_every_evaluation_set_has_its_curve():
    sets = [
        {"step": 10, f"eval_{name}_loss": value, f"eval_{name}_runtime": 1.0}
        for name, value in (("g0", 2.0), ("g1", 3.0))
    ]
    run = read({"log_history": [*TRAIN, *sets]})
    assert {name: s.values.tolist() for name, s in run.evaluations.items()} == {"g0": [2.0], "g1": [3.0]}


def test_a_cut_file_gives_what_is_before_the_cut():
    text = json.dumps(STATE, indent=2)
    for cut in range(text.index('"loss"', text.index('"step": 10')), len(text), 97):
        run = read(text[:cut])
        assert run["loss"].values.tolist() == [r["loss"] for r in TRAIN][: len(run["loss"])]
        assert "cut off" in run.skipped[0].reason
    assert len(run["loss"]) == 5


def test_all_on_one_line():
    assert len(read(json.dumps(STATE))["loss"]) == 5


def test_a_state_without_records_is_refused():
    with pytest.raises(UnreadableLog, match="without any record"):
        read({"log_history": [], "global_step": 0})


def test_a_log_of_records_with_such_a_summary_is_not_one():
    assert not hf_trainer_state.can_read("logging.jsonl", b'{"loss": 1.0, "step": 1}\n{"log_history": []}\n')


ODD = {
    "nothing": {},
    "nan": {"loss": NAN},
    "null": {"loss": None, "grad_norm": None},
    "word": {"loss": "2.5", "phase": "warm"},
    "truth": {"skipped": True},
    "nested": {"rewards": {"format": 0.5}, "probes": [1.0, 2.0]},
    "huge": {"num_tokens": 10**301},
    "surrogate": {"text": "\ud800"},
}


@pytest.mark.parametrize("indent", [2, None])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_pieces_are_read_the_same_with_care_and_by_type(odd, indent, monkeypatch):
    history = []
    for step in range(1, 400):
        history.append({"epoch": step / 40, "grad_norm": 1.5, "loss": 3 - step / 1000, "step": step})
        if step % 50 == 0:
            history.append({"epoch": step / 40, "eval_loss": 2.75, "eval_runtime": 1.5, "step": step})
        if step % 70 == 0:
            history[-1] |= odd
    content = json.dumps({"global_step": 399, "log_history": [*history, LAST]}, indent=indent).encode()

    def logged():
        (log,) = hf_trainer_state.read(Source("trainer_state.json", content=content))
        columns = {name: (c.rows.tolist(), list(map(str, c.values.tolist()))) for name, c in log.columns.items()}
        texts = {name: (rows.tolist(), words) for name, (rows, words) in log.texts.items()}
        return (
            columns,
            [*columns],
            texts,
            log.lines.tolist(),
            log.config,
            log.events,
            log.skipped,
            log.unused,
            log.n_rows,
        )

    monkeypatch.setattr(hf_trainer_state, "PIECE", 1000)
    by_type = logged()
    monkeypatch.setattr(RecordType, "learn", lambda *_: False)
    assert by_type == logged()
    if indent and "rewards" not in odd:  # lines of nested records are not known
        lines = content.decode().split("\n")
        assert [lines[line - 1].strip() for line in by_type[3]] == ["{"] * by_type[-1]
