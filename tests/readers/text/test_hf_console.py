"""Dictionaries of the Hugging Face Trainer: how they are packed in lines, and which steps they stand at."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.judging.reading import runs_of
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text import FORMATS, read
from lmdiag.readers.text.reading import read_blocks
from lmdiag.sources.source import Source

LOSSES = [3.25, 2.5, math.nan, 2.25, -0.5, 2.0]


def log_of(text: str) -> RawLog:
    (log,) = read_blocks(FORMATS["huggingface-console"], "x.log", [text])
    return log


def curve(log: RawLog, name: str = "loss") -> list[tuple[float, float]]:
    """Return (step, value) of every record with a metric; NaN as None, so that it is equal to itself."""
    steps = dict(zip(log.columns["step"].rows.tolist(), log.columns["step"].values.tolist()))
    column = log.columns[name]
    return [(steps[row], None if math.isnan(v) else v) for row, v in zip(column.rows.tolist(), column.values.tolist())]


def bar(done: int, total: int = 60, title: str = "") -> str:
    return f"{title}{100 * done // total:3d}%|{'█' * (done * 10 // total):10s}| {done}/{total} [00:01<01:02,  1.55it/s]"


def record(k: int, loss: float) -> str:
    return f"{{'loss': {loss}, 'grad_norm': 1.5, 'learning_rate': {k}e-05, 'epoch': {k / 10}}}"


EXPECTED = [((k + 1) * 10, None if math.isnan(loss) else loss) for k, loss in enumerate(LOSSES)]
PACKINGS = {
    "redrawn behind": lambda s, d: f"{bar(s - 3)}\r{bar(s - 1)}   \r{d}\n{bar(s)}\r",
    "the same before and behind": lambda s, d: f"{bar(s)}\n{d}\n{bar(s)}\n",
    "glued behind its bar": lambda s, d: f"{bar(s)}{d}\n",
    "in front of its bar": lambda s, d: f"{d}{bar(s)}\n",
    "behind the bar of the record before": lambda s, d: (
        ("" if s == 10 else bar(s - 10)) + f"{d}\n" + (bar(s) if s == 60 else "")
    ),
    "carriage returns of SageMaker": lambda s, d: f"[1,mpirank:0,algo-1]<stdout>:#015{bar(s - 2)}#015{d}#015{bar(s)}\n",
    "with evaluations": lambda s, d: (
        f"{d}\n{bar(s)}\n{bar(1, 3)}\r{bar(3, 3)}{{'eval_loss': 2.5, 'epoch': {s / 100}}}\n{bar(s)}\r"
    ),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_steps_of_the_bar(packing: str) -> None:
    loading = (
        f"{bar(0, 12, 'Loading weights: ')}\r{bar(12, 12, 'Loading weights: ')}\n{bar(7, 200, 'Map (num_proc=4): ')}\n"
    )
    log = log_of(
        loading + "".join(PACKINGS[packing](10 * (k + 1), record(k + 1, loss)) for k, loss in enumerate(LOSSES))
    )
    assert curve(log) == EXPECTED
    assert log.config["max_steps"] == 60
    if "eval_loss" in log.columns:
        assert curve(log, "eval_loss") == [(step, 2.5) for step, _ in EXPECTED]


def test_what_a_logger_says_behind_a_bar_is_no_number_of_the_bar() -> None:
    said = "[2026-01-02 10:11:12,018] [INFO] [loss_scaler.py:181:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 64, reducing to 32"
    log = log_of("".join(f"{bar(s)}{said if s == 40 else ''}\n{record(s // 10, 2.5)}\n" for s in (10, 20, 30, 40, 50)))
    assert set(log.columns) == {"step", "loss", "grad_norm", "learning_rate", "epoch", "skipped", "loss_scale"}
    assert [event.kind for event in log.events] == ["skipped_step"]


def test_steps_where_fewer_epochs_are_run_than_announced() -> None:
    head = "  Num examples = 180\n  Num Epochs = 2\n  Total train batch size (w. parallel) = 4\n  Total optimization steps = 60\n"
    log = log_of(head + "".join(f"{{'loss': 2.{k}, 'epoch': {k * 5 / 45:.4f}}}\n" for k in range(1, 9)))
    assert [step for step, _ in curve(log)] == [5 * k for k in range(1, 9)]


@pytest.mark.parametrize(
    "spelled",
    [
        "{'loss': '2.5', 'grad_norm': 'nan', 'epoch': '0.1'}",
        "{'loss': np.float64(2.5), 'grad_norm': tensor(nan, device='cuda:0'), 'epoch': 0.1}",
        "{'loss': tensor([2.5]), 'grad_norm': np.float32(nan), 'epoch': 0.1}",
        "{‘loss’: 2.5, ‘grad_norm’: nan, ’epoch’: 0.1}",
        "{“loss”: 2.5, “grad_norm”: NaN, “epoch”: 0.1}",
        "{'loss': 2.5, 'grad_norm': {'0_default': nan}, 'epoch': 0.1}",
        "{'loss': 2.5, 'grad_norm': nan.0, 'epoch': 0.1}",
        "{'loss': 2.5, 'grad_norm': -1.#IND, 'epoch': 0.1}",
        "{'loss': 2.5, 'grad_norm': -nan(ind), 'epoch': 0.1}",
        "{'loss': 2.5,\n 'grad_norm': nan,\n 'epoch': 0.1}",
    ],
)
def test_spellings(spelled: str) -> None:
    log = log_of(spelled + "\n" + spelled.replace("2.5", "1.5").replace("0.1", "0.2") + "\n")
    assert [value for _, value in curve(log)] == [2.5, 1.5]
    assert [value for _, value in curve(log, "grad_norm")] == [None, None]
    assert not log.skipped


def test_names_with_digits_and_signs_are_kept_apart() -> None:
    log = log_of("".join(f"{{'loss': {k - 2}.5, 'top{k}': {k}, 'epoch': 0.{k}}}\n" for k in (1, 2, 3, 1)))
    assert [value for _, value in curve(log)] == [-1.5, 0.5, 1.5, -1.5]
    assert [log.columns[f"top{k}"].values.tolist() for k in (1, 2, 3)] == [[1, 1], [2], [3]]


def test_nested_numbers_and_sets() -> None:
    log = log_of(
        "{'loss': 2.5, 'grad_norm': {'a': 1.5, 'b': 2.5}, 'epoch': 0.1}\n"
        "{'eval_loss': {'easy': 1.0, 'hard': 3.0}, 'eval_math_loss': 2.0, 'epoch': 0.1}\n"
    )
    assert {name: column.values.tolist() for name, column in log.columns.items() if name not in ("step", "epoch")} == {
        "loss": [2.5],
        "grad_norm/a": [1.5],
        "grad_norm/b": [2.5],
        "eval_easy_loss": [1.0],
        "eval_hard_loss": [3.0],
        "eval_math_loss": [2.0],
    }


@pytest.mark.parametrize(
    "place",
    [
        "Step 200: {}",
        "Step:     200 {}",
        "global_step = 200, {}",
        "[rank0]: INFO - evaluated at step 200: {}",
        "{} at step 200",
    ],
)
def test_a_step_beside_an_evaluation(place: str) -> None:
    text = "".join(f"{{'loss': 2.{k}, 'step': {k}00}}\n" for k in (1, 2)) + place.format("{'eval_loss': 2.75}") + "\n"
    assert curve(log_of(text), "eval_loss") == [(200, 2.75)]


def test_more_evaluations_than_records_of_the_training_stand_at_their_epochs() -> None:
    lines = [f"{{'eval_loss': 2.{e}, 'eval_runtime': 0.5, 'epoch': {e}.0}}\n" for e in range(1, 9)]
    (run,) = runs_of(
        Source("a.log", content="".join([*lines[:5], "{'loss': 1.5, 'epoch': 5.71}\n", *lines[5:]]).encode())
    )
    assert run.step_kind == "epoch"
    assert run["val/loss"].steps.tolist() == list(range(1, 9))
    assert run["loss"].steps.tolist() == [6]


def test_evaluations_between_two_counted_records_are_all_read() -> None:
    evaluations = [f"{{'eval_loss': 2.{e}, 'epoch': {e}.0}}\n" for e in range(1, 9)]
    losses = [
        f"{{'loss': 1.{k}, 'epoch': {epoch}}}\n"
        for k, epoch in enumerate((2.2, 2.4, 2.6, 4.4, 6.6, 7.5, 7.7, 7.9, 7.95))
    ]
    order = [
        *evaluations[:2],
        *losses[:3],
        *evaluations[2:4],
        losses[3],
        *evaluations[4:6],
        *losses[4:],
        *evaluations[6:],
    ]
    (run,) = runs_of(Source("a.log", content="".join(order).encode()))
    assert (len(run["loss"]), len(run["val/loss"]), run.account.dropped) == (9, 8, ())


def test_a_printed_history_names_the_steps() -> None:
    console = "".join(f"{{'loss': {loss}, 'epoch': {k / 10}}}\n" for k, loss in enumerate(LOSSES))
    items = [f"{{'loss': {loss}, 'epoch': {k / 10}, 'step': {10 * k + 10}}}" for k, loss in enumerate(LOSSES)]
    log = log_of(f"{console}[{', '.join(items)}]\n{{'loss': 1.5, 'step': 70}}\n")
    assert curve(log) == [*EXPECTED, (70, 1.5)]


def test_a_long_history_is_read_to_its_end() -> None:
    items = [
        f"{{'loss': {5 - k / 1000}, 'learning_rate': 1e-05, 'epoch': {k / 100}, 'step': {k}}}" for k in range(1, 1001)
    ]
    assert len(curve(log_of(f"[{', '.join(items)}]\n"))) == 1000


@pytest.mark.parametrize(
    ("torn", "records"),
    [
        ("{'loss': 2.5, 'grad_no", 0),
        ("'learning_rate': 1e-05, 'epoch': 0.3}", 0),
        ("'learning_rate': 1e-05, 'epoch': 0.3}, {'loss': 2.5, 'epoch': 0.4}]", 1),
        ("{'loss': 2.5, 'epoch': 0.4}, {'loss': 2.25, 'ep", 1),
        ("{'loss': 2.5,\nINFO something else", 0),
    ],
)
def test_torn_dictionaries_are_counted(torn: str, records: int) -> None:
    log = log_of(f"{record(1, 3.0)}\n{torn}\n{record(9, 1.0)}\n")
    assert len(log.columns["loss"].rows) == 2 + records
    assert len(log.skipped) == 1


def test_lines_beside_records_are_text() -> None:
    log = log_of("".join(f"{bar(k)}\n{record(k, 2.5)}\n{bar(k)}\nSaving the tokenizer\n" for k in range(1, 9)))
    assert log.tally
    assert (log.tally.with_records, log.tally.text) == (24, 8)


@pytest.mark.parametrize("prefix", ["[rank{}]: ", "{}: ", "[rank{}]: " + bar(10)])
def test_records_of_other_ranks_are_left_out(prefix: str) -> None:
    log = log_of("".join(f"{prefix.format(rank)}{record(k, k + rank)}\n" for k in range(1, 9) for rank in (0, 1)))
    assert log.columns["loss"].values.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_further_training_begins_where_epochs_fall_behind_a_summary() -> None:
    summary = "{'train_runtime': 125.4, 'train_loss': 2.3, 'epoch': 0.6}\n"
    one = "".join(f"{bar(10 * k)}\n{record(k, 3.0 - k / 10)}\n" for k in range(1, 7))
    logs = read_blocks(FORMATS["huggingface-console"], "x.log", [one + summary + one])
    assert [log.columns["step"].values.tolist() for log in logs] == [[10, 20, 30, 40, 50, 60]] * 2


@pytest.mark.parametrize("ended", [True, False])
def test_what_fails_behind_the_summary_is_not_the_training(ended: bool) -> None:
    """A notebook or a script that trains several models: the next one died before its first record."""
    text = "\n".join(f"{record(k, 3 - k / 10)}\n{bar(10 * k)}" for k in range(1, 7))
    summary = "\n{'train_runtime': 61.2, 'train_loss': 2.65, 'epoch': 0.6}" if ended else ""
    failure = 'Traceback (most recent call last):\n  File "train.py", line 1\nRuntimeError: no space left'
    (run,) = runs_of(Source("x.log", content=f"{text}{summary}\n{bar(0, 80)}\n{failure}\n".encode()))
    assert run.status == ("completed" if ended else "crashed")


def test_settings_are_no_records() -> None:
    text = "{'learning_rate': 5e-05, 'num_train_epochs': 3, 'per_device_train_batch_size': 8}\n"
    assert log_of(text + record(1, 2.5)).n_rows == 1


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["loss", "grad_norm", "learning_rate", "rewards/margins", "top5", "epoch"]),
            st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]),
            min_size=1,
        ).map(lambda values: {"loss": 1.0, **values}),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["\n", ", ", "", " | "]),
)
def test_every_number_comes_back(records: list[dict[str, float]], between: str) -> None:
    """Whatever was remembered of lines before, and however the records are packed."""
    log = log_of("{'loss': 0.5}\n" + between.join(map(repr, records)) + "\n")
    for name in {name for values in records for name in values}:
        expected = [v[name] for v in records if name in v and (name != "epoch" or abs(v[name]) <= 1e5)]
        found = log.columns[name].values.tolist() if name in log.columns else []
        assert repr(found) == repr([0.5] * (name == "loss") + expected), name


@pytest.mark.parametrize(
    "text",
    [
        "{'loss': 2.5, 'grad_norm': 1.0,\n 'epoch': 0.5}\n",
        "{'loss': 2.5, 'grad_norm': 1.0,\n'epoch': 0.5}\n",
        "{'loss': 2.5,\n 'grad_norm': 1.0,\n 'epoch': 0.5}\n",
        "{'loss': 2.5, 'of': {'a': 1.0},\n 'epoch': 0.5}\n",
        '{"loss": 2.5, "grad_norm": 1.0,\n "epoch": 0.5}\n',
        f"{bar(1)}{{'loss': 2.5,\n 'epoch': 0.5}}\n",
    ],
)
def test_a_dictionary_that_goes_on_in_the_next_line(text: str) -> None:
    log = log_of(text)
    assert (log.columns["loss"].values.tolist(), log.columns["epoch"].values.tolist()) == ([2.5], [0.5])
    assert log.skipped == ()


def test_a_dictionary_that_does_not_go_on_is_torn() -> None:
    log = log_of("{'loss': 2.5, 'epoch': 0.25,\n{'loss': 2.25, 'epoch': 0.5}\n")
    assert log.columns["loss"].values.tolist() == [2.25]
    assert [skipped.line for skipped in log.skipped] == [1]


DICTIONARIES = [f"{{'loss': {5 - k / 100:.2f}, 'learning_rate': 1e-05, 'epoch': {k / 100}}}\n" for k in range(40)]
OTHERS = [f"step {k} loss nan\n" for k in range(40)]


def test_losses_in_another_form_among_the_dictionaries_are_named() -> None:
    text = "".join(map(str.__add__, DICTIONARIES, OTHERS))
    (log,) = read(Source("x.log", content=text.encode()))
    assert log.notes[-1] == (
        "40 lines with a loss that Hugging Face Trainer, printed dictionaries does not print were not used, the first is line 2"
    )
    (log,) = read(Source("x.log", content="".join(DICTIONARIES).encode()))
    assert not any("not used" in note for note in log.notes)


@pytest.mark.parametrize("parts", [(DICTIONARIES, OTHERS), (OTHERS[:30], DICTIONARIES, OTHERS[30:])])
def test_losses_in_another_form_before_or_behind_the_dictionaries_are_read(parts: tuple[list[str], ...]) -> None:
    logs = read(Source("x.log", content="".join(line for part in parts for line in part).encode()))
    assert sorted((log.format, log.n_rows) for log in logs) == [("huggingface-console", 40), ("key-value text", 40)]
    assert [log.name for log in logs] == ["x.log#1", "x.log#2"]
    assert all(log.tally is not None and log.tally.with_records == 80 for log in logs)


def test_two_trainings_in_one_paste() -> None:
    first = [f"{{'loss': {9 - k}.5, 'learning_rate': {5 - k}e-05, 'epoch': {k / 4}}}\n" for k in range(1, 5)]
    again = [f"{{'loss': {19 - k}.5, 'learning_rate': {5 - k}e-05, 'epoch': {k / 4}}}\n" for k in range(1, 5)]
    text = "".join(["accumulation 1\n", *first, "accumulation 2\n", *again])
    one, other = read(Source("a.log", content=text.encode()))
    assert one.columns["loss"].values.tolist() == [9.5 - k for k in range(1, 5)]
    assert other.columns["loss"].values.tolist() == [19.5 - k for k in range(1, 5)]
