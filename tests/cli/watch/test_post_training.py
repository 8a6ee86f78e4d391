"""`lmdiag watch` on training by reward and by preferences: silent while a run learns, and told where its reward or its margin collapses."""

import json

import numpy as np
import pytest

from lmdiag.run import Run
from tests.cli.watch.conftest import END, HEADER
from tests.rules.curves import pairs, policy

NAMES = {
    "lr": "learning_rate", "kl": "kl", "response_length": "completions/mean_length", "truncated_share": "completions/clipped_ratio",
    "zero_std_share": "frac_reward_zero_std", "reward_margin": "rewards/margins", "reward_accuracy": "rewards/accuracies",
    "chosen_logp": "logps/chosen", "rejected_logp": "logps/rejected",
}  # fmt: skip
LOOKS = range(10, 401, 10)


def looked_at(growing, told, run: Run) -> list[list[dict]]:
    """Return what is told of a growing console of TRL at each look, ten records after the one before."""
    series = {NAMES.get(name, name): s.values for name, s in run.series.items() if len(s) == 400}
    lines = [json.dumps({name: float(values[row]) for name, values in series.items()}) for row in range(400)]
    growing.path.write_text("")
    growing.watch()
    news = []
    for until in LOOKS:
        with growing.path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines[until - 10 : until]))
        growing.later()
        news.append(told())
    return news


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("made", [policy, pairs])
def test_a_run_that_learns_late_is_told_of_when_it_begins_and_not_between(growing, told, made, seed):
    """Rewards and margins of healthy runs stand at first: a beginning that does not rise is no news."""
    late = np.clip(np.linspace(-0.12, 1, 400), 0, 1)
    noise = np.random.default_rng(seed).normal(0, 1, (3, 400))
    measures = (
        {"reward": 0.2 + 0.6 * late + 0.05 * noise[0]}
        if made is policy
        else {
            "reward_margin": 2 * late + 0.1 * noise[0],
            "reward_accuracy": np.clip(0.5 + 0.35 * late**0.5 + 0.05 * noise[1], 0, 1),
        }
    )
    if made is pairs:
        measures["loss"] = np.log1p(np.exp(-measures["reward_margin"])) + 0.02 * np.abs(noise[2])
    news = [one for look in looked_at(growing, told, made(400, seed, **measures)) for one in look]
    assert not [one for one in news if one["type"] == "new"]
    verdicts = [one["verdict"] for one in news if one["type"] == "verdict"]
    assert verdicts[-1] == "healthy", verdicts
    assert set(verdicts) <= {"healthy", "not-judged"}


def test_a_reward_that_collapses_is_told_within_a_fifth_of_the_run(growing, told):
    rewards = policy(400)["reward"].values.copy()
    rewards[240:] = 0.05 + 0.02 * np.random.default_rng(1).random(160)
    news = looked_at(growing, told, policy(400, reward=rewards))
    rules = {one.get("rule"): at for at, look in zip(LOOKS, news, strict=True) for one in look if one["type"] == "new"}
    assert 240 < rules["reward-collapse"] <= 320
    assert not [one for look in news[:24] for one in look if one["type"] == "new"]


def test_a_margin_that_collapses_is_told_within_a_fifth_of_the_run(growing, told):
    random = np.random.default_rng(1)
    healthy = pairs(400)
    made = {name: healthy[name].values.copy() for name in ("reward_margin", "reward_accuracy", "loss")}
    made["reward_margin"][240:] = random.normal(0, 0.1, 160)
    made["reward_accuracy"][240:] = 0.5 + random.normal(0, 0.04, 160)
    made["loss"][240:] = 0.72 + random.normal(0, 0.02, 160)
    news = looked_at(growing, told, pairs(400, **made))
    first = next(at for at, look in zip(LOOKS, news, strict=True) if any(one["type"] == "new" for one in look))
    assert 240 < first <= 320
    assert "error" in [one.get("severity") for look in news for one in look]


@pytest.mark.parametrize("with_loss", [True, False])
def test_a_policy_is_watched_by_its_reward(growing, told, with_loss):
    """It is followed as such, a falling reward is told once it has stood, and noise of the reward, or its loss, never."""
    growing.write(HEADER.replace("}", ',"method":"grpo","task":"reinforcement"}'))
    growing.watch()
    rng = np.random.default_rng(0)
    rewards = np.r_[np.linspace(0.2, 0.7, 120), np.full(80, 0.05)] + rng.normal(0, 0.03, 200)
    losses = np.r_[np.linspace(-0.1, 0.4, 100), rng.normal(0, 3, 100)]
    said = []
    for first in range(0, 200, 20):
        records = [
            {"type": "step", "step": step + 1, "reward": rewards[step], **({"loss": losses[step]} if with_loss else {})}
            for step in range(first, first + 20)
        ]
        growing.write("".join(json.dumps(record) + "\n" for record in records))
        assert growing.later() is None
        said += told()
    assert said[0]["message"].endswith("20 values of reward")
    news = [(record["rule"], record["severity"]) for record in said if record["type"] == "new"]
    assert news == [("reward-collapse", "error")]
    assert next(r["step"] for r in said if r["type"] == "new") > 120
    growing.write(END % "completed")
    growing.later()
    assert growing.later() == 1


@pytest.mark.parametrize("learns", [True, False])
def test_preferences_are_watched_by_their_margin(growing, told, learns):
    """A margin that grows within its noise is no news, and a likelihood that is lost is told."""
    growing.write(HEADER.replace("}", ',"method":"dpo","task":"preference"}'))
    growing.watch()
    rng = np.random.default_rng(0)
    margins = np.linspace(0, 1.5, 160) + rng.normal(0, 0.2, 160)
    chosen = -100 + rng.normal(0, 4, 160) - (0 if learns else np.maximum(np.arange(160) - 60, 0) * 3.0)
    said = []
    for first in range(0, 160, 20):
        records = [
            {
                "type": "step",
                "step": step + 1,
                "loss": float(np.log1p(np.exp(-margins[step]))),
                "rewards/margins": margins[step],
                "rewards/accuracies": 0.5 + 0.4 * step / 160,
                "logps/chosen": chosen[step],
            }
            for step in range(first, first + 20)
        ]
        growing.write("".join(json.dumps(record) + "\n" for record in records))
        growing.later()
        said += told()
    assert said[0]["message"].endswith("20 values of reward_margin")
    news = {record["rule"] for record in said if record["type"] == "new"}
    assert news == (set() if learns else {"falling-likelihood"})
