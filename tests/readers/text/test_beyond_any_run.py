"""Counters of printed lines that are beyond any run, and sections that name the epoch of an evaluation."""

import pytest

from tests.readers.text.test_named_numbers import points, run_of

HUGE = "9" * 5000


def test_a_record_at_an_endless_step_is_left_out_and_counted() -> None:
    losses = [f"step {k} loss {5 - k / 100:.2f}\n" for k in range(60)]
    run = run_of("".join([*losses[:40], f"step {HUGE} loss 77.0\n", *losses[40:]]))
    assert points(run, "loss") == [(k, pytest.approx(5 - k / 100)) for k in range(60)]
    assert [(s.line, s.reason) for s in run.skipped] == [(41, "step inf is no place in a run")]


def test_no_number_of_epochs_is_too_long() -> None:
    run = run_of("".join(f"Epoch {k}/{HUGE} loss {5 - k / 10:.1f}\n" for k in range(1, 9)))
    assert points(run, "loss") == [(k, pytest.approx(5 - k / 10)) for k in range(1, 9)]
    assert "epochs" not in run.config


@pytest.mark.parametrize("train", ["Train-Epoch-{0}\nacc: 0.5 loss: {1}\n", "Train-Epoch-{0} loss: {1}\n"])
def test_a_set_and_an_epoch_joined_by_hyphens_announce_the_losses_below(train: str) -> None:
    run = run_of(
        "".join(train.format(k, 3 - k / 10) + f"Test-Epoch-{k}\nacc: 0.4 loss: {4 - k / 10}\n" for k in range(9))
    )
    assert points(run, "loss") == [(k, pytest.approx(3 - k / 10)) for k in range(9)]
    assert points(run, "test/loss") == [(k, pytest.approx(4 - k / 10)) for k in range(9)]
