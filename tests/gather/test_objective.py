"""RawLog -> Run: what the loss is of, and the method that trains."""

import pytest

from lmdiag import gather
from lmdiag.readers.tables.rows import Rows
from tests.gather.made import columns, points, run_of


class TestObjective:
    @pytest.mark.parametrize(
        ("names", "kind"),
        [
            ({"loss": 0.01, "reward": 1.0, "kl": 0.1}, "reinforcement"),
            ({"proxy_loss": 0.3, "avg_reward": 0.9}, "reinforcement"),
            ({"loss": 0.6, "rewards/chosen": 0.1, "rewards/margins": 0.2}, "composite"),
            ({"d_loss": 0.6, "g_loss": 0.1}, "composite"),
            ({"loss": 9.0, "teacher_loss": 6.0}, "composite"),
            ({"loss": 0.0}, "causal-lm"),
            ({"loss": 2.0, "aux_loss": 1.9}, "causal-lm"),
            ({"mlm_loss": 2.0, "nsp_loss": 0.5}, "masked-lm"),
            ({"loss": 2.0, "masked_share": 0.15}, "causal-lm"),
            ({"loss": 2.0, "reward": None}, "causal-lm"),
        ],
    )
    def test_the_names_tell_what_the_loss_is_for(self, names, kind):
        assert run_of([{"step": i, **names} for i in range(3)]).objective == kind

    @pytest.mark.parametrize(("below", "kind"), [(2, "causal-lm"), (5, "signed")])
    def test_a_loss_that_is_often_negative_is_no_cross_entropy(self, below, kind):
        losses = [-0.3] * below + [0.4] * (30 - below)
        assert run_of([{"step": i, "loss": loss} for i, loss in enumerate(losses)]).objective == kind

    def test_the_header_knows_better(self):
        assert run_of([{"step": 1, "loss": 0.3}], config={"task": "classification"}).objective == "classification"

    def test_rewards_come_before_the_architecture_of_the_model(self):
        settings = {"architectures": ["Qwen2ForCausalLM"]}
        policy = run_of([{"step": 1, "loss": 0.3, "reward": 1.0}], settings=settings)
        pairs = run_of([{"step": 1, "loss": 0.3, "rewards/chosen": 1.0, "rewards/accuracies": 0.5}], settings=settings)
        divergent = run_of([{"step": 1, "loss": 0.3, "kl": 1.0}], settings=settings)
        assert [made.objective for made in (policy, pairs, divergent)] == ["reinforcement", "composite", "causal-lm"]

    @pytest.mark.parametrize(
        ("names", "settings", "method"),
        [
            ({"loss": 2.0}, {}, "pretraining"),
            ({"loss": 2.0, "mean_token_accuracy": 0.4}, {}, "sft"),
            ({"loss": 2.0}, {"stage": "sft"}, "sft"),
            ({"loss": 0.6, "rewards/chosen": 0.1, "rewards/accuracies": 0.5}, {}, "dpo"),
            ({"loss": 0.6, "rewards/chosen": 0.1, "rewards/accuracies": 0.5}, {"rlhf_type": "simpo"}, "simpo"),
            ({"loss": 0.6, "rewards/chosen": 0.1, "rewards/accuracies": 0.5, "nll_loss": 2.0}, {}, "cpo"),
            ({"loss": 0.6, "rewards/chosen": 0.1, "nll_loss": 2.0, "log_odds_ratio": -0.6}, {}, "orpo"),
            ({"loss": 0.5, "rewards/chosen": 0.1, "rewards/rejected": 0.1, "kl": 0.1}, {}, "kto"),
            ({"loss": 0.6, "margin": 0.1, "min_reward": -1.0, "accuracy": 0.6}, {}, "reward-model"),
            ({"loss": 0.0, "reward": 1.0, "reward_std": 0.1}, {}, "reinforcement"),
            ({"loss": 0.0, "reward": 1.0, "reward_std": 0.1, "completion_length": 9.0}, {}, "grpo"),
            ({"loss": 0.0, "reward": 1.0, "rewards/format/mean": 0.1}, {}, "grpo"),
            ({"grpo_loss": 0.0, "reward": 1.0}, {}, "grpo"),
            ({"loss": 0.69, "train reward margins": 0.1}, {}, "preference"),
            ({"reward": 1.0, "value_loss": 0.1}, {}, "ppo"),
            ({"reward": 1.0, "critic/score/mean": 0.1}, {"algorithm": {"adv_estimator": "rloo"}}, "rloo"),
            ({"loss": 0.0, "reward": 1.0, "reward_std": 0.1}, {"normalize_advantages": False}, "rloo"),
            ({"reward": 1.0}, {}, "reinforcement"),
            ({"loss": 0.2, "completions/mean_length": 12.0}, {}, "distillation"),
            ({"loss": 0.2, "embedding_loss": 0.2}, {}, "embedding"),
        ],
    )
    def test_names_and_settings_tell_the_method(self, names, settings, method):
        assert run_of([{"step": i, **names} for i in range(3)], settings=settings).method == method


def test_of_evaluations_alone_the_reward_is_judged():
    made = run_of(
        columns(step=[10, 20, 30], eval_reward=[0.1, 0.2, 0.3], **{"eval_completions/mean_length": [9.0, 8.0, 7.0]})
    )
    assert (made.kind, points(made, "reward")) == ("reinforcement", [(10, 0.1), (20, 0.2), (30, 0.3)])
    assert any("no reward of the training: val/reward is judged" in note for note in made.notes)
    trained = run_of(
        columns(step=[10, 20], loss=[0.1, 0.1], eval_reward=[0.1, 0.2], **{"completions/mean_length": [9.0, 9.0]})
    )
    assert "reward" not in trained
    of_policy = {"train/actor_loss": [0.1, 0.2, 0.3], "train/critic_loss": [2.0, 1.0, 0.5]}
    by_policy = run_of(columns(step=[10, 20, 30], **of_policy, **{"eval/mean_reward": [-3.0, 0.5, 1.0]}))
    assert points(by_policy, "reward") == [(10, -3.0), (20, 0.5), (30, 1.0)]


class TestPolicies:
    def test_the_share_that_is_clipped_is_that_of_the_ratios(self):
        told = {"reward_mean": [0.1, 0.2], "clip_frac": [0.02, 0.03]}
        policy = run_of(columns(step=[1, 2], loss=[0.0, 0.1], **told))
        assert points(policy, "clip_ratio") == [(1, 0.02), (2, 0.03)]
        assert "clip_frac" not in policy
        model = run_of(columns(step=[1, 2], loss=[3.0, 2.9], clip_frac=[1.0, 0.5]))
        assert points(model, "clip_frac") == [(1, 1.0), (2, 0.5)]


class TestPreferences:
    def test_a_margin_that_no_column_holds_is_the_difference_of_both_rewards(self):
        both = {"chosen_reward": [0.1, 0.3, 0.6], "reject_reward": [0.1, 0.1, 0.1]}
        made = run_of(columns(step=[1, 2, 3], loss=[0.7, 0.6, 0.5], **both))
        assert [value for _, value in points(made, "reward_margin")] == pytest.approx([0.0, 0.2, 0.5])
        given = {"rewards/chosen": [1.0, 2.0], "rewards/rejected": [0.0, 0.0], "rewards/margins": [5.0, 6.0]}
        assert points(run_of(columns(step=[1, 2], **given)), "reward_margin") == [(1, 5.0), (2, 6.0)]

    def test_an_accuracy_is_that_of_the_pairs_unless_it_is_one_of_tokens(self):
        found = {"margin": [0.1, 0.2], "min_reward": [-1.0, -1.0], "accuracy": [0.5, 0.6], "eval_accuracy": [0.4, 0.5]}
        ranked = run_of(columns(step=[1, 2], loss=[0.7, 0.6], **found))
        assert (ranked.method, "accuracy" in ranked) == ("reward-model", False)
        assert points(ranked, "reward_accuracy") == [(1, 0.5), (2, 0.6)]
        assert points(ranked, "val/reward_accuracy") == [(1, 0.4), (2, 0.5)]
        assert any("accuracy, val/accuracy: the share of pairs in the right order" in note for note in ranked.notes)
        tokens = {"rewards/chosen": [1.0, 2.0], "rewards/margins": [1.0, 1.0], "mean_token_accuracy": [0.6, 0.7]}
        assert points(run_of(columns(step=[1, 2], **tokens)), "accuracy") == [(1, 0.6), (2, 0.7)]


def test_a_loss_below_zero_is_said_for_it_takes_the_perplexity():
    losses = [4.0 - k / 50 if k != 20 else -3.5 for k in range(1, 61)]
    run = run_of([{"step": k, "loss": loss, "lr": 1e-3} for k, loss in enumerate(losses, 1)])
    told = "1 of 60 values of loss is below 0, first at step 20: no cross-entropy is, and no perplexity is computed from loss"
    assert told in run.notes
    assert not any("below 0" in note for note in run_of([{"step": k, "loss": 2.0} for k in range(60)]).notes)


@pytest.mark.parametrize(
    ("name", "first", "method"),
    [("logs/dpo_loss.csv", 0.69, "dpo"), ("dpo_loss.csv", 2.4, "pretraining"), ("loss.csv", 0.69, "pretraining")],
)
def test_a_name_says_dpo_where_the_loss_begins_at_the_toss_of_a_coin(name, first, method):
    rows = Rows()
    for step in range(1, 9):
        rows.add({"step": step, "loss": first - step / 1000}, step)
    assert gather.run_of(rows.log("csv", name)).method == method
