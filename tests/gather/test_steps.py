"""RawLog -> Run: steps, restarts and what counts them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag import gather
from lmdiag.readers.tables.rows import Rows
from lmdiag.run import Event
from tests.gather.made import columns, points, points_of, run_of


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

    def test_events_stand_at_their_records_where_these_are_counted_instead_of_steps(self):
        saved = tuple(Event("checkpoint_saved", step) for step in (2, 4))
        run = run_of(
            columns(batch=[1, 2, 3, 1, 2, 3, 1, 2, 3, 4], loss=[10.0, 9, 8, 7, 6, 5, 4, 3, 2, 1]), events=saved
        )
        assert run.step_kind == "record"
        assert [event.step for event in run.events] == [None, 10]

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


class TestStepsOfEpochs:
    @pytest.mark.parametrize(("first", "kind"), [(25, "step"), (0, "record")])
    def test_the_steps_of_numbered_epochs_of_one_length_are_counted_on(self, first, kind):
        within = range(first, first + 100, 25)
        records = [{"epoch": e, "step": s, "loss": 4.0 - e - s / 1000} for e in (1, 2, 3) for s in within]
        run = run_of(records)
        assert run.step_kind == kind
        if kind == "step":
            assert run["loss"].steps.tolist() == list(range(25, 325, 25))
