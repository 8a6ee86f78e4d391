"""RawLog -> Run: names, units, steps, splits and restarts, whatever the format."""

import gc
import math
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag import gather
from lmdiag.readers.tables.rows import Rows
from lmdiag.run import Series

NAN = float("nan")


def run_of(records, **facts):
    rows = Rows()
    for line, record in enumerate(records, 1):
        rows.add(record, line)
    return gather.run_of(rows.log("made", "a", **facts))


def points(run, metric="loss"):
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist(), strict=True))


def columns(**values):
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


class TestNames:
    def test_names_and_units_are_translated_once(self):
        run = run_of([{"iter": 10, "train_loss": 3.0, "dt_ms": 250.0, "eval_loss": 3.5}])
        assert {name: points(run, name) for name in run} == {
            "loss": [(10, 3.0)],
            "step_time_s": [(10, 0.25)],
            "val/loss": [(10, 3.5)],
        }
        assert (run["step_time_s"].source_name, run["step_time_s"].source_unit) == ("dt_ms", "ms")

    def test_the_fuller_of_two_losses_is_the_loss_and_the_rarer_an_estimate(self):
        run = run_of(
            [{"iter": i, "train/step_loss": 4.0 - i} | ({"train/loss": 9.0} if i % 2 else {}) for i in range(4)]
        )
        assert points(run) == [(0, 4.0), (1, 3.0), (2, 2.0), (3, 1.0)]
        assert points(run, "train/loss") == [(1, 9.0), (3, 9.0)]

    def test_the_language_model_loss_comes_before_the_total(self):
        run = run_of(columns(step=[1, 2], loss=[9.0, 8.0], lm_loss=[3.0, 2.0]))
        assert points(run) == [(1, 3.0), (2, 2.0)]

    def test_the_evaluations_are_of_the_loss_that_is_judged(self):
        run = run_of(
            columns(step=[1, 2], loss=[9.0, 8.0], lm_loss=[3.0, 2.0], val_loss=[9.5, 8.5], val_lm_loss=[3.5, 2.5])
        )
        assert points(run, "val/loss") == [(1, 3.5), (2, 2.5)]
        run = run_of(columns(step=[1, 2], loss=[9.0, 8.0], val_loss=[9.5, 8.5], val_lm_loss=[3.5, 2.5]))
        assert points(run, "val/loss") == [(1, 9.5), (2, 8.5)]

    def test_a_reader_may_rename_scale_and_drop(self):
        run = run_of(
            [{"step": 1, "x": 2.0, "y": 3.0, "z": 1.0}],
            names={"x": "loss", "z": None},
            scales={"x": 0.5},
            units={"x": "bits"},
        )
        assert (points(run), run["loss"].source_unit, "z" in run) == ([(1, 1.0)], "bits", False)

    @pytest.mark.parametrize(
        ("name", "unit", "scale"),
        [("loss", "bits", math.log(2)), ("mfu", "%", 0.01), ("mem_bytes", "GiB", 2**30), ("step_time_s", "ms", 1e-3)],
    )
    def test_a_unit_implies_the_scale(self, name, unit, scale):
        run = run_of([{"step": 1, "x": 2.0, "loss": 1.0}], names={"x": f"val/{name}"}, units={"x": unit})
        assert points(run, f"val/{name}") == [(1, 2.0 * scale)]
        assert run[f"val/{name}"].source_unit == unit

    @pytest.mark.parametrize(
        ("column", "train", "valid"),
        [("split", "train", "valid"), ("event", "train_step", "eval_step"), ("phase", "warm-up", "Validation")],
    )
    def test_a_column_of_sets_tells_evaluations_from_training(self, column, train, valid):
        run = run_of([{"step": 1, "loss": 3.0, column: train}, {"step": 1, "loss": 3.5, column: valid}])
        assert (points(run), points(run, "val/loss")) == ([(1, 3.0)], [(1, 3.5)])

    @pytest.mark.parametrize(
        ("one", "other", "sets"),
        [
            ("val_in", "val_out", ("val_in", "val_out")),
            ("eval/c4", "eval/pile", ("eval_c4", "eval_pile")),
            ("val-de", "val", ("val_de", "val")),
        ],
    )
    def test_two_words_of_a_set_at_one_step_are_two_sets(self, one, other, sets):
        records = [
            {"step": step, "loss": step + more, "split": word}
            for step in (1, 2)
            for more, word in ((0.0, "train"), (0.25, one), (0.5, other))
        ]
        run = run_of(records)
        assert points(run) == [(1, 1.0), (2, 2.0)]
        assert points(run, f"{sets[0]}/loss") == [(1, 1.25), (2, 2.25)]
        assert points(run, f"{sets[1]}/loss") == [(1, 1.5), (2, 2.5)]

    @pytest.mark.parametrize("last", ["eval", "eval_end"])
    def test_batches_and_the_end_of_an_evaluation_are_of_one_set(self, last):
        run = run_of(
            [{"step": 1, "loss": v, "event": w} for v, w in ((3.0, "train"), (3.5, "eval_batch"), (4.0, last))]
        )
        assert (points(run, "val/loss"), len(run.series)) == ([(1, 4.0)], 2)

    @pytest.mark.parametrize(
        ("column", "word"),
        [
            ("name", "test"),
            ("kind", "dev machine"),
            ("type", "test run"),
            ("mode", "eval_off"),
            ("phase", "test bench"),
        ],
    )
    def test_a_word_in_all_rows_tells_no_evaluation(self, column, word):
        assert points(run_of([{"step": i, "loss": 3.0 - i, column: word} for i in (1, 2)])) == [(1, 2.0), (2, 1.0)]

    @pytest.mark.parametrize(
        ("column", "word"), [("split", "val"), ("mode", "test"), ("event", "eval_step"), ("set", "our test data")]
    )
    def test_a_word_in_all_rows_that_is_a_set_is_one(self, column, word):
        assert "loss" not in run_of([{"step": i, "loss": 3.0 - i, column: word} for i in (1, 2)])

    @pytest.mark.parametrize("word", ["after_eval", "test checkpoint saved"])
    def test_an_event_that_mentions_a_set_is_a_record_of_the_training(self, word):
        run = run_of([{"step": i, "loss": 9.0 - i, "event": word if i == 3 else "step"} for i in range(6)])
        assert (len(run["loss"]), list(run.series)) == (6, ["loss"])

    def test_events_that_name_sets_beside_the_training(self):
        words = ("step", "eval wikitext", "eval c4")
        run = run_of([{"step": i, "loss": 9.0 - i, "event": word} for i in range(3) for word in words])
        assert {"loss", "eval_wikitext/loss", "eval_c4/loss"} <= run.series.keys()

    def test_the_mean_over_the_run_in_the_last_record_is_no_point(self):
        records = [{"step": i, "loss": 3.0 - i / 10} for i in range(5)]
        run = run_of([*records, {"step": 4, "train_loss": 2.8, "train_runtime": 9.0}])
        assert len(run["loss"]) == 5
        assert "train/loss" not in run

    def test_a_runtime_in_every_record_makes_none_of_them_a_summary(self):
        records = [{"step": i, "train_loss": 3.0 - i / 10, "train_runtime": i / 2} for i in range(1, 6)]
        assert len(run_of(records)["loss"]) == 5

    def test_percent_become_fractions(self):
        assert points(run_of(columns(step=[1, 2], accuracy=[20.0, 55.0])), "accuracy") == [
            (1, 0.2),
            (2, pytest.approx(0.55)),
        ]

    def test_bits_become_nats(self):
        run = run_of([{"step": 1, "loss": 2.0}], config={"loss_unit": "bits"})
        assert run["loss"].values[0] == pytest.approx(1.386294, abs=1e-6)
        assert run.config["loss_unit"] == "nats"

    def test_a_perplexity_without_its_loss_gives_the_loss(self):
        run = run_of(
            [{"step": 1, "loss": 3.0, "val_ppl": float(np.exp(3.5))}, {"step": 2, "loss": 2.0, "val_ppl": 0.0}]
        )
        assert run["val/loss"].values.tolist() == pytest.approx([3.5, -np.inf])
        assert (run["val/loss"].source_name, run["val/loss"].source_unit) == ("val_ppl", "perplexity")
        assert points(run_of([{"step": 1, "val_loss": 3.25, "val_ppl": 25.0}]), "val/loss") == [(1, 3.25)]

    def test_an_estimate_is_the_loss_where_there_is_no_other(self):
        run = run_of(
            [{"step": 0, "train loss": 4.0, "val loss": 4.1}, {"step": 250, "train loss": 2.0, "val loss": 2.2}]
        )
        assert points(run) == [(0, 4.0), (250, 2.0)]

    def test_missing_is_not_nan(self):
        run = run_of(columns(step=[1, 2, 3], loss=[3.0, NAN, 2.0], val_loss=[None, 2.5, None]))
        assert (len(run["loss"]), len(run["loss"].finite), points(run, "val/loss")) == (3, 2, [(2, 2.5)])

    def test_rounding_is_noticed(self):
        run = run_of(columns(step=[1, 2], loss=[3.1234, 2.5], grad_norm=[1 / 3, 0.5]))
        assert (run["loss"].decimals, run["grad_norm"].decimals) == (4, None)

    def test_a_perplexity_is_of_the_set_whose_loss_it_is_the_exponential_of(self):
        losses, evaluated = [7.0, 6.2, 5.1, 4.9], [8.3, 7.7, 7.2, 7.3]
        of_evaluation = columns(
            step=[1, 2, 3, 4],
            train_loss=losses,
            valid_loss=evaluated,
            perplexity=[round(math.exp(v), 2) for v in evaluated],
        )
        assert set(run_of(of_evaluation)) == {"loss", "val/loss", "val/ppl"}
        of_training = columns(
            step=[1, 2, 3, 4],
            train_loss=losses,
            valid_loss=evaluated,
            perplexity=[round(math.exp(v), 2) for v in losses],
        )
        assert set(run_of(of_training)) == {"loss", "val/loss", "ppl"}


class TestSteps:
    def test_training_steps_come_before_log_calls(self):
        assert points(run_of(columns(_step=[0, 1], **{"train/global_step": [10, 20]}, loss=[3.0, 2.0]))) == [
            (10, 3.0),
            (20, 2.0),
        ]

    def test_a_counter_that_ascends_comes_before_one_that_starts_again(self):
        run = run_of(columns(batch_id=[0, 1, 0, 1], _step=[0, 1, 2, 3], loss=[4.0, 3, 2, 1]))
        assert run["loss"].steps.tolist() == [0, 1, 2, 3]

    def test_a_global_count_comes_before_one_of_each_epoch_however_long(self):
        epochs = [*range(1, 201), *range(1, 201)]
        run = run_of(columns(step=epochs, global_step=list(range(1, 401)), loss=np.linspace(5, 2, 400).tolist()))
        assert (run.step_kind, run.first_step, run.last_step, len(run.segments)) == ("step", 1, 400, 1)

    @pytest.mark.parametrize("other", ["global_step", "batch"])
    def test_a_count_that_goes_back_as_well_or_is_none_of_the_run_changes_nothing(self, other):
        steps = [*range(1, 201), *range(150, 350)]
        counts = steps if other == "global_step" else list(range(1, 401))
        losses = [5 - step / 100 for step in steps]
        run = run_of(columns(step=steps, **{other: counts}, loss=losses))
        assert (run.first_step, run.last_step, len(run.segments)) == (1, 349, 2)

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("throughput/total_tokens", "tokens"),
            ("num_input_tokens_seen", "tokens"),
            ("samples_count", "samples"),
            ("epoch", "epoch"),
        ],
    )
    def test_without_steps_other_counters_stand_in(self, name, kind):
        run = run_of(columns(**{name: [100, 200], "loss": [3.0, 2.0]}))
        assert (run.step_kind, run["loss"].steps.tolist()) == (kind, [100, 200])

    def test_without_any_counter_records_are_counted(self):
        run = run_of(columns(loss=[3.0, 2.0]))
        assert (run.step_kind, run["loss"].steps.tolist(), len(run.notes)) == ("record", [1, 2], 1)

    def test_a_row_without_a_step_has_that_of_the_row_before(self):
        run = run_of([{"step": 10, "loss": 3.0}, {"val_loss": 3.5}, {"step": 20, "loss": 2.0}])
        assert points(run, "val/loss") == [(10, 3.5)]

    def test_steps_counted_from_zero_are_moved(self):
        assert points(
            run_of([{"iter": 0, "loss": 3.0}, {"iter": 1, "loss": 2.0}], step_column="iter", step_offset=1)
        ) == [(1, 3.0), (2, 2.0)]

    def test_lines_follow_the_points(self):
        run = run_of([{"step": 20, "loss": 2.0}, {"step": 10, "loss": 3.0}, {"step": 30, "loss": 1.0}])
        assert (run["loss"].steps.tolist(), run["loss"].lines.tolist()) == ([10, 20, 30], [2, 1, 3])


class TestRestarts:
    def test_a_resumed_run_replaces_what_came_after_its_checkpoint(self):
        steps = [*range(10, 101, 10), *range(60, 161, 10)]
        values = [10.0 - s / 20 for s in steps[:10]] + [9.0 - s / 20 for s in steps[10:]]
        run = run_of(columns(step=steps, loss=values))
        assert [(s.first_step, s.last_step, s.first_row) for s in run.segments] == [(10, 100, 0), (60, 160, 10)]
        assert run["loss"].steps.tolist() == list(range(10, 161, 10))
        assert run["loss"].values[5:].tolist() == values[10:]
        assert dict(points_of(run.superseded["loss"])) == dict(zip(steps[5:10], values[5:10], strict=True))

    def test_a_resume_at_other_steps_leaves_no_mixture(self):
        run = run_of(
            columns(step=[10, 20, 30, 40, 50, 60, 70, 45, 55, 65], loss=[7.0, 6, 5, 4, 3, 2, 1, 3.5, 2.5, 1.5])
        )
        assert run["loss"].steps.tolist() == [10, 20, 30, 40, 45, 55, 65]

    def test_a_counter_that_starts_again_each_epoch_gives_way_to_records(self):
        run = run_of(columns(batch=[1, 2, 3] * 3, loss=[9.0, 8, 7, 6, 5, 4, 3, 2, 1]))
        assert (run.step_kind, len(run["loss"]), len(run.segments)) == ("record", 9, 1)

    def test_a_log_that_polls_another_is_collapsed(self):
        run = run_of(columns(step=[1, 1, 1, 2, 2, 2, 2, 3], loss=[3.0, 3, 3, 2, 2, 2, 2, 1]))
        assert (run.step_kind, points(run), run.superseded) == ("step", [(1, 3.0), (2, 2.0), (3, 1.0)], {})

    def test_a_stage_with_a_new_count_at_other_steps_goes_on(self):
        run = run_of(columns(step=[100, 200, 300, 400, 130, 260, 390], loss=[5.0, 4, 3, 2, 1.9, 1.8, 1.7]))
        assert (run.step_kind, len(run["loss"])) == ("record", 7)

    def test_a_last_summary_at_step_zero_replaces_nothing(self):
        run = run_of([*columns(step=[10, 20, 30, 40], loss=[4.0, 3, 2, 1]), {"step": 0, "loss": 2.5}])
        assert run["loss"].steps.tolist() == [0, 10, 20, 30, 40]

    def test_the_later_of_two_values_of_a_step_stands(self):
        run = run_of(columns(step=[1, 2, 2, 3], loss=[4.0, 3.0, 2.5, 2.0]))
        assert (points(run), points_of(run.superseded["loss"])) == ([(1, 4.0), (2, 2.5), (3, 2.0)], [(2, 3.0)])

    @given(st.lists(st.tuples(st.integers(0, 40), st.floats()), min_size=1, max_size=60))
    def test_steps_ascend_and_no_value_is_invented(self, written):
        run = run_of([{"step": s, "loss": v} for s, v in written])
        assert (np.diff(run["loss"].steps) > 0).all()
        assert set(map(repr, run["loss"].values.tolist())) <= {repr(float(v)) for _, v in written}
        kept = len(run["loss"]) + sum(map(len, run.superseded.values()))
        assert kept <= len(written)


def points_of(series):
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


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


def test_the_decimals_of_small_rates_are_known():
    made = run_of([{"step": i, "loss": 1.0, "lr": rate} for i, rate in enumerate((4e-8, 3e-8, 2e-8, 0.0))])
    assert made["lr"].decimals == 8
    assert run_of([{"step": i, "loss": 2 / 3} for i in range(3)])["loss"].decimals is None


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


class TestStarts:
    """What follows where a counter goes back: a resume, a new count of the same run, or another run."""

    def records(self, *parts):
        return [
            {"step": step, "loss": loss} for steps, losses in parts for step, loss in zip(steps, losses, strict=True)
        ]

    def runs(self, *parts):
        rows = Rows()
        for line, record in enumerate(self.records(*parts), 1):
            rows.add(record, line)
        return gather.runs_in([rows.log("made", "a")], "a")

    def test_a_resume_at_the_second_record_repeats_its_losses(self):
        first, again = [11.0, 7.5, 5.3, 3.9, 3.2], [7.52, 5.28, 3.95, 3.15, 2.7]
        (run,) = self.runs((range(0, 500, 100), first), (range(100, 600, 100), again))
        assert run.step_kind == "step"
        assert points(run) == [(0, 11.0), *zip(range(100, 600, 100), again, strict=True)]
        assert len(run.superseded["loss"]) == 4

    def test_a_stage_that_begins_clearly_higher_is_a_run_of_its_own(self):
        falling = [10.8 * 0.97**k for k in range(50)]
        stage = [4.6 * 0.99**k for k in range(50)]
        first, second = self.runs((range(10, 510, 10), falling), (range(10, 510, 10), stage))
        assert [len(run["loss"]) for run in (first, second)] == [50, 50]

    def test_a_count_of_each_epoch_goes_on(self):
        losses = [10.8 * 0.985**k for k in range(120)]
        (run,) = self.runs(*((range(1, 41), losses[40 * k : 40 * k + 40]) for k in range(3)))
        assert (run.step_kind, len(run["loss"])) == ("record", 120)

    def test_a_start_above_the_first_one_after_a_resume_is_another_run(self):
        losses = [10.8 - k * 0.02 for k in range(300)]
        parts = (
            (range(25, 7525, 25), losses),
            (range(7000, 7250, 25), losses[279:289]),
            (range(2, 22, 2), [40.0 - k for k in range(10)]),
        )
        first, second = self.runs(*parts)
        assert (len(first.segments), first.last_step, points(second)[0]) == (2, 7225, (2, 40.0))


def test_an_accuracy_belongs_to_the_evaluation_set_of_its_record():
    records = [{"step": step, "loss": 4 - step / 100} for step in range(1, 41)]
    for step in (10, 20, 30, 40):
        records.append({"step": step, "eval_easy_loss": 2.0, "eval_accuracy": (700 + step) / 1000})
        records.append({"step": step, "eval_hard_loss": 3.0, "eval_accuracy": (100 + step) / 1000})
    run = run_of(sorted(records, key=lambda record: record["step"]))
    assert points(run, "easy/accuracy") == [(10, 0.71), (20, 0.72), (30, 0.73), (40, 0.74)]
    assert points(run, "hard/accuracy") == [(10, 0.11), (20, 0.12), (30, 0.13), (40, 0.14)]
    assert "val/accuracy" not in run
    assert not run.superseded


def test_an_accuracy_of_a_record_with_two_losses_stays_that_of_the_evaluation():
    records = [{"step": s, "eval_a_loss": 2.0, "eval_b_loss": 3.0, "eval_accuracy": 0.5} for s in (1, 2, 3)]
    assert points(run_of(records), "val/accuracy") == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_a_gradient_norm_of_minus_one_is_not_finite():
    run = run_of([{"step": s, "loss": 2.0, "grad_norm": -1.0 if s == 2 else 1.5} for s in (1, 2, 3)])
    assert np.isnan(run["grad_norm"].values).tolist() == [False, True, False]
    assert any("gradient norm of -1 (1 times)" in note for note in run.notes)


def test_a_gradient_norm_of_minus_one_throughout_was_not_computed():
    run = run_of([{"step": s, "loss": 3.0 - 0.1 * s, "grad_norm": -1.0} for s in (1, 2, 3)])
    assert "grad_norm" not in run
    assert any("-1 in all 3 records was not computed" in note for note in run.notes)
    blind = run_of([{"step": s, "loss": float("nan"), "grad_norm": -1.0} for s in (1, 2, 3)])
    assert np.isnan(blind["grad_norm"].values).all()


def test_a_series_leaves_memory_with_its_last_user():
    """One that was finite throughout kept itself, and a followed log grew by a copy of its curves at every look."""
    whole = Series(np.arange(9), np.ones(9))
    parted = Series(np.arange(9), np.r_[np.nan, np.ones(8)])
    assert (whole.finite is whole, len(parted.finite.finite)) == (True, 8)
    gone = [weakref.ref(whole), weakref.ref(parted), weakref.ref(parted.finite)]
    gc.disable()
    try:
        del whole, parted
        assert [one() for one in gone] == [None, None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("named", ["effective_batch_number", "batch_in_run", "steps so far"])
def test_a_count_that_grows_by_as_many_with_every_record_goes_before_tokens(named):
    records = [{"tokens_processed": 4096.0 * k, named: 5 * k, "train_loss": 9.0 - k} for k in range(1, 6)]
    run = run_of(records)
    assert (run.step_kind, points(run)) == ("step", [(5 * k, 9.0 - k) for k in range(1, 6)])


def test_a_size_of_batches_that_changes_is_no_count_of_steps():
    records = [
        {"tokens_processed": 4096.0 * k, "batch size in use": size, "train_loss": 9.0 - k}
        for k, size in enumerate((8, 8, 16, 32), 1)
    ]
    assert run_of(records).step_kind == "tokens"


@pytest.mark.parametrize("term", ["CE", "nll"])
def test_the_loss_of_the_trainer_is_the_loss_and_not_a_term_logged_more_often(term):
    records = [{"step": k, term: 0.5, **({"loss": 3.0 - k / 100} if k % 10 == 0 else {})} for k in range(1, 61)]
    run = run_of(records)
    assert points(run) == [(k, 3.0 - k / 100) for k in range(10, 61, 10)]
    assert len(run[term]) == 60


def test_a_few_values_of_a_loss_do_not_make_another_a_term():
    records = [{"step": k, "nll": 0.5, **({"loss": 3.0} if k % 30 == 0 else {})} for k in range(1, 61)]
    assert len(run_of(records)["loss"]) == 60


class TestBits:
    def test_bits_per_byte_alone_are_judged_as_a_loss(self):
        run = run_of([{"step": k, "train_bpb": 3 - k / 20, "val_bpb": 3.5 - k / 20} for k in range(1, 31)])
        assert run["loss"].values[-1] == pytest.approx(1.5 * math.log(2))
        assert run["val/loss"].values[-1] == pytest.approx(2 * math.log(2))
        assert (run.curve[0], run.evaluation[0], run.per_token) == ("loss", "val/loss", False)
        assert "the log has no loss but bits per byte: the loss is that in nats" in run.notes

    def test_beside_a_loss_they_make_none(self):
        run = run_of([{"step": k, "loss": 3.0, "val_bpb": 2.0} for k in range(1, 4)])
        assert "val/loss" not in run


def test_a_loss_below_zero_is_said_for_it_takes_the_perplexity():
    losses = [4.0 - k / 50 if k != 20 else -3.5 for k in range(1, 61)]
    run = run_of([{"step": k, "loss": loss, "lr": 1e-3} for k, loss in enumerate(losses, 1)])
    told = "1 of 60 values of loss is below 0, first at step 20: no cross-entropy is, and no perplexity is computed from loss"
    assert told in run.notes
    assert not any("below 0" in note for note in run_of([{"step": k, "loss": 2.0} for k in range(60)]).notes)


class TestStepsOfEpochs:
    @pytest.mark.parametrize(("first", "kind"), [(25, "step"), (0, "record")])
    def test_the_steps_of_numbered_epochs_of_one_length_are_counted_on(self, first, kind):
        within = range(first, first + 100, 25)
        records = [{"epoch": e, "step": s, "loss": 4.0 - e - s / 1000} for e in (1, 2, 3) for s in within]
        run = run_of(records)
        assert run.step_kind == kind
        if kind == "step":
            assert run["loss"].steps.tolist() == list(range(25, 325, 25))


@pytest.mark.parametrize(
    ("name", "first", "method"),
    [("logs/dpo_loss.csv", 0.69, "dpo"), ("dpo_loss.csv", 2.4, "pretraining"), ("loss.csv", 0.69, "pretraining")],
)
def test_a_name_says_dpo_where_the_loss_begins_at_the_toss_of_a_coin(name, first, method):
    rows = Rows()
    for step in range(1, 9):
        rows.add({"step": step, "loss": first - step / 1000}, step)
    assert gather.run_of(rows.log("csv", name)).method == method
