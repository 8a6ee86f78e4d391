"""The real TRL, a few steps of each Trainer: log, state and callback agree, give no alarm, and stop nothing."""

import json
import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from lmdiag.config import Settings  # noqa: E402
from lmdiag.judging.logs import judge  # noqa: E402
from lmdiag.record.huggingface import LmdiagCallback  # noqa: E402
from tests.record.trl_runs import TRAINERS  # noqa: E402

STEPS = 24
METHODS = {"sft": "sft", "dpo": "dpo", "kto": "kto", "reward": "reward-model", "grpo": "grpo", "rloo": "rloo"}
TASKS = {"sft": "causal-lm", "grpo": "reinforcement", "rloo": "reinforcement"}
LOGGED = {
    "sft": {"entropy", "mean_token_accuracy"},
    "dpo": {"rewards/chosen", "rewards/margins", "rewards/accuracies", "logps/rejected", "entropy"},
    "kto": {"rewards/chosen", "logps/rejected", "kl"},
    "reward": {"accuracy", "margin", "min_reward"},
    "grpo": {"reward", "reward_std", "frac_reward_zero_std", "completions/clipped_ratio", "entropy"},
    "rloo": {"reward", "kl", "completions/mean_length"},
}


@pytest.fixture(scope="module", params=TRAINERS)
def run(request, tmp_path_factory):
    """The name of a Trainer, its folder, and the Trainer after its run, which the callback was to stop at an error."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    callback = LmdiagCallback(folder / "run.jsonl", stop_on="error", check_every_s=0.5)
    trainer = TRAINERS[request.param](folder / "out", [callback], max_steps=STEPS)
    trainer.train()
    trainer.save_state()
    return request.param, folder, trainer


def records(folder, kind):
    return [r for r in map(json.loads, (folder / "run.jsonl").read_text().splitlines()) if r["type"] == kind]


def test_the_loss_is_the_one_that_is_trained(run):
    _, folder, trainer = run
    theirs = {r["step"]: r["loss"] for r in trainer.state.log_history if "loss" in r}
    ours = {r["step"]: r["loss"] for r in records(folder, "step") if "loss" in r}
    assert list(ours) == list(range(1, STEPS + 1))
    assert ours == pytest.approx(theirs, abs=2e-6)


def test_the_header_says_how_it_is_trained(run):
    name, folder, _ = run
    (header,) = records(folder, "run")
    assert (header["method"], header["task"]) == (METHODS[name], TASKS.get(name, "preference"))
    assert header.get("loss_unit") == ("nats" if name == "sft" else None)


def test_what_the_trainer_logs_is_passed_on(run):
    name, folder, trainer = run
    last = [r for r in trainer.state.log_history if "loss" in r][-1]
    found = {k: v for r in records(folder, "step") if r["step"] == last["step"] for k, v in r.items()}
    assert LOGGED[name] <= set(found)
    assert {key: found[key] for key in LOGGED[name]} == {key: last[key] for key in LOGGED[name]}
    evaluations = [r for r in records(folder, "eval") if r["step"] == 20]
    assert [r["split"] for r in evaluations] == (["easy", "hard"] if name == "sft" else ["val"])
    assert all(LOGGED[name] <= set(r) for r in evaluations)
    assert not any("num_tokens" in r for r in evaluations)


def test_nothing_is_stopped(run):
    _, folder, trainer = run
    assert trainer.state.global_step == STEPS
    assert [r["status"] for r in records(folder, "end")] == ["completed"]
    assert [r for r in records(folder, "event") if r["kind"] == "stopped"] == []


@pytest.mark.parametrize("log", ["run.jsonl", "out/trainer_state.json"])
def test_no_alarm_is_given(run, log):
    _, folder, _ = run
    (diagnosis,) = judge(folder / log, Settings()).diagnoses
    assert [finding.message for finding in diagnosis.findings if finding.alarms] == []
    assert diagnosis.run.last_step == STEPS
