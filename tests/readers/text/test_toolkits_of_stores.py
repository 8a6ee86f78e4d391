"""What libraries print whose stores are read, too: flair, labml, Composer."""

import numpy as np
import pytest

from tests.readers.text.prints import run_of


def test_flair_evaluates_at_the_end_of_an_epoch() -> None:
    stamp = "2026-01-02 10:11:12,123 "
    lines = []
    for epoch in range(1, 5):
        lines += [
            f"{stamp}epoch {epoch} - iter {i}/20 - loss {3 - 0.1 * epoch - 0.01 * i:.8f} - time (sec): 0.10 - samples/second: 15.28 - lr: 0.100000"
            for i in (10, 20)
        ]
        lines += [
            f"{stamp}EPOCH {epoch} done: loss 2.5000 - lr: 0.100000",
            f"{stamp}DEV : loss {2.5 - 0.125 * epoch} - f1-score (micro avg)  {0.5 + epoch / 20:.4f}",
        ]
    run = run_of("\n".join((*lines, "")))
    assert run["loss"].steps.tolist() == [10, 20, 30, 40, 50, 60, 70, 80]
    assert run["val/loss"].steps.tolist() == run["val/f1"].steps.tolist() == [20, 40, 60, 80]
    assert run["val/f1"].values.tolist() == [0.55, 0.6, 0.65, 0.7]


@pytest.mark.parametrize(
    "bar", ["", "  \x1b[34m0ms\x1b[0m\x1b[35m  0:00m/  0:02m  \x1b[0m"], ids=["plain", "in a loop"]
)
def test_labml_redraws_a_line_with_its_step_in_front_and_its_last_evaluation_behind(bar: str) -> None:
    def drawn(step: int, evaluated: float) -> str:
        place, bold, end = f"\x1b[1m\x1b[33m{step:8}:  \x1b[0m", "\x1b[1m", "\x1b[0m"
        loss = "nan" if step == 7 else f"{9 - step / 10:.5f}"
        shown = f" loss.valid: \x1b[2m\x1b[37m {evaluated:.5f}{end}" if evaluated else ""
        return f"\r{' ' * 100}\r{place} loss.train: {bold} {loss}{end} lr: {bold}0.001000{end}{shown}{bar}"

    evaluated = {step: 9.5 - step / 20 for step in (5, 10)}
    text, last = "", 0.0
    for step in range(1, 13):
        text += drawn(step, last)
        if step in evaluated:
            last = evaluated[step]
            text += drawn(step, last) + "\n"
    run = run_of(text + "\n")
    assert run.step_kind == "step"
    assert run["loss"].steps.tolist() == list(range(1, 13))
    assert np.isnan(run["loss"].values[6])
    assert dict(zip(run["val/loss"].steps.tolist(), run["val/loss"].values.tolist())) == evaluated


def test_composer_counts_batches_within_epochs_and_those_of_the_run() -> None:
    def drawn(epoch: int, batch: int) -> str:
        done = (epoch - 1) * 4 + batch
        loss = "nan" if done == 7 else f"{9 - done / 10:.4f}"
        return (
            f"[epoch={epoch}][batch={batch}/4]:\n\t Train time/batch: {done - 1}\n\t Train loss/train/total: {loss}\n"
        )

    evaluated = "[Eval batch=2/2] Eval on eval data:\n\t Eval metrics/eval/loss: {:.4f}\n"
    text = "".join(
        drawn(epoch, batch) + (evaluated.format(9.5 - epoch / 2) if batch == 4 else "")
        for epoch in (1, 2, 3)
        for batch in (1, 2, 3, 4)
    )
    run = run_of(text)
    assert (run.step_kind, run["loss"].steps.tolist()) == ("step", list(range(1, 13)))
    assert np.isnan(run["loss"].values[6])
    assert dict(zip(run["val/loss"].steps.tolist(), run["val/loss"].values.tolist())) == {4: 9.0, 8: 8.5, 12: 8.0}
    assert run["epoch"].values.tolist()[:5] == [1, 1, 1, 1, 2]
