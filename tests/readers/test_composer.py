"""Composer's `FileLogger`: what is logged while a batch is under way, behind a bar, and around the metrics."""

from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source

BAR = "[stderr]: \rtrain          Epoch   0:   10%|██▌   | 1/10 [00:00<00:00, 38.70ba/s, loss/train/total=9.1]   \x1b[A"


def run_of(*lines: str) -> Run:
    (run,) = runs_of(Source("logs-rank0.txt", content="".join(f"{line}\n" for line in lines).encode()))
    return run


def losses(*values: str) -> list[str]:
    return [f"[metric][batch={batch}]: loss/train/total: {value} " for batch, value in enumerate(values)]


def test_a_loss_is_logged_before_its_batch_is_counted() -> None:
    first, second = losses("9.1", "8.2")
    run = run_of(
        first, "[metric][batch=1]: l2_norm/grad/global: 1.5 ", second, "[metric][batch=2]: metrics/eval/loss: 7.9 "
    )
    assert run["loss"].steps.tolist() == [1, 2]
    assert run["grad_norm"].steps.tolist() == [1]
    assert run["val/loss"].steps.tolist() == [2]


def test_the_metric_behind_a_bar_is_of_the_next_batch() -> None:
    run = run_of(*losses("9.1"), f"{BAR}l2_norm/grad/global: inf ", "[metric][batch=1]: lr-AdamW/group0: 0.0200 ")
    assert (run["grad_norm"].steps.tolist(), run["grad_norm"].values.tolist()) == ([1], [float("inf")])
    assert run["lr"].values.tolist() == [0.02]
    assert run.skipped == ()


def test_a_plan_in_batches_and_settings_of_all_kinds() -> None:
    hyperparameters = {
        "max_duration": '"4800ba"',
        "model": '{ "name": "mpt", "n_layers": 2, }',
        "seed": "None",
        "note": '"a "b""',
    }
    run = run_of(
        *(f"[hyperparameter]: {name}: {value} " for name, value in hyperparameters.items()), *losses("9.1", "9.0")
    )
    assert run.planned_steps == 4800
    assert run.config["config"] == {
        "max_duration": "4800ba",
        "model": {"name": "mpt", "n_layers": 2},
        "seed": None,
        "note": '"a "b""',
    }


def test_what_is_no_number_is_no_metric_and_what_is_torn_is_counted() -> None:
    run = run_of(
        *losses("9.1", "nan"),
        "[metric][batch=2]: histogram: Tensor of shape torch.Size([3]) ",
        "[metric][batch=2]: loss/tr",
    )
    assert [(s.line, s.reason) for s in run.skipped] == [
        (4, "not a metric and its value: '[metric][batch=2]: loss/tr'")
    ]


def test_what_the_console_says_is_heard() -> None:
    run = run_of(
        *losses("9.1", "9.0"),
        "[stderr]: Traceback (most recent call last):",
        "[stderr]: torch.OutOfMemoryError: CUDA out of memory.",
    )
    assert [(event.kind, event.step) for event in run.events if event.kind != "end"] == [("exception", 1), ("oom", 1)]


def test_line_ends_of_windows_and_a_plan_without_a_metric() -> None:
    (run,) = runs_of(Source("logs-rank0.txt", content="\r\n".join([*losses("9.1", "8.2"), ""]).encode()))
    assert run["loss"].values.tolist() == [9.1, 8.2]
    assert run.skipped == ()
