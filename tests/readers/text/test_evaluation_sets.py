"""Evaluation sets that a word beside `eval` names: each is a curve of its own, and none takes the place of another."""

import math

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.text.names import heading
from lmdiag.sources.source import Source

SETS = ("wikitext", "c4")
FORMS = """
eval [{set}] loss {loss:.3f}
eval [{set}] loss {loss:.3f} ppl {ppl:.2f}
[{set}] eval loss {loss:.3f}
[{set}] eval loss: {loss:.3f} | ppl: {ppl:.2f}
[eval/{set}] loss {loss:.3f}
[eval:{set}] loss={loss:.3f} ppl={ppl:.2f}
eval loss [{set}]: {loss:.3f}
eval loss ({set}): {loss:.3f}
eval_loss({set})={loss:.3f}
eval on {set}: loss {loss:.3f}
Evaluating on {set}: loss {loss:.3f}, ppl {ppl:.2f}
validation ({set}): loss {loss:.3f}, accuracy 0.4
val/{set} loss {loss:.3f}
val {set}: loss {loss:.3f}
eval<{set}> loss={loss:.3f}
Eval [{set}]: {loss:.3f}
val [{set}] {loss:.3f}
dev set {set}: loss = {loss:.3f}
test[{set}]: loss {loss:.3f}
validation loss on {set}: {loss:.3f}
eval set={set} loss={loss:.3f} ppl={ppl:.2f}
eval {set} | loss {loss:.3f} | ppl {ppl:.2f}
eval -> {set}: loss {loss:.3f}
eval({set}): loss {loss:.3f}
[eval][{set}] loss={loss:.3f} ppl={ppl:.2f}
[valid:{set}] loss {loss:.3f}
val_loss[{set}] {loss:.3f}
[{set}] eval loss {loss:.3f} ppl {ppl:.2f}
dataset={set} | eval_loss {loss:.3f} | eval_ppl {ppl:.2f}
""".strip().splitlines()
OTHER_SETS = ("wikitext-2", "wikitext-103"), ("c4-en", "github/python")


@pytest.mark.parametrize("place", ["step {step} ", ""])
@pytest.mark.parametrize("form", FORMS)
def test_each_set_is_a_curve(form: str, place: str) -> None:
    _is_a_curve_each(place + form, SETS)


@pytest.mark.parametrize("sets", OTHER_SETS)
@pytest.mark.parametrize("form", FORMS)
def test_names_of_sets_with_hyphens_digits_and_slashes(form: str, sets: tuple[str, str]) -> None:
    _is_a_curve_each(form, sets)


@pytest.mark.parametrize(
    "form",
    [
        "[eval][{set}] step={step} loss={loss:.3f} ppl={ppl:.2f}",
        "eval (step {step}) [{set}] loss {loss:.3f}",
        "2026-02-03 10:11:12 INFO eval (step {step}) [{set}] loss {loss:.3f} ppl {ppl:.2f}",
        "Validation [{set}] step {step} | loss {loss:.3f}",
        "[eval/{set}] step {step} loss {loss:.3f}",
    ],
)
@pytest.mark.parametrize("sets", [SETS, *OTHER_SETS])
def test_a_place_beside_the_name_of_the_set(form: str, sets: tuple[str, str]) -> None:
    _is_a_curve_each(form, sets)


def _is_a_curve_each(form: str, sets: tuple[str, str]) -> None:
    lines, wanted = [], {name: [] for name in sets}
    for step in range(10, 610, 10):
        lines.append(f"step {step} loss {5 - step / 200:.3f} lr 0.0003")
        for number, name in enumerate(sets if step % 50 == 0 else ()):
            loss = round(5.1 - step / 200 + number / 5, 3)
            wanted[name].append((step, loss))
            lines.append(form.format(step=step, set=name, loss=loss, ppl=math.exp(loss)))
    (run,) = runs_of(Source("a.log", content="\n".join(lines).encode()))
    found = [[*zip(s.steps.tolist(), s.values.tolist())] for name, s in run.series.items() if name.endswith("/loss")]
    assert sorted(found) == sorted(wanted.values())
    assert {f"{name}/loss" for name in sets} <= run.series.keys()
    assert (len(run["loss"]), run.account.dropped) == (60, ())


@pytest.mark.parametrize(
    "text",
    ["eval [mean] loss ", "Validation results: loss ", "val (step) loss ", "eval metrics | loss ", "test set: loss "],
)
def test_words_that_name_no_set(text: str) -> None:
    assert heading(text).section in ("val", "test")


def test_numbered_sets_of_a_log_of_epochs() -> None:
    blocks = [
        f"Epoch {e} | loss {4 - e / 10}\nTest set 1 | loss {4.5 - e / 10}\nTest set 2 | loss {5 - e / 10}\n"
        for e in range(1, 16)
    ]
    (run,) = runs_of(Source("a.log", content="".join(blocks).encode()))
    assert {name: (len(s), s.steps[-1], s.values[-1]) for name, s in run.series.items()} == {
        "loss": (15, 15, 2.5),
        "set_1/loss": (15, 15, 3.0),
        "set_2/loss": (15, 15, 3.5),
    }


def test_evaluations_of_averaged_weights_are_not_those_of_ranks() -> None:
    text = "".join(
        f"step {k} loss {5 - k / 20}\nval (ema) loss: {4 - k / 20}\nval loss: {4.5 - k / 20}\n" for k in range(1, 30)
    )
    (run,) = runs_of(Source("a.log", content=text.encode()))
    assert run["val/loss"].values[0] == pytest.approx(4.45)
    assert run["val ema loss"].values[0] == pytest.approx(3.95)
    assert not any("averaged" in note for note in run.notes)


@pytest.mark.parametrize("scores", ["Precision: 0.3 - Recall: 0.4 - F1: {f1}", "F1: {f1}", "WER: {f1}", "bleu = {f1}"])
def test_an_evaluation_without_a_loss_below_the_steps(scores: str) -> None:
    text = "".join(
        f"[TRAIN] Epoch:{k // 4} - Step:{k} - Loss: {9 - k}.5\n"
        + (f"[EVAL] {scores.format(f1=k / 10)}\n" if k % 4 == 3 else "")
        for k in range(8)
    )
    (run,) = runs_of(Source("x.log", content=text.encode()))
    name = next(name for name in run.series if name.lower() in ("val/f1", "val/wer", "val/bleu"))
    assert run[name].values.tolist() == [0.3, 0.7]
    assert run[name].steps.tolist() == [3, 7]
    assert len(run["loss"]) == 8


@pytest.mark.parametrize("word", ["eval", "evaluate", "val"])
def test_a_loss_behind_the_perplexity_of_an_evaluation_is_that_of_it_where_they_agree(word: str) -> None:
    def text(loss: str) -> str:
        return "".join(
            f"{step} train {3.4 - step / 100:.4f} kd 7.08\n{step} {word} ppl 24.5325 loss {loss}\n"
            for step in range(10, 60, 10)
        )

    (agrees,) = runs_of(Source("x.log", content=text("3.2000").encode()))
    assert agrees["val/loss"].values.tolist() == [3.2] * 5
    assert agrees["loss"].values.tolist() == pytest.approx([3.4 - step / 100 for step in range(10, 60, 10)])
