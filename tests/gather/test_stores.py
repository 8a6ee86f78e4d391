"""Stores of one training are joined by their values; two trainings in one folder never are."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.gather.stores import joined
from lmdiag.run import Event, Run, Series, Skipped
from tests.rules.curves import falling


def made(source, fmt="jsonl", /, *, every=1, step_kind="step", **metrics):
    """A run whose metrics hold the given values at the steps `every`, 2 * `every`, …"""
    series = {}
    for name, values in metrics.items():
        values = (
            values
            if isinstance(values, Series)
            else Series((np.arange(len(values)) + 1) * every, np.asarray(values, float))
        )
        series[name.replace("__", "/")] = values
    return Run(source, series, source=source, format=fmt, step_kind=step_kind)


def at(steps, values, **facts):
    return Series(np.asarray(steps), np.asarray(values, float), **facts)


def join(*runs):
    return joined([(run.source, [run]) for run in runs])


def rounded(values, decimals=3):
    return at(np.arange(1, len(values) + 1), np.round(values, decimals), decimals=decimals)


LOSS = falling(200)


class TestTheConsoleOfATracker:
    """What W&B keeps of the console in the folder of a run is of that run, whatever it counts."""

    HISTORY = made("wandb/run-1-ab/run-ab.wandb", "wandb", loss=LOSS[::20], val__loss=LOSS[::20])

    def test_a_console_that_counts_otherwise_adds_no_second_run(self):
        console = made("wandb/run-1-ab/files/output.log", "text", every=235, loss=rounded(LOSS[::25]))
        console = replace(console, events=(Event("exception", 200, "boom"),))
        (run,) = join(console, self.HISTORY)
        assert run.source == self.HISTORY.source
        assert run["loss"].values.tolist() == LOSS[::20].tolist()
        assert [event.kind for event in run.events] == ["exception"]
        assert run.notes == (
            "The values of wandb/run-1-ab/files/output.log are not joined: it is of the same run and counts otherwise.",
        )

    @pytest.mark.parametrize(
        "lacking",
        [
            {"loss": rounded(LOSS[:150] + 1)},
            {"loss": rounded(LOSS[::25]), "acc__loss": rounded(LOSS[::25])},
            {"loss": np.append(LOSS[::25][:-1], np.nan)},
        ],
    )
    def test_a_console_stays_that_holds_what_the_history_lacks(self, lacking):
        console = made("wandb/run-1-ab/files/output.log", "text", every=235, **lacking)
        assert [run.source for run in join(console, self.HISTORY)] == [console.source, self.HISTORY.source]

    @pytest.mark.parametrize("source", ["wandb/run-2-cd/files/output.log", "wandb/run-1-ab/files/other.log"])
    def test_another_console_is_another_run(self, source):
        assert len(join(made(source, "text", every=235, loss=rounded(LOSS[::25])), self.HISTORY)) == 2


class TestTheSameLosses:
    def test_the_fullest_stands_and_the_other_adds_what_it_lacks(self):
        full = made("x/run.wandb", "wandb", loss=LOSS, lr=np.full(200, 1e-3))
        console = replace(
            made("x/files/output.log", "text", loss=rounded(LOSS), val__loss=at([100, 200], [3.0, 2.5])),
            config={"max_steps": 400, "config": {"layers": 2}},
            events=(Event("exception", 200, "boom"),),
            skipped=(Skipped(7, "no number"),),
        )
        (run,) = join(console, full)
        assert run.source == "x/run.wandb"
        assert np.array_equal(run["loss"].values, LOSS)
        assert run["val/loss"].values.tolist() == [3.0, 2.5]
        assert run.config["max_steps"] == 400
        assert [event.kind for event in run.events] == ["exception"]
        assert run.notes == ("x/files/output.log holds the same run; from it: val/loss, exception, settings.",)
        assert run.skipped == (Skipped(0, "x/files/output.log: no number", unit="record of a copy"),)

    def test_where_the_fullest_is_rounded_the_digits_are_those_of_the_other(self):
        printed = made("x/console.log", "text", loss=rounded(LOSS), lr=np.full(200, 1e-3), accuracy=np.full(200, 0.5))
        (run,) = join(printed, made("x/metrics.jsonl", loss=LOSS))
        assert run.source == "x/console.log"
        assert np.array_equal(run["loss"].values, LOSS)
        assert run["loss"].decimals is None
        assert run.notes == ("x/metrics.jsonl holds the same run; from it: more digits of loss.",)

    def test_single_precision_adds_no_digits(self):
        written = made("x/result.json", "json", loss=rounded(LOSS), lr=np.full(200, 1e-3), accuracy=np.full(200, 0.5))
        (run,) = join(written, made("x/events", "tensorboard", loss=np.round(LOSS, 3).astype(np.float32)))
        assert np.array_equal(run["loss"].values, np.round(LOSS, 3))

    def test_digits_of_some_values_are_not_mixed_with_rounded_ones(self):
        printed = made("x/console.log", "text", loss=rounded(LOSS), lr=np.full(200, 1e-3), accuracy=np.full(200, 0.5))
        (run,) = join(printed, made("x/metrics.jsonl", loss=LOSS[:190]))
        assert np.array_equal(run["loss"].values, np.round(LOSS, 3))
        assert run["loss"].decimals == 3

    def test_points_that_the_fullest_lacks_are_added_once(self):
        cut = made("x/metrics.csv", "csv", loss=LOSS[:150], lr=np.full(150, 1e-3), grad_norm=np.ones(150))
        console = made("x/console.log", "text", loss=rounded(LOSS))
        (run,) = join(cut, console)
        assert len(run["loss"]) == 200
        assert np.array_equal(run["loss"].values[:150], LOSS[:150])
        assert "50 more values of loss" in run.notes[0]

    def test_a_nan_that_one_store_dropped_is_kept(self):
        sick = LOSS.copy()
        sick[120:] = np.nan
        dropped = made("x/metrics.csv", "csv", loss=LOSS[:120], lr=np.full(200, 1e-3), grad_norm=np.ones(200))
        (run,) = join(dropped, made("x/metrics.jsonl", loss=sick))
        assert np.isnan(run["loss"].values).sum() == 80

    def test_steps_counted_from_0(self):
        (run,) = join(
            made("x/run.wandb", "wandb", loss=at(np.arange(200), LOSS), lr=at(np.arange(200), np.full(200, 1e-3))),
            made("x/files/output.log", "text", loss=rounded(LOSS), accuracy=np.full(200, 0.5)),
        )
        assert len(run["loss"]) == 200
        assert run["accuracy"].steps[0] == 0

    def test_a_console_without_steps(self):
        steps = np.arange(10, 2010, 10)
        (run,) = join(
            made("x/scalars.json", loss=at(steps, LOSS)),
            made("x/console.log", "text", step_kind="record", loss=rounded(LOSS), accuracy=np.full(200, 0.5)),
        )
        assert run["accuracy"].steps.tolist() == steps.tolist()

    def test_a_nan_in_one_where_the_other_holds_a_number_is_no_agreement(self):
        sick = LOSS.copy()
        sick[-1] = np.nan
        assert len(join(made("x/a.csv", "csv", loss=LOSS), made("x/a.jsonl", loss=sick))) == 2


class TestTwoTrainings:
    @pytest.mark.parametrize("decimals", [None, 2])
    def test_seeds(self, decimals):
        """Runs that differ by their noise alone, in stores whose names would allow one run."""
        for seed in range(30):
            noise = np.random.default_rng(seed).normal(0, 0.02, (2, 200))
            a, b = (4 + 6 * np.exp(-np.arange(200) / 40) + part for part in noise)
            if decimals:
                a, b = rounded(a, decimals), rounded(b, decimals)
            assert len(join(made("x/train.log", "text", loss=a), made("x/metrics.csv", "csv", loss=b))) == 2

    def test_seeds_that_are_both_stuck(self):
        rng = np.random.default_rng(0)
        a, b = (rounded(np.log(10) + rng.normal(0, 0.001, 200), 2) for _ in range(2))
        assert len(join(made("x/train.log", "text", loss=a), made("x/metrics.csv", "csv", loss=b))) == 2

    def test_evaluations_of_seeds_that_end_alike(self):
        a = 3.28 + 4 * np.exp(-np.arange(20) / 3)
        b = a + np.random.default_rng(0).normal(0, 0.01, 20)
        assert len(join(made("x/train.log", "text", val__loss=a), made("x/metrics.csv", "csv", val__loss=b))) == 2

    def test_a_rate_for_two_runs_joins_neither(self):
        runs = join(
            made("x/train.csv", "csv", loss=LOSS),
            made("x/history.csv", "csv", loss=LOSS + 0.1),
            made("x/lr.csv", "csv", lr=LOSS),
        )
        assert sorted(run.source for run in runs) == ["x/history.csv", "x/lr.csv", "x/train.csv"]

    def test_a_smoke_test_beside_a_training_is_no_evaluation(self):
        runs = join(
            made("x/train.jsonl", loss=LOSS, grad_norm=LOSS),
            made("x/test.jsonl", loss=LOSS[:20] + 0.2, grad_norm=LOSS[:20]),
        )
        assert len(runs) == 2

    def test_a_validation_run_with_a_rate_of_its_own_is_no_evaluation(self):
        train, other = made("x/train.jsonl", loss=LOSS), made("x/valid.jsonl", loss=LOSS[:20] + 0.2, lr=LOSS[:20])
        assert len(join(train, other)) == 2
        train = made("x/train.jsonl", loss=LOSS, lr=LOSS)
        assert len(join(train, other)) == 1
        assert len(join(train, made("x/valid.jsonl", loss=LOSS[:20] + 0.2, val__loss=LOSS[:20]))) == 2

    def test_parts_that_contradict_each_other(self):
        a = made("x/train.csv", "csv", loss=LOSS, accuracy=np.full(200, 0.5))
        b = made("x/valid.csv", "csv", val__loss=LOSS, accuracy=np.full(200, 0.6))
        b = replace(b, series={**b.series, "grad_norm": b.series["accuracy"]})
        assert len(join(a, b)) == 2

    def test_parts_of_other_steps(self):
        early = made("x/train.csv", "csv", loss=LOSS)
        late = made("x/lr.csv", "csv", lr=at(np.arange(1000, 1200), LOSS))
        assert len(join(early, late)) == 2

    def test_parts_of_another_day(self):
        clock = at(np.arange(1, 201), 1e9 + np.arange(200))
        other = at(np.arange(1, 201), 1e9 + 86400 + np.arange(200))
        a = made("x/train.csv", "csv", loss=LOSS, time=clock)
        assert len(join(a, made("x/lr.csv", "csv", lr=LOSS, time=other))) == 2
        assert len(join(a, made("x/lr.csv", "csv", lr=LOSS, time=clock))) == 1

    def test_a_log_of_several_runs_gets_no_parts(self):
        first, second = made("x/train.log", "text", loss=LOSS), made("x/train.log#2", "text", loss=LOSS + 1)
        part = made("x/lr.csv", "csv", lr=LOSS)
        assert len(joined([("x/train.log", [first, second]), ("x/lr.csv", [part])])) == 3


class TestParts:
    def test_training_and_evaluations(self):
        train = made("x/train.jsonl", loss=LOSS, grad_norm=LOSS)
        valid = made(
            "x/valid.jsonl", loss=at([50, 100, 150], [5.0, 4.0, 3.0]), accuracy=at([50, 100, 150], [0.1, 0.2, 0.3])
        )
        (run,) = join(valid, train)
        assert run.source == "x/train.jsonl"
        assert run["val/loss"].values.tolist() == [5.0, 4.0, 3.0]
        assert run["val/accuracy"].values.tolist() == [0.1, 0.2, 0.3]
        assert len(run["loss"]) == 200
        assert run.notes == ("x/valid.jsonl belongs to the same run; from it: val/loss, val/accuracy.",)

    def test_two_evaluation_sets_stay_two(self):
        train = made("x/train.jsonl", loss=LOSS)
        valid = made("x/valid.jsonl", loss=at([50, 100], [5.0, 4.0]))
        hard = made("x/valid_hard.jsonl", loss=at([50, 100], [7.0, 6.0]))
        (run,) = join(train, valid, hard)
        assert run["val/loss"].values.tolist() == [5.0, 4.0]
        assert run["hard/loss"].values.tolist() == [7.0, 6.0]

    def test_single_metrics(self):
        names = ("loss", "lr", "grad_norm", "accuracy")
        files = [made(f"x/metrics/{name}.tsv", "csv", **{name: LOSS}) for name in names]
        (run,) = join(*files, made("x/metrics/eval/loss.tsv", "csv", every=50, loss=[5.0, 4.0, 3.5, 3.0]))
        assert set(run.series) == {*names, "val/loss"}
        assert run["lr"].lines is None

    def test_a_part_names_the_objective(self):
        (run,) = join(
            made("x/loss.csv", "csv", loss=LOSS),
            replace(made("x/reward.csv", "csv", reward=LOSS), objective="reinforcement"),
        )
        assert run.objective == "reinforcement"


class TestATableOfEpochs:
    EVALUATED = [3.5, 2.75, 2.25, 2.125]

    def steps(self):
        return made("x/training.log", "text", loss=LOSS, val__loss=at([50, 100, 150, 200], self.EVALUATED))

    def epochs(self, evaluated):
        means = LOSS.reshape(4, 50).mean(1)
        return made(
            "x/loss.tsv", "csv", loss=means, val__loss=evaluated, val__accuracy=[0.5, 0.6, 0.7, 0.75], step_kind="epoch"
        )

    def test_is_of_the_run_whose_evaluations_it_has(self):
        (run,) = join(self.epochs(self.EVALUATED), self.steps())
        assert np.array_equal(run["loss"].values, LOSS)
        assert dict(zip(run["val/accuracy"].steps.tolist(), run["val/accuracy"].values.tolist())) == {
            50: 0.5, 100: 0.6, 150: 0.7, 200: 0.75,
        }  # fmt: skip
        assert np.allclose(run["epoch loss"].values, LOSS.reshape(4, 50).mean(1))
        assert run.notes == ("x/loss.tsv holds the same run; from it: epoch loss, val/accuracy.",)

    @pytest.mark.parametrize("evaluated", [[3.5, 2.75, 2.25, 2.5], [3.5, 2.75, 2.25], [3.5] * 4])
    def test_is_of_another_run_where_evaluations_differ(self, evaluated):
        assert len(join(self.epochs(evaluated), self.steps())) == 2


class TestRanks:
    def test_the_same_losses(self):
        runs = [made(f"x/rank_{k}.log", "text", loss=LOSS, lr=LOSS) for k in range(3)]
        (run,) = join(*runs)
        assert np.array_equal(run["loss"].values, LOSS)
        assert run.notes == tuple(f"x/rank_{k}.log is rank {k} of the same run, with the same losses." for k in (1, 2))

    def test_a_value_that_is_not_finite_on_one_rank_is_not_lost(self):
        norms = np.linspace(2, 1, len(LOSS))
        broken = norms.copy()
        broken[150:] = np.nan
        runs = [made(f"x/rank_{k}.log", "text", loss=LOSS, grad_norm=n) for k, n in enumerate((norms, broken))]
        (run,) = join(*runs)
        assert np.isnan(run["grad_norm"].values[150:]).all()
        assert np.array_equal(run["grad_norm"].values[:150], norms[:150])
        (run,) = join(*(made(f"x/rank_{k}.log", "text", loss=LOSS, grad_norm=norms + k) for k in range(2)))
        assert "The ranks differ in grad_norm: the values are those of the first." in run.notes

    def test_losses_of_their_own_are_averaged(self):
        noise = np.random.default_rng(0).normal(0, 0.05, (2, 200))
        a, b = (made(f"x/rank_{k}.log", "text", loss=LOSS + part, lr=LOSS) for k, part in enumerate(noise))
        (run,) = join(b, a)
        assert run.source == "x/rank_0.log"
        assert np.allclose(run["loss"].values, LOSS + noise.mean(0))
        assert "The loss is the mean of 2 ranks." in run.notes

    def test_ranks_that_were_killed_have_not_all_come_to_the_same_step(self):
        noise = np.random.default_rng(0).normal(0, 0.05, (2, 200))
        for first, second in ((200, 197), (197, 200)):
            a, b = (LOSS[:first] + noise[0, :first], LOSS[:second] + noise[1, :second])
            (run,) = join(made("x/rank_0.log", "text", loss=a), made("x/rank_1.log", "text", loss=b))
            assert np.allclose(run["loss"].values[:197], (a[:197] + b[:197]) / 2)
            assert np.array_equal(run["loss"].values[197:], a[197:])

    def test_a_nan_of_one_rank_is_not_hidden(self):
        sick = LOSS + 0.01
        sick[120:] = np.nan
        (run,) = join(made("x/rank_0.log", "text", loss=LOSS), made("x/rank_1.log", "text", loss=sick))
        assert np.isnan(run["loss"].values).sum() == 80
        note = (
            "The loss of rank 1 is not finite in 80 of 200 records, first at step STEP (x/rank_1.log); nor is the mean."
        )
        assert note.replace("STEP", str(run["loss"].steps[120])) in run.notes

    def test_a_nan_of_one_rank_stands_on_no_line_of_another_log(self):
        sick = LOSS + 0.01
        sick[120:] = np.nan
        lines = np.arange(1, 201)
        logs = [made(f"x/rank_{k}.log", "text", loss=loss) for k, loss in enumerate((LOSS, sick))]
        logs = [replace(run, series={"loss": replace(run["loss"], lines=lines)}) for run in logs]
        (run,) = join(*logs)
        assert run["loss"].lines.tolist() == [*range(1, 121), *[0] * 80]
        assert any("(x/rank_1.log, line 121)" in note for note in run.notes)

    def test_a_rank_that_logs_no_loss(self):
        (run,) = join(made("x/rank_0.log", "text", loss=LOSS), made("x/rank_1.log", "text", mem_bytes=LOSS))
        assert set(run.series) == {"loss", "mem_bytes"}

    def test_another_number_is_no_rank_of_a_process(self):
        assert len(join(made("x/rank_8.log", "text", loss=LOSS), made("x/rank_16.log", "text", loss=LOSS + 0.05))) == 2

    def test_a_rank_with_another_loss_alone_may_be_another_run(self):
        assert len(join(made("x/rank_0.log", "text", loss=LOSS), made("x/rank_1.log", "text", val__loss=LOSS))) == 2

    def test_other_rates_are_no_ranks(self):
        a, b = (made(f"x/rank_{k}.log", "text", loss=LOSS + k / 50, lr=np.full(200, 1e-3 * (k + 1))) for k in (0, 1))
        assert len(join(a, b)) == 2

    def test_ranks_that_learn_otherwise_are_two_runs(self):
        flat = np.full(200, LOSS[0])
        assert len(join(made("x/rank_0.log", "text", loss=LOSS), made("x/rank_1.log", "text", loss=flat))) == 2
