"""The real TRL: state, console, TensorBoard and W&B of one run say the same of it, whichever of them is asked."""

import contextlib
import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch = pytest.importorskip("torch")
pytest.importorskip("trl", reason="trl is not installed: pip install lmdiag-lm[trl]")
pytest.importorskip("tensorboard", reason="tensorboard is not installed")
wandb = pytest.importorskip("wandb", reason="wandb is not installed")

from docs.spellings import SPELLINGS, names_of  # noqa: E402
from lmdiag.config import Settings  # noqa: E402
from lmdiag.judging.logs import judge  # noqa: E402
from tests.record.trl_runs import TRAINERS  # noqa: E402

STEPS = 24
STORES = {
    "state": "out/trainer_state.json",
    "console": "console.log",
    "tensorboard": "tensorboard/events*",
    "wandb": "wandb/offline*/*.wandb",
}
KINDS = {"sft": "language-model", "grpo": "reinforcement", "rloo": "reinforcement"}
MEASURES = {
    "sft": {"easy/loss", "hard/loss", "easy/accuracy", "hard/accuracy", "accuracy", "entropy", "tokens"},
    "dpo": {"reward_margin", "reward_accuracy", "chosen_logp", "val/reward_margin", "val/reward_accuracy"},
    "kto": {"reward_margin", "kl", "chosen_logp", "val/loss"},
    "reward": {"reward_margin", "reward_min", "reward_max", "reward_accuracy", "val/reward_accuracy"},
    "grpo": {"reward", "reward_std", "zero_std_share", "response_length", "truncated_share", "entropy", "val/reward"},
    "rloo": {"reward", "reward_std", "kl", "response_length", "clip_ratio", "val/reward"},
}


@pytest.fixture(scope="module", params=TRAINERS)
def run(request, tmp_path_factory):
    """The name of a Trainer, and what is said of its run by each of its four stores."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch, (folder / "console.log").open("w") as console:
        patch.setenv("TENSORBOARD_LOGGING_DIR", str(folder / "tensorboard"))
        with contextlib.redirect_stdout(console), contextlib.redirect_stderr(console):
            wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True))  # the Trainer writes to it
            trainer = TRAINERS[request.param](
                folder / "out", [], max_steps=STEPS, report_to=["tensorboard", "wandb"], disable_tqdm=False
            )
            trainer.train()
            trainer.save_state()
            wandb.finish()
    found = {}
    for store, place in STORES.items():
        (path,) = folder.glob(place)
        (found[store],) = judge(path, Settings()).diagnoses
    return request.param, found, trainer


@pytest.mark.parametrize("store", STORES)
def test_every_store_is_read_whole(run, store):
    name, found, _ = run
    read = found[store].run
    lacks = (
        {"easy/accuracy", "hard/accuracy"} if store == "tensorboard" else set()
    )  # there both sets have one tag at one step
    assert MEASURES[name] - lacks <= set(read.series)
    assert read.kind == KINDS.get(name, "preference")
    assert read["loss"].steps.tolist() == list(range(1, STEPS + 1))
    assert read.last_step == STEPS


def test_the_page_of_the_metrics_has_every_name_of_the_trainer(run):
    _, _, state = run
    told = names_of(SPELLINGS[f"TRL 1.16.0, {type(state).__name__}"])
    written = {key for record in state.state.log_history if "train_loss" not in record for key in record} - {"step"}
    own = {key.replace("about_animals", "right") for key in written}
    training = {key for key in own if not key.startswith("eval_")}
    assert training <= set(told)
    assert set(told) - training <= {"kl"}  # GRPO has it with a coefficient only
    of_the_trainer = {"loss", "runtime", "samples_per_second", "steps_per_second"}
    of_sets = {f"{split}{key}" for split in ("easy_", "hard_", "") for key in of_the_trainer}
    assert {key.removeprefix("eval_") for key in own - training} <= {*told, *of_sets}


@pytest.mark.parametrize("store", [store for store in STORES if store != "state"])
def test_the_verdict_is_that_of_the_state(run, store):
    _, found, _ = run
    state, other = found["state"], found[store]
    assert (other.verdict, other.shown) == (state.verdict, state.shown)
    assert [f.rule for f in other.findings if f.alarms] == [f.rule for f in state.findings if f.alarms]
    assert other.best is not None
    assert (other.best.metric, other.best.step) == (state.best.metric, state.best.step)


def test_none_has_an_alarm_or_a_perplexity_that_is_none(run):
    name, found, _ = run
    for diagnosis in found.values():
        assert [finding.message for finding in diagnosis.findings if finding.alarms] == []
        assert (diagnosis.perplexity is not None) == (name == "sft")
