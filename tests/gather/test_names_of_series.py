"""RawLog -> Run: which column is which metric, in which unit, of which set."""

import math

import numpy as np
import pytest

from tests.gather.made import columns, points, run_of

NAN = float("nan")


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

    def test_the_lm_loss_of_a_speech_model_is_no_part_of_the_total(self):
        others = {f"{name} Loss": [2.0, 1.5] for name in ("Disc", "Dur", "CE", "Norm", "F0")}
        speech = {"step": [1, 2], "Loss": [0.5, 0.25], "LM Loss": [1.5, 1.25]}
        assert points(run_of(columns(**speech, **others))) == [(1, 0.5), (2, 0.25)]
        assert points(run_of(columns(**speech))) == [(1, 1.5), (2, 1.25)]

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


@pytest.mark.parametrize("term", ["CE", "nll"])
def test_the_loss_of_the_trainer_is_the_loss_and_not_a_term_logged_more_often(term):
    records = [{"step": k, term: 0.5, **({"loss": 3.0 - k / 100} if k % 10 == 0 else {})} for k in range(1, 61)]
    run = run_of(records)
    assert points(run) == [(k, 3.0 - k / 100) for k in range(10, 61, 10)]
    assert len(run[term]) == 60


def test_a_few_values_of_a_loss_do_not_make_another_a_term():
    records = [{"step": k, "nll": 0.5, **({"loss": 3.0} if k % 30 == 0 else {})} for k in range(1, 61)]
    assert len(run_of(records)["loss"]) == 60


@pytest.mark.parametrize(("heads", "found"), [("Training Validation", "val/accuracy"), ("Train Valid", "accuracy")])
def test_bare_scores_of_the_table_of_the_trainer_are_those_of_its_evaluations(heads, found):
    training, validation = (f"{head} Loss" for head in heads.split())
    run = run_of(columns(Epoch=[1, 2], **{training: [2.0, 1.5], validation: [2.25, 2.0], "Accuracy": [0.5, 0.625]}))
    assert points(run, found) == [(1, 0.5), (2, 0.625)]
