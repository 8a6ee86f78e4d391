"""The same numbers in every format, spelling, prefix and packing give the same curve and the same findings."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.diagnose import diagnose
from lmdiag.gather import runs_in
from lmdiag.readers.text import begin
from lmdiag.run import Run
from tests.readers.text.prints import run_of

PLAIN = "step {step} | loss {loss:.4f}"
LR, NORM = " | lr {lr:.3e}", " | grad_norm {norm:.3f}"
# spelling: (a line, how the plain one spells what it holds)
SPELLINGS = {
    "equals": ("step={step}, loss={loss:.4f}, lr={lr:.3e}, grad_norm={norm:.3f}", PLAIN + LR + NORM),
    "colons": ("Step: {step} Loss: {loss:.4f} LR: {lr:.3e} Grad Norm: {norm:.3f}", PLAIN + LR + NORM),
    "dictionary": ("{{'step': {step}, 'loss': {loss:.4f}, 'lr': {lr:.3e}, 'grad_norm': {norm:.3f}}}", PLAIN + LR + NORM),
    "tensors": ("step {step} loss tensor({loss:.4f}, device='cuda:0') lr {lr:.3e}", PLAIN + LR),
    "numbers first": ("step {step}: {loss:.4f} loss, {lr:.3e} LR", PLAIN + LR),
    "brackets": ("[step {step}] [loss {loss:.4f}] [lr {lr:.3e}]", PLAIN + LR),
    "columns": ("| step {step:>8} | loss {loss:>10.4f} | lr {lr:>12.3e} |", PLAIN + LR),
    "remark": ("Iter {step} - Training Loss (mean of 10): {loss:.4f}", PLAIN),
    "nanogpt": ("iter {step}: loss {loss:.4f}, time 260.10ms, mfu 20.00%", "iter {step} | loss {loss:.4f} | time 260.10ms"),
    "megatron": (
        " iteration {step:8d}/     800 | consumed samples: {step:12d} | learning rate: {lr:.6E} | lm loss: {loss:.6E} | grad norm: {norm:.3f} |",
        "step {step}/800 | loss {loss:.6E} | lr {lr:.6E} | grad_norm {norm:.3f}",
    ),
    "torchtitan": ("step: {step:2d}  loss: {loss:8.4f}  grad_norm:  {norm:.3f}  memory:  2.31GiB(2.90%)  tps: 5,123", PLAIN + NORM),
    "torchtune": ("Step {step} | loss:{loss:.4f} lr:{lr:.3e} tokens_per_second_per_gpu:512.5", PLAIN + LR),
    "maxtext": ("completed step: {step}, seconds: 0.512, TFLOP/s/device: 101.2, loss: {loss:.4f}", PLAIN),
    "llm.c": ("s:{step} trl:{loss:.4f} lr:{lr:.6f} norm:{norm:.3f}", "step {step} | loss {loss:.4f} | lr {lr:.6f} | grad_norm {norm:.3f}"),
    "metric logger": (
        "Epoch: [0]  [{step:6d}/800]  eta: 2:17:53  lr: {lr:.6f}  loss: {loss:.4f} ({loss:.4f})  time: 0.6125  data: 0.0001  max mem: 20618",
        "step {step} | loss {loss:.4f} | lr {lr:.6f}",  # 800 are the steps of the epoch
    ),
}  # fmt: skip
PREFIXES = {
    "none": "",
    "logging": "2026-01-02 10:11:12,131 - root - INFO - ",
    "brackets": "[2026-01-02 10:11:12] [INFO] [train.py:123] ",
    "rank": "[rank0]:",
    "torchrun": "[default0]:",
    "srun": "0: ",
    "loguru": "2026-01-02 10:11:12.131 | INFO     | __main__:train:42 - ",
    "absl": "I0102 10:11:12.131415 139 train.py:42] ",
}
PACKINGS = {
    "plain": lambda lines: "".join(f"{line}\n" for line in lines),
    "windows": lambda lines: "".join(f"{line}\r\n" for line in lines),
    "coloured": lambda lines: "".join(f"\x1b[32m{line}\x1b[0m\n" for line in lines),
    "blank lines": lambda lines: "".join(f"{line}\n\n" for line in lines),
    "chatter": lambda lines: "".join(f"{line}\nworker {k % 7} fetched shard {k}\n" for k, line in enumerate(lines)),
}


def records(seed: int, sick: bool) -> list[dict[str, float]]:
    """A curve of 80 records of which the second half of a sick one diverges."""
    draw = random.Random(seed)
    rows = []
    for step in range(10, 810, 10):
        loss = 2 + 8 * (1 + step / 40) ** -0.5 + draw.gauss(0, 0.02)
        away = max(0, step - 400) / 100 if sick else 0
        rows.append({"step": step, "loss": loss + away, "lr": 3e-4, "norm": (1 + draw.random()) * (1 + 9 * away)})
    return rows


def findings(run: Run) -> list[tuple[str, str, int | None]]:
    return [(found.rule, found.severity.name, found.first_step) for found in diagnose(run).findings]


def said(run: Run) -> dict[str, list[tuple[int, float]]]:
    named = (name for name in ("loss", "lr", "grad_norm") if name in run)
    return {name: list(zip(run[name].steps.tolist(), run[name].values.tolist())) for name in named}


@pytest.mark.parametrize("sick", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling(spelling: str, sick: bool) -> None:
    rows = records(0, sick)
    line, plain = SPELLINGS[spelling]
    run, like = (run_of(PACKINGS["plain"]([form.format(**row) for row in rows])) for form in (line, plain))
    assert said(run) == said(like)
    about_the_loss = [found for found in findings(run) if found[0] != "truncated-run"]
    assert [found[0] for found in about_the_loss] == [found[0] for found in findings(like)]
    assert ("divergence" in [rule for rule, _, _ in about_the_loss]) == sick


@given(
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from(sorted(SPELLINGS)),
    st.sampled_from(sorted(PREFIXES)),
    st.sampled_from(sorted(PACKINGS)),
)
def test_prefixes_and_packings(seed: int, sick: bool, spelling: str, prefix: str, packing: str) -> None:
    lines = [SPELLINGS[spelling][0].format(**row) for row in records(seed, sick)]
    plain = run_of(PACKINGS["plain"](lines))
    packed = run_of(PACKINGS[packing]([PREFIXES[prefix] + line for line in lines]))
    assert said(packed) == said(plain)
    assert findings(packed) == findings(plain)


@given(st.integers(0, 10**6), st.sampled_from(sorted(SPELLINGS)), st.lists(st.integers(1, 79), max_size=6))
def test_fed_in_parts(seed: int, spelling: str, cuts: list[int]) -> None:
    lines = [SPELLINGS[spelling][0].format(**row) + "\n" for row in records(seed, sick=True)]
    growing = begin("x.log", "".join(lines[:20]))
    ends = sorted({*cuts, len(lines)})
    for first, last in zip([0, *ends], ends):
        growing.feed("".join(lines[first:last]))
    (run,) = runs_in(growing.logs(), "x.log")
    assert said(run) == said(run_of("".join(lines)))


@given(st.integers(0, 10**6), st.sampled_from(["equals", "megatron", "torchtitan", "torchtune"]), st.integers(20, 70))
def test_resumed(seed: int, spelling: str, stop: int) -> None:
    """What was written again after a resume replaces what was there."""
    lines = [SPELLINGS[spelling][0].format(**row) for row in records(seed, sick=False)]
    resumed = [*lines[: stop + 5], "Resuming from checkpoint", *lines[stop:]]
    assert said(run_of(PACKINGS["plain"](resumed))) == said(run_of(PACKINGS["plain"](lines)))


@pytest.mark.parametrize("sick", [False, True])
@pytest.mark.parametrize(
    "form",
    [
        "Epoch [{epoch}/4], Step [{inner}/200], Loss: {loss:.4f}",
        "epoch {epoch} | {inner}/200 batches | loss {loss:.4f}",
        "Train Epoch: {epoch} [{inner}/200 (50%)]\tLoss: {loss:.4f}",
        "- mmengine - INFO - Epoch(train) [{epoch}][{inner}/200]  lr: 1e-4  loss: {loss:.4f}",
        "[{epoch}/4][{inner}/200] loss {loss:.4f}",
    ],
)
def test_steps_within_epochs(form: str, sick: bool) -> None:
    rows = records(1, sick)
    lines = [
        form.format(epoch=(row["step"] - 10) // 200 + 1, inner=(row["step"] - 10) % 200 + 10, **row) for row in rows
    ]
    run = run_of(PACKINGS["plain"](lines))
    assert said(run)["loss"] == said(run_of(PACKINGS["plain"]([PLAIN.format(**row) for row in rows])))["loss"]
    assert ("divergence" in [rule for rule, _, _ in findings(run)]) == sick
