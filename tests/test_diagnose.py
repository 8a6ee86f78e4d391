"""A verdict claims no more than what was read and what the rules could see."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from lmdiag.diagnose import ESSENTIAL, LEAST_READ, Best, diagnose
from lmdiag.errors import UnreadableLog
from lmdiag.finding import Finding, Severity
from lmdiag.gather import runs_in
from lmdiag.judging.reading import read, read_all
from lmdiag.readers import read_source
from lmdiag.reports.phrases import checkpoint
from lmdiag.reports.report import Report
from lmdiag.rules import RULES
from lmdiag.run import Event, Run, Series, Skipped
from lmdiag.sources.source import Source
from tests.fuzz.mutations import damaged, mutated
from tests.rules.curves import falling, run

SAMPLES = sorted((Path(__file__).parents[1] / "sample_logs").glob("*.jsonl"))
MUTATIONS = 600


def with_lost(n, unit="record"):
    return replace(run(loss=falling(200)), skipped=(Skipped(3, "not JSON", n, unit),))


def test_healthy_where_everything_was_read_and_the_essential_rules_looked():
    diagnosis = diagnose(run(loss=falling(200)))
    assert (diagnosis.verdict, diagnosis.unjudged) == ("healthy", "")
    assert set(ESSENTIAL[diagnosis.run.kind]) <= set(diagnosis.looked)


def test_too_few_records_read_are_no_healthy_run():
    assert diagnose(with_lost(4)).verdict == "healthy"
    lost = diagnose(with_lost(5))
    assert (lost.verdict, lost.unjudged) == ("not-judged", "5 of 205 records could not be read")
    assert diagnose(with_lost(50, "value")).verdict == "healthy"


@pytest.mark.parametrize("n", [2, 6, 9])
def test_too_few_records_are_not_judged(n):
    diagnosis = diagnose(run(loss=falling(n)))
    assert diagnosis.verdict == "not-judged"
    assert "value" in diagnosis.unjudged
    assert not diagnosis.judged


def test_a_fault_that_is_seen_counts_however_short_the_log():
    assert diagnose(run(loss=[3.0, 2.0, np.nan])).verdict == "unhealthy"


def test_of_rules_that_were_not_asked_nothing_is_demanded():
    rules = [rule for rule in RULES if rule.name == "non-finite-loss"]
    assert diagnose(run(loss=falling(5)), rules).verdict == "healthy"
    assert diagnose(run(loss=falling(5)), []).unjudged == "no rule was asked to look"


def test_a_loss_that_need_not_fall_is_not_judged_by_its_shape_and_the_other_rules_count():
    diagnosis = diagnose(replace(run(loss=falling(200)), objective="composite"))
    assert (diagnosis.verdict, diagnosis.judged) == ("not-judged", True)
    assert diagnosis.unjudged == "a loss made of several terms need not fall, so its shape is not judged"
    without = diagnose(replace(run(loss=falling(200)), objective="reinforcement"))
    assert (without.verdict, without.unjudged) == ("not-judged", "the log has no reward")


def test_a_policy_is_judged_by_its_reward():
    reward = np.linspace(0.1, 0.8, 60) + np.random.default_rng(0).normal(0, 0.05, 60)
    diagnosis = diagnose(
        run(objective="reinforcement", loss=np.linspace(0, 0.3, 60), lr=np.full(60, 1e-6), reward=reward)
    )
    assert (diagnosis.verdict, diagnosis.unjudged, diagnosis.findings) == ("healthy", "", ())


def evaluated(**measures):
    return {
        f"val__{name}": Series(np.array([10, 20, 30, 40]), np.array(values, float)) for name, values in measures.items()
    }


def test_the_checkpoint_to_keep_of_a_policy_is_that_of_its_highest_reward():
    made = run(
        objective="reinforcement", reward=falling(40), **evaluated(loss=[-0.04, 0, 0, 0], reward=[1.3, 2.5, 4.7, 4.1])
    )
    assert diagnose(made).best == Best("val/reward", 30, 4.7)
    assert diagnose(run(objective="reinforcement", reward=falling(40), **evaluated(loss=[-1, 0, 0, 0]))).best is None


def test_the_checkpoint_to_keep_of_preferences_is_that_of_the_highest_accuracy():
    made = {"objective": "composite", "loss": falling(40)}
    losses = evaluated(loss=[0.6, 0.4, 0.5, 0.7], reward_accuracy=[0.6, 0.8, 0.8, 0.7])
    assert diagnose(replace(run(**made, **losses), method="dpo")).best == Best("val/reward_accuracy", 20, 0.8)
    margins = evaluated(reward_accuracy=[0.6, 0.8, 0.8, 0.7], reward_margin=[0.1, 0.3, 0.6, 0.9])
    assert diagnose(replace(run(**made, **margins), method="dpo")).best == Best("val/reward_accuracy", 30, 0.8)
    assert diagnose(replace(run(**made, **evaluated(loss=[0.6, 0.4, 0.5, 0.7])), method="dpo")).best == Best(
        "val/loss", 20, 0.4
    )


@pytest.mark.parametrize(
    ("status", "planned", "shown"),
    [
        ("", 400, "unfinished"),
        ("", 200, "healthy"),
        ("killed", None, "unfinished"),
        ("stopped", 400, "healthy"),
        ("", None, "healthy"),
    ],
)
def test_a_part_of_a_run_is_healthy_so_far(status, planned, shown):
    made = run(loss=falling(200), config={"max_steps": planned} if planned else {})
    made = replace(made, events=(Event("end", 200, fields={"status": status}),) if status else ())
    diagnosis = diagnose(made)
    assert (diagnosis.verdict, diagnosis.shown) == ("healthy", shown)
    assert replace(diagnosis, known=1).shown == "known"


def looked(diagnosis):
    """Whether a healthy verdict rests on all it must rest on."""
    read_records, lost = diagnosis.run.records
    return set(ESSENTIAL[diagnosis.run.kind]) <= set(diagnosis.looked) and read_records >= LEAST_READ * (
        read_records + lost
    )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_no_sample_is_healthy_without_having_been_looked_at(path):
    diagnosis = diagnose(read(path))
    assert diagnosis.verdict != "healthy" or looked(diagnosis)


def damaged_logs():
    """Logs of every kind, and healthy ones, which a little damage leaves healthy."""
    healthy = [path for path in SAMPLES if path.stem.startswith("healthy-")]
    for seed in range(MUTATIONS):
        yield seed, *mutated(seed)
        if seed % 10 == 0:
            path = healthy[seed // 10 % len(healthy)]
            yield seed, path.name, damaged(path.read_bytes(), random.Random(seed))


def test_no_damaged_log_is_healthy_without_having_been_looked_at():
    healthy = 0
    for seed, name, content in damaged_logs():
        source = Source(name, content=content)
        try:
            runs = runs_in(read_source(source), name)
        except UnreadableLog:
            continue
        for diagnosis in map(diagnose, runs):
            healthy += diagnosis.verdict == "healthy"
            assert diagnosis.verdict != "healthy" or looked(diagnosis), (seed, name)
    assert healthy


def test_no_sick_real_log_is_healthy_without_having_been_looked_at(real_logs):
    import json

    labels = map(json.loads, (real_logs / "labels.jsonl").read_text().splitlines())
    sick = [label["id"] for label in labels if label["verdict"] not in ("healthy", "unclear") and label["judgeable"]]
    assert len(sick) > 10
    for name in sick:
        for diagnosis in map(diagnose, read_all(real_logs / "logs" / name)):
            assert diagnosis.verdict != "healthy" or looked(diagnosis), name


def test_the_records_of_a_run_without_a_loss():
    assert Run("a", {"lr": Series(np.arange(3), np.ones(3))}).records == (0, 0)


def test_a_rule_that_fails_hides_nothing_of_what_the_others_say(monkeypatch, capsys):
    def broken(run, curve):
        raise OverflowError("(34, 'Numerical result out of range')")
        yield

    rules = [structs.replace(rule, own=broken) if rule.name == "plateau" else rule for rule in RULES]
    diagnosis = diagnose(run(loss=[*falling(100), np.nan]), rules)
    assert "non-finite-loss" in {finding.rule for finding in diagnosis.findings}
    (failed,) = [n.why for n in diagnosis.not_checked if n.rule == "plateau"]
    assert (
        failed
        == "it failed on this log, which is a fault of lmdiag: OverflowError: (34, 'Numerical result out of range')"
    )
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("LMDIAG_DEBUG", "1")
    diagnose(run(loss=falling(100)), rules)
    assert "Traceback" in capsys.readouterr().err


def test_a_run_whose_essential_rule_failed_is_not_judged():
    def broken(run, curve):
        raise ValueError("no")
        yield

    rules = [structs.replace(rule, own=broken) if rule.name == "divergence" else rule for rule in RULES]
    assert diagnose(run(loss=falling(100)), rules).verdict == "not-judged"


def found(**onsets):
    return tuple(
        Finding("…", step, 40, rule=name.replace("_", "-"), severity=severity)
        for name, (step, severity) in onsets.items()
    )


@pytest.mark.parametrize(
    ("onsets", "kept"),
    [
        ({}, 30),
        ({"kl_explosion": (25, Severity.WARNING)}, 20),
        ({"kl_explosion": (30, Severity.WARNING), "reward_collapse": (15, Severity.ERROR)}, 10),
        ({"entropy_collapse": (31, Severity.WARNING)}, 30),
        ({"frozen_policy": (1, Severity.ERROR)}, None),
        ({"kl_explosion": (5, Severity.INFO)}, 30),
        ({"truncated_responses": (1, Severity.WARNING)}, 30),
    ],
)
def test_no_checkpoint_of_a_policy_is_kept_from_the_onset_of_what_spoils_it(onsets, kept):
    made = run(objective="reinforcement", reward=falling(40), **evaluated(reward=[1.3, 2.5, 4.7, 4.1]))
    diagnosis = replace(diagnose(made), findings=found(**onsets))
    assert diagnosis.best == Best("val/reward", 30, 4.7)
    assert (diagnosis.keep and diagnosis.keep.step) == kept


@pytest.mark.parametrize(
    ("onsets", "kept"),
    [
        ({"divergence": (25, Severity.ERROR)}, 20),
        ({"divergence": (25, Severity.WARNING)}, 30),
        ({"non_finite_loss": (5, Severity.ERROR)}, 30),
        ({"divergence": (3, Severity.ERROR)}, None),
    ],
)
def test_a_language_model_is_kept_from_before_it_diverged(onsets, kept):
    made = run(loss=falling(40), **evaluated(loss=[4.0, 3.5, 3.0, 3.2]))
    diagnosis = replace(diagnose(made), findings=found(**onsets))
    assert (diagnosis.keep and diagnosis.keep.step) == kept


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.ERROR])
def test_the_untrained_model_is_no_checkpoint_of_a_run_with_alarms(severity):
    made = run(loss=falling(40), val__loss=Series(np.array([0, 20, 40]), np.array([3.0, 3.5, 3.6])))
    sound = replace(diagnose(made), findings=())
    assert sound.keep == sound.best == Best("val/loss", 0, 3.0)
    assert replace(sound, findings=found(overfitting=(20, severity))).keep is None


def test_of_accuracies_alone_the_highest_is_kept():
    made = replace(run(loss=falling(40), **evaluated(accuracy=[0.4, 0.7, 0.6, 0.6])), method="sft")
    assert diagnose(made).best == Best("val/accuracy", 20, 0.7)


@pytest.mark.parametrize(
    ("saved", "kept"),
    [
        ((), 30),
        ((10, 20), 20),
        ((10, 20, 30), 30),
        ((10, 33), 30),  # saved behind the evaluation, before anything else was known
        ((15,), 30),  # none of an evaluated step: nothing is known of it
        ((40,), 40),
    ],
)
def test_the_checkpoint_to_keep_is_one_that_was_saved_where_the_log_tells(saved, kept):
    made = run(loss=falling(60), **evaluated(loss=[4.0, 3.5, 3.0, 3.2]))
    diagnosis = diagnose(replace(made, events=tuple(Event("checkpoint_saved", step) for step in saved)))
    assert diagnosis.best == Best("val/loss", 30, 3.0)
    assert diagnosis.keep.step == kept


def test_what_is_printed_of_runs_and_diagnoses_is_short():
    made = run(loss=falling(200))
    assert repr(made) == "<Run 'made': 1 series to step 200>"
    assert repr(made["loss"]) == "<Series of 200 values>"
    assert repr(diagnose(made)) == "<Diagnosis of 'made': healthy, findings: 2>"
    assert repr(Report((diagnose(made),))) == "<Report: healthy, runs: 1, findings: 2>"


def test_of_evaluations_that_are_one_number_none_is_the_best():
    made = run(loss=falling(40), val__loss=Series(np.array([10, 20, 30, 40]), np.full(4, 10.831)))
    assert diagnose(made).best is None
    assert diagnose(made).keep is None


@pytest.mark.parametrize(("onset", "said"), [(30, ""), (4, "none")])
def test_checkpoints_before_the_fault_that_nobody_evaluated_are_not_called_worthless(onset, said):
    made = run(loss=falling(40), val__loss=Series(np.array([34, 40]), np.array([3.5, 3.6])))
    diagnosis = replace(diagnose(made), findings=found(divergence=(onset, Severity.ERROR)))
    assert diagnosis.keep is None
    assert checkpoint(diagnosis) == said
