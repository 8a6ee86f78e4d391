"""What holds named numbers and is no record."""

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.readers.text.record_lines import is_after_training, is_code
from tests.readers.text.prints import run_of


@pytest.mark.parametrize(
    "text",
    ['print(f"loss {loss:.4f} at {step}")', "if step % 100 == 0:", "# loss 2.5 at step 3", "train(epochs=3, lr=1e-3)"],
)
def test_programs(text: str) -> None:
    assert is_code(text)


@pytest.mark.parametrize(
    "text", ["step 3 loss 2.5", "{'loss': 2.5, 'step': 3}", "iteration 3: loss 2.5 (best)", "forward 3 ms"]
)
def test_records_are_no_programs(text: str) -> None:
    assert not is_code(text)


@pytest.mark.parametrize(
    "text", ["Final test loss: 2.5", "== Summary: loss 2.5", "int8 ROUNDTRIP val_loss:2.5", "done, val_loss 2.5 TTT"]
)
def test_results_after_training(text: str) -> None:
    assert is_after_training(text)


@pytest.mark.parametrize("text", ["Epoch 3 final loss 2.5", "step 3 loss 2.5 at http://host:80"])
def test_records_are_no_results(text: str) -> None:
    assert not is_after_training(text)


def test_lists_of_counts_are_no_losses_of_vits() -> None:
    with pytest.raises(UnreadableLog):
        run_of("x = \\\n[1, 1, 1, 3, 3, 15, 15, 105]\n[105, 945, 945, 10395, 10395, 10395, 135135, 135135]\n")
