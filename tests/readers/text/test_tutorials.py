"""What courses and tutorials print, from which most people's first training loops are copied."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import pytest

from lmdiag.config import Settings
from lmdiag.judging.logs import judge
from tests.readers.text.prints import points, run_of

LOSSES = [7.8, 6.1, 5.4, 4.9, 4.7, 4.4, 4.3, 4.1, 4.0, 3.9, 3.8, 3.7]
FORMS = {  # a line of each record, and the step of the record with this number
    "a book on language models": ("Ep {epoch} (Step {step:06d}): Train loss {loss:.3f}, Val loss {val:.3f}", 5),
    "makemore": ("{step:7d}/ 200000: {loss:.4f}", 10_000),
    "makemore, without blanks": ("{step}/200000: {loss:.4f}", 10_000),
    "a translator that counts words": ("{k}m 3s (- 14m 7s) ({step} {k}%) {loss:.4f}", 5_000),
    "an annotated Transformer": (
        "Epoch Step: {step:6d} | Accumulation Step: {k:3d} | Loss: {loss:6.2f} | Tokens / Sec: 2000.1 | Learning Rate: {lr:6.1e}",
        40,
    ),
    "a loop that samples": ("iter {step}, loss: {loss:f}\n----\n the a whe \n----", 100),
    "a mean beside each loss": ("[{step} | {seconds:.2f}] loss={loss:.2f} avg={loss:.2f}", 1),
    "a network in Lua": (
        "{step}/21150 (epoch {share:.3f}), train_loss = {loss:.8f}, grad/param norm = 4.0e-01, time/batch = 0.12s",
        1,
    ),
    "losses of both sets": ("step {step}: train loss {loss:.4f}, val loss {val:.4f}", 500),
    "a step in brackets": ("Loss (step {step}): {loss:.4f}", 100),
    "evaluations apart": ("train loss (step {step}): {loss:.4f}\nval loss (step {step}): {val:.4f}", 100),
}


@pytest.mark.parametrize("form", FORMS)
def test_its_steps_and_losses_are_read(form: str) -> None:
    line, every = FORMS[form]
    steps = [every * (k + 1) for k in range(len(LOSSES))]
    facts = (
        {
            "k": k,
            "step": step,
            "loss": loss,
            "val": loss + 0.1,
            "epoch": 1 + k // 4,
            "share": k / 500,
            "lr": 1e-5 * (k + 1),
            "seconds": 3.2 * k,
        }
        for k, (step, loss) in enumerate(zip(steps, LOSSES, strict=True))
    )
    run = run_of("".join(line.format(**fact) + "\n" for fact in facts))
    assert points(run, "loss") == list(zip(steps, LOSSES, strict=True))
    if "{val" in line:
        assert points(run, "val/loss") == [(step, pytest.approx(loss + 0.1)) for step, loss in zip(steps, LOSSES)]


def test_shares_of_an_epoch_before_perplexities() -> None:
    """`0.004 perplexity: 2446.5` is no perplexity of 0.004."""
    lines = []
    for epoch in range(4):
        lines.append(f"Epoch: {epoch + 1} Learning rate: 1.000")
        lines += [f"{k / 3:.3f} perplexity: {exp(LOSSES[3 * epoch + k]):.3f} speed: 2100 wps" for k in range(3)]
        lines.append(f"Epoch: {epoch + 1} Valid Perplexity: {exp(LOSSES[3 * epoch] + 0.1):.3f}")
    run = run_of("\n".join(lines) + "\n")
    assert run["ppl"].values.min() > 1
    assert [value for _, value in points(run, "val/loss")] == pytest.approx(
        [log(round(exp(LOSSES[3 * epoch] + 0.1), 3)) for epoch in range(4)]
    )


def test_in_a_folder_two_numbers_a_line_are_a_log_where_they_count_to_a_total(tmp_path: Path) -> None:
    (tmp_path / "makemore.txt").write_text("".join(f"{10 * k:7d}/ 2000: {8 - k / 4:.4f}\n" for k in range(12)))
    (tmp_path / "pairs.txt").write_text("".join(f"{10 * k} {8 - k / 4:.4f}\n" for k in range(12)))
    (tmp_path / "shares.txt").write_text("".join(f"{k}/{k + 30}: {8 - k / 4:.4f}\n" for k in range(12)))
    report = judge([tmp_path], Settings())
    assert [diagnosis.run.name for diagnosis in report.diagnoses] == ["makemore.txt"]


def test_the_state_of_a_validation_is_printed_with_its_loss() -> None:
    step = (
        "Epoch Step: {:6d} | Accumulation Step: {:3d} | Loss: {:6.2f} | Tokens / Sec: 2000.1 | Learning Rate: 1.0e-04\n"
    )
    text = "".join(
        f"[GPU0] Epoch {epoch} Training ====\n"
        + "".join(step.format(40 * k + 1, k, 6 - epoch - k / 10) for k in range(6))
        + f"[GPU0] Epoch {epoch} Validation ====\n(tensor({6.5 - epoch}, device='cuda:0'), <__main__.TrainState object at 0x7f1c>)\n"
        for epoch in range(4)
    )
    assert run_of(text)["val/loss"].values.tolist() == [6.5, 5.5, 4.5, 3.5]
