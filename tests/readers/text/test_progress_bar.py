"""Bars: the same numbers, drawn by bars of many kinds and in every order of drawing and counting, give the same curve."""

import io
import math
from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source

tqdm = pytest.importorskip("tqdm").tqdm
Draw = Callable[[list[float], int, int, float], str]  # losses, epoch, done before, seconds a step -> what is drawn


def runs(text: str) -> list[Run]:
    return runs_of(Source("x.log", content=text.encode()))


def points(run: Run, metric: str = "loss") -> list[tuple[int, float]]:
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist()))


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    return [s for s, _ in found] == [s for s, _ in expected] and [v for _, v in found] == pytest.approx(
        [v for _, v in expected], nan_ok=True, abs=1e-4
    )


def show(bar: tqdm, how: str, loss: float) -> None:
    if how == "postfix":
        bar.set_postfix(loss=f"{loss:.4f}", lr="1e-03")
    else:
        bar.set_description(f"loss: {loss:.4f}")


def real(loop: str, how: str) -> Draw:
    """Return what draws with tqdm itself, in a loop over the bar, or counting before or after the loss is shown."""

    def draw(losses: list[float], epoch: int, done: int, seconds: float) -> str:
        file, now = io.StringIO(), [1000.0]
        with patch("tqdm.std.time", lambda: now[0]):
            options = {"total": done + len(losses), "initial": done, "file": file, "ncols": 120, "ascii": True}
            bar = tqdm(
                losses if loop == "over" else None, desc=f"Epoch {epoch}" if how == "postfix" else None, **options
            )
            for loss in bar if loop == "over" else losses:
                now[0] += seconds
                if loop == "count first":
                    bar.update(1)
                show(bar, how, loss)
                if loop == "show first":
                    bar.update(1)
            bar.close()
        return file.getvalue()

    return draw


def written(line: str) -> Draw:
    """Return what draws each count once."""

    def draw(losses: list[float], epoch: int, done: int, seconds: float) -> str:
        total = done + len(losses)
        return "".join(
            "\r" + line.format(e=epoch, n=n, N=total, p=100 * n // total, b="█" * (9 * n // total), loss=f"{loss:.4f}")
            for n, loss in enumerate(losses, done + 1)
        )

    return draw


DRAWN = {
    f"tqdm, {loop}, {how}": real(loop, how)
    for loop in ("over", "show first", "count first")
    for how in ("postfix", "description")
}
WRITTEN = {
    "ignite": written("Epoch [{e}/9]: [{n}/{N}]  {p}%|{b}   , loss={loss} [00:01<00:10]"),
    "fastprogress": written("Epoch {e}/9 : |{b}----| {p}.00% [{n}/{N} 00:01<00:01 loss {loss}]"),
    "rich": written("Epoch {e}/9  ━━━╸━━ {n}/{N} 0:00:01 • 0:00:07 4.97it/s v_num: 0.000 loss: {loss}"),
    "progressbar2": written("Epoch {e}:  {p}% ({n} of {N}) |{b} | Elapsed Time: 0:00:01 ETA:   0:00:03 loss: {loss}"),
    "alive-progress": written("Epoch {e} |{b}   | ▃▅▇ {n}/{N} [{p}%] in 1.5s (~0s, 5.0/s) loss={loss} "),
    "behind": written("Epoch {e}:  {p}%|{b} | {n}/{N} [00:01<00:03,  5.1it/s] loss {loss}"),
    "without a bar": written("Epoch {e}: {n}/{N} [00:01<00:03,  5.1it/s, loss={loss}]"),
    "tqdm-loggable": written(
        "Progress on:train {n}it/{N}it rate:10.5it/s remaining:14:00 elapsed:01:36 postfix:loss={loss}"
    ),
}
NAMES_EPOCHS = {
    **{k: v for k, v in DRAWN.items() if "postfix" in k},
    **{k: v for k, v in WRITTEN.items() if k != "tqdm-loggable"},
}
numbers = st.one_of(st.floats(0.5, 12).map(lambda x: round(x, 4)), st.just(math.nan))
losses = st.lists(numbers, min_size=4, max_size=40).filter(lambda values: sum(map(math.isfinite, values)) > 2)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*DRAWN]), losses, st.sampled_from([0.01, 0.06, 0.3]), st.sampled_from([0, 7]))
def test_every_value_of_a_bar_stands_at_its_step(kind: str, values: list[float], seconds: float, done: int) -> None:
    (run,) = runs(DRAWN[kind](values, 1, done, seconds) + "\n")
    expected = dict(enumerate(values, done + 1))
    found = dict(points(run))
    assert found.keys() <= expected.keys()
    assert all(found[s] == pytest.approx(expected[s], nan_ok=True, abs=1e-4) for s in found)
    different = all(str(a) != str(b) for a, b in zip(values, values[1:]))
    if different or seconds == 0.3:
        assert found.keys() == expected.keys()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*NAMES_EPOCHS]), st.lists(losses, min_size=2, max_size=3), st.booleans(), st.booleans())
def test_bars_of_epochs_make_one_curve_with_what_is_printed_between(
    kind: str, epochs: list[list[float]], printed: bool, first_is_0: bool
) -> None:
    size = min(map(len, epochs))
    text = ""
    for number, values in enumerate(epochs, not first_is_0):
        text += NAMES_EPOCHS[kind](values[:size], number, 0, 0.3) + "\n"
        text += f"Epoch {number}: train_loss 5.5 val_loss 3.{number}\n" if printed else ""
    (run,) = runs(text)
    flat = [value for values in epochs for value in values[:size]]
    assert same(points(run), list(enumerate(flat, 1)))
    if printed:
        ends = [(size * k, float(f"3.{number}")) for k, number in enumerate(range(not first_is_0, 9), 1)][: len(epochs)]
        assert same(points(run, "val/loss"), ends)
        assert same(points(run, "train/loss"), [(step, 5.5) for step, _ in ends])


@pytest.mark.parametrize("kind", [*DRAWN, *WRITTEN])
def test_a_bar_of_one_run(kind: str) -> None:
    values = [9 - k / 10 for k in range(40)]
    values[20] = math.nan
    (run,) = runs({**DRAWN, **WRITTEN}[kind](values, 1, 0, 0.3) + "\n")
    assert run.format == "progress-bar"
    assert run.config["max_steps"] == 40 * run.config.get("epochs", 1)
    assert same(points(run), list(enumerate(values, 1)))


def bars(line: str, count: int = 20) -> str:
    """Return a bar of 40 steps, drawn once at each of its first counts."""
    return "".join(
        f"{n * 5 // 2:3d}%|██   | {n}/40 [00:01<00:03, 5.1it/s{line.format(n=n)}\n" for n in range(1, count + 1)
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*DRAWN]), st.integers(5, 15), st.integers(5, 15))
def test_a_run_resumed_from_a_checkpoint_keeps_its_steps(kind: str, stopped: int, saved: int) -> None:
    saved = min(saved, stopped - 1)
    values = [9 - k / 10 for k in range(30)]
    first = DRAWN[kind](values, 1, 0, 0.3).split("\r")
    drawn = "\r".join(first[: next(k for k, state in enumerate(first) if f" {stopped}/30 " in state) + 1])
    text = f"{drawn}\nKilled\nresuming\n{DRAWN[kind](values[saved:], 1, saved, 0.3)}\n"
    (run,) = runs(text)
    assert same(points(run), list(enumerate(values, 1)))


def test_a_value_that_is_never_a_number_beside_the_loss_is_for_the_eye() -> None:
    (run,) = runs(bars(", loss=nan, v_num=3, val_loss=4.50, reduced_train_loss=2.{n}]"))
    assert same(points(run), [(n, float(f"2.{n}")) for n in range(1, 21)])
    assert points(run, "val/loss") == [(1, 4.5)]  # shown until it is measured again
    assert any('"loss" was never a number' in note for note in run.notes)


def test_a_loss_that_becomes_nan_beside_another_stays() -> None:
    text = bars(", loss=2.{n}, aux_loss=0.5]", 10) + bars(", loss=nan, aux_loss=0.5]").split("\n", 10)[10]
    (run,) = runs(text)
    assert [math.isnan(value) for _, value in points(run)] == [False] * 10 + [True] * 10


def test_a_loss_that_makes_the_others_nan_counts() -> None:
    states = bars(", loss=nan, ce_loss=2.31]", 1) + bars(", loss=nan, ce_loss=nan]").split("\n", 1)[1]
    (run,) = runs(states)
    assert [math.isnan(value) for _, value in points(run)] == [False] + [True] * 19
    assert [math.isnan(value) for _, value in points(run, "logged loss")] == [True] * 20


def test_evaluations_stand_where_the_bar_shows_a_new_one() -> None:
    text = "".join(bars(f", loss=2.{{n}}, val_loss=3.{k}]", 5 * k + 4).split("\n", 5 * k)[5 * k] for k in range(4))
    (run,) = runs(text)
    assert points(run, "val/loss") == [(1, 3.0), (6, 3.1), (11, 3.2), (16, 3.3)]


def test_records_printed_beside_a_bar_count_alone() -> None:
    lines = bars(", loss=nan]").splitlines()
    (run,) = runs("".join(f"{line}\nstep {n}/40 loss {9 - n / 10:.1f}\n" for n, line in enumerate(lines, 1)))
    assert same(points(run), [(n, 9 - n / 10) for n in range(1, 21)])


@pytest.mark.parametrize("breaks", ["", "\n"])
def test_what_is_printed_behind_a_bar_numbers_its_epoch(breaks: str) -> None:
    text = "".join(
        f"{bars(f', loss=4.{e}{{n:02d}}]', 40)[:-1]}{breaks}Epoch: {e}, train loss: 4.9, val loss: 3.{e}\n"
        for e in (1, 2, 3)
    )
    (run,) = runs(text)
    assert run["loss"].steps.tolist() == list(range(1, 121))
    assert points(run, "val/loss") == [(40, 3.1), (80, 3.2), (120, 3.3)]
    assert points(run, "train/loss") == [(40, 4.9), (80, 4.9), (120, 4.9)]


def test_an_evaluation_printed_without_any_place_stands_at_the_last_state() -> None:
    (run,) = runs(
        bars(", loss=2.{n:02d}]", 10)
        + "val loss: 3.1\n"
        + bars(", loss=2.{n:02d}]").split("\n", 10)[10]
        + "val loss: 3.0\n"
    )
    assert points(run, "val/loss") == [(10, 3.1), (20, 3.0)]


def epochs_with_evaluations(printed: range) -> str:
    """Return five epochs of which the bars show the loss of the last batch; some print their means behind them."""
    drawn = "[01:50<00:00, 1.20it/s, loss={}]"
    return "".join(
        f"Epoch {e}/5: 100%|██████████| 40/40 {drawn.format(f'0.7{e}')}\n"
        f"Validating: 100%|██████████| 10/10 {drawn.format(f'0.8{e}')}\n"
        + (f"Epoch {e}: Train Loss = 0.5{e}, Val Loss = 0.6{e}, Val Accuracy = 0.77\n" if e in printed else "")
        for e in range(1, 6)
    )


@pytest.mark.parametrize("last", [5, 4])  # 4: the run was stopped before it printed the last
def test_printed_means_count_where_bars_show_a_batch_of_each_epoch(last: int) -> None:
    (run,) = runs(epochs_with_evaluations(range(1, last + 1)))
    means = [(40 * e, e / 100) for e in range(1, last + 1)]
    assert same(points(run), [(step, 0.5 + more) for step, more in means])
    assert same(points(run, "val/loss"), [(step, 0.6 + more) for step, more in means])


def test_evaluations_that_bars_show_count_where_few_are_printed() -> None:
    (run,) = runs(epochs_with_evaluations(range(5, 6)))
    assert same(points(run, "val/loss"), [(40 * e, 0.8 + e / 100) for e in range(1, 6)])


def test_bars_of_other_work_are_no_records() -> None:
    other = "".join(f"Downloading loss.bin: {n}%|█ | {n}/100 [00:01<00:03, 5.1MB/s]\r" for n in range(100)) + "\n"
    evaluated = (
        "".join(f"Validation: {n * 10}%|█ | {n}/10 [00:01<00:03, 5.1it/s, loss=3.{n}]\r" for n in range(10)) + "\n"
    )
    (run,) = runs(other + bars(", loss=2.{n}]") + evaluated)
    assert run.config["max_steps"] == 40
    assert len(run["loss"]) == 20
    assert points(run, "val/loss") == [(20, 3.9)]


def test_the_bar_of_the_epochs_is_kept_apart_from_that_of_the_steps() -> None:
    text = "".join(
        f"Epoch {e}: " + bars(f", loss=2.{e}{{n}}]", 40).replace("\n", f"\nEpoch {e}: ", 39)
        + f"Training: {e * 30}%|███ | {e}/3 [00:01<00:03, 5.1s/it, loss=3.{e}]\n"
        for e in (1, 2, 3)
    )  # fmt: skip
    (run,) = runs(text)
    assert run["loss"].steps.tolist() == list(range(1, 121))
    assert points(run, "train/loss") == [(40, 3.1), (80, 3.2), (120, 3.3)]


def test_a_bar_that_counts_epochs() -> None:
    (run,) = runs("".join(f"Epoch: {n}%|█  | {n}/100 [00:01<00:03, 5.1s/it, loss=2.{n:02d}]\n" for n in range(1, 30)))
    assert (run.step_kind, run["loss"].steps.tolist()) == ("epoch", list(range(1, 30)))


def test_steps_that_the_program_names_itself() -> None:
    (run,) = runs("".join(f"\r2|{n + 25}|Loss: 2.{n}: {n}%|█  | {n}/100 [00:01<00:03, 5.1s/it]" for n in range(1, 30)))
    assert run["loss"].steps.tolist() == list(range(26, 55))


def test_losses_of_a_policy_are_of_reinforcement_learning() -> None:
    state = "[losses/total_loss: 2.{n} | losses/policy_loss: 0.40 | losses/value_loss: 9.61]: 16%|█ | {n}/6400 [1:16:04<1:13:02, 1.23it/s]\r"
    (run,) = runs("".join(state.format(n=n) for n in range(1, 50)))
    assert (run.objective, len(run["loss"]), len(run["value_loss"])) == ("reinforcement", 49, 49)


def test_a_bar_that_is_damaged_is_counted() -> None:
    (run,) = runs(bars(", loss=2.{n}]") + " 50%|██  | 2x/40 [00:01<00:03, 5.1it/s, loss=2.9]\n")
    assert (len(run["loss"]), sum(part.count for part in run.skipped)) == (20, 1)


@pytest.mark.parametrize("breaks", ["\r", "\b" * 90, "\r\n", "\n"])
def test_keras_draws_means_of_an_epoch(breaks: str) -> None:
    def epoch(number: int, last: int) -> str:
        drawn = (
            f"{n}/40 ━━━━━━━━━━━━━━━━━━━━ 0s 5ms/step - loss: {9 - number}.{n:02d}{breaks}" for n in range(1, last)
        )
        return f"Epoch {number}/3\n{''.join(drawn)}{last}/40 ━━━━━━━━ 1s 5ms/step - loss: {9 - number}.5 - val_loss: 3.{number}\n"

    (run,) = runs(epoch(1, 40) + epoch(2, 40) + epoch(3, 10))
    assert run.format == "keras-console"
    assert points(run) == [(40, 8.5), (80, 7.5)]
    assert points(run, "val/loss") == [(40, 3.1), (80, 3.2)]
    assert run["step_time_s"].values.tolist() == [0.005, 0.005]
    assert (run.config["max_steps"], sum(part.count for part in run.skipped)) == (120, 1)


@pytest.mark.parametrize("drawn", [(64, 128), ()])
def test_keras_counts_samples_or_does_not_say_what(drawn: tuple[int, ...]) -> None:
    text = ""
    for epoch in (7, 8, 9):
        bars = [f"{n:5}/8000 [>.......] - ETA: 9s - loss: 7.{n}" for n in drawn]
        bars.append(f"8000/8000 [=======] - 9s 1ms/step - loss: 4.{epoch} - acc: 0.5 - val_loss: 5.{epoch}")
        text += f"Epoch {epoch}/20\n" + "\r".join(bars) + "\n"
    (run,) = runs(text)
    assert (run.step_kind, run.config["epochs"]) == ("epoch", 20)
    assert points(run) == [(7, 4.7), (8, 4.8), (9, 4.9)]
    assert points(run, "val/loss") == [(7, 5.7), (8, 5.8), (9, 5.9)]


def test_keras_evaluates_anew_what_comes_out_the_same() -> None:
    text = "".join(
        f"Epoch {k}/9\n41/41 [====] - 1s 9ms/step - loss: 2.{k} - val_loss: 0.6931 - val_accuracy: 0.5300\n"
        for k in range(1, 9)
    )
    (run,) = runs(text)
    assert points(run, "val/loss") == [(k, 0.6931) for k in range(1, 9)]
    assert points(run, "val/accuracy") == [(k, 0.53) for k in range(1, 9)]


def test_a_bar_of_keras_whose_epoch_was_cut_off_is_the_one_before() -> None:
    bar = "40/40 [====] - 6s 159ms/step - loss: 2.{k} - val_loss: 3.{k}\n"
    text = bar.format(k=9) + "".join(f"Epoch {epoch}/50\n" + bar.format(k=9 - epoch) for epoch in range(5, 9))
    (run,) = runs(text)
    assert points(run) == [(4, 2.9), (5, 2.4), (6, 2.3), (7, 2.2), (8, 2.1)]
    assert points(run, "val/loss") == [(4, 3.9), (5, 3.4), (6, 3.3), (7, 3.2), (8, 3.1)]


def test_an_evaluation_shown_when_the_bar_is_full() -> None:
    text = ""
    for epoch in range(3):
        shown = ""
        for k in range(20):  # the loss of a step is shown while the bar stands at the count before
            shown = f", train loss={2 - epoch / 10 - k / 1000:.3f}, train acc=0.50"
            text += f"\rEpoch {epoch}: {5 * k:3}%|##  | {k}/20 [00:{k:02}<00:20, 1.0it/s{shown}]"
        ended = f"{shown}, val loss=3.{epoch}, val acc=0.50"
        text += f"\rEpoch {epoch}: 100%|####| 20/20 [00:20<00:00, 1.0it/s{ended}]" * 2 + "\n"
    (run,) = runs(text)
    assert points(run, "val/loss") == [(20, 3.0), (40, 3.1), (60, 3.2)]
    assert points(run, "val/accuracy") == [(20, 0.5), (40, 0.5), (60, 0.5)]
    assert points(run)[:2] == [(1, 2.0), (2, 1.999)]


@pytest.mark.parametrize("held", ["", ", val_loss=3.{e}"])
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("total", ["0it [{clock}, ?it/s", "  0%|          | 0/40 [{clock}<?, ?it/s"])
def test_what_a_bar_shows_at_the_beginning_of_an_epoch_is_of_the_one_before(
    held: str, restarted: bool, total: str
) -> None:
    def state(epoch: int, clock: str, of: int) -> str:
        return f"Epoch {epoch}: {total.format(clock=clock)}, loss=2.{9 - of}, v_num=3{held.format(e=of)}]\n"

    text = "Epoch 0: : 0it [00:00, ?it/s]\n"
    for epoch in range(5):
        text += state(epoch, f"03:1{epoch - 1}", epoch - 1) if epoch else ""
        text += state(epoch, "00:00", epoch - 1) if epoch and restarted else ""
        text += state(epoch, f"03:1{epoch}", epoch)
    (run,) = runs(text)
    assert (run.step_kind, points(run)) == ("epoch", [(0, 2.9), (1, 2.8), (2, 2.7), (3, 2.6), (4, 2.5)])
    if held:
        assert points(run, "val/loss") == [(0, 3.0), (1, 3.1), (2, 3.2), (3, 3.3), (4, 3.4)]


def test_a_message_before_the_last_state_of_an_epoch_does_not_end_it() -> None:
    bar = "127/127 [==============================] - {}s 361ms/step - loss: {:.1f}"
    epochs = [
        f"Epoch {k}/9\n{bar.format(0, 5.1 - k)}\nEpoch {k}: val_loss did not improve from 0.8\n"
        f"{bar.format(45678, 5 - k)} - val_loss: {6 - k}.0\n"
        for k in (1, 2, 3)
    ]
    (run,) = runs("".join(epochs))
    assert points(run) == [(1, 4.0), (2, 3.0), (3, 2.0)]
    assert points(run, "val/loss") == [(1, 5.0), (2, 4.0), (3, 3.0)]


def test_a_checkpoint_that_keras_saves_at_the_end_of_an_epoch_is_of_that_epoch() -> None:
    text = "".join(
        f"Epoch {e}/3\n3/4 ━━━━━━━━━━ 1s 1s/step - loss: {6 - e}.5\n"
        f"Epoch {e}: val_loss improved from {6.1 - e:.3f} to {5.1 - e:.3f}, saving model to m.keras\n"
        f"4/4 ━━━━━━━━━━ 3s 1s/step - loss: {6 - e}.25 - val_loss: {5.1 - e:.3f}\n"
        for e in (1, 2, 3)
    )
    (run,) = runs(text)
    assert [event.step for event in run.events if event.kind == "checkpoint_saved"] == run["val/loss"].steps.tolist()
    assert run["val/loss"].values.tolist() == [4.1, 3.1, 2.1]
