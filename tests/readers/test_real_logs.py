"""Every real log beside the checkout is read with the points and values that an independent parser found."""

import json
import math

import pytest

from lmdiag.judging.reading import read_runs

# Why a series differs from the oracle: what we read instead, and why that is right.
EXPLAINED = {
    (
        "jsonl-005-netra-ai-lab-Netra-NMT",
        "loss",
    ): "epoch means under another name are kept apart; one step stands twice",
    ("generic_step_stdout-030-openai-parameter-golf", "loss"): "a log that polls another repeats its records",
    ("jsonl-005-netra-ai-lab-Netra-NMT", "lr"): "one step stands twice; the later record counts",
}
# Steps of our own making, where the log's counter does not serve.
OTHER_STEPS = {
    "jsonl-007-netra-ai-lab-Netra-NMT": "the counter starts again at other steps: records are counted",
    "lightning_csv-015-Melissasssss-TurnGPT": "Lightning counts from 0 the step that was just run",
}


def oracle(real_logs):
    return [json.loads(line) for line in (real_logs / "oracle.jsonl").read_text().splitlines()]


def fullest(runs):
    return max(runs, key=lambda run: sum(map(len, run.series.values())))


def ours(run, name):
    name = {"train_eval": "train/loss"}.get(name, name)
    named_set = f"{name.removeprefix('val/').removesuffix('_loss')}/loss"
    return run.series.get(name) or run.series.get(named_set)


def differences(run, entry):
    for name, said in entry["series"].items():
        if name in ("epoch", "val_epoch") or (entry["id"], name) in EXPLAINED:
            continue
        series = ours(run, name)
        if series is None:
            yield f"{name}: missing"
            continue
        finite = series.finite.values
        found = {"points": len(series), "finite": len(finite), "first": series.values[0], "last": series.values[-1]}
        found |= {"min": finite.min(), "max": finite.max()} if len(finite) else {}
        if entry["id"] not in OTHER_STEPS:
            found |= {"first_step": series.steps[0], "last_step": series.steps[-1]}
        for key, value in found.items():
            same = said.get(key) is None or math.isnan(value) or math.isclose(value, float(said[key]), rel_tol=1e-6)
            if not same:
                yield f"{name}: {key} is {value}, not {said[key]}"


FORMATS = (
    *("csv", "generic_epoch_stdout", "generic_step_stdout", "hf_console", "hf_trainer_state", "history_json"),
    *("json_records", "jsonl", "lightning_csv", "llamafactory_jsonl", "llmc_log", "maxtext_stdout", "megatron"),
    *("minimind_stdout", "mllog", "modded_nanogpt", "nanochat_stdout", "nanogpt_stdout", "parameter_golf_stdout"),
    *("tfevents", "torchtitan", "wandb_run_dir"),
)


def test_every_format_has_its_turn(real_logs):
    assert {entry["id"].partition("-")[0] for entry in oracle(real_logs)} == set(FORMATS)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_format_is_read_as_the_oracle_reads_it(real_logs, kind):
    entries = [entry for entry in oracle(real_logs) if entry["id"].partition("-")[0] == kind]
    wrong = {}
    for entry in entries:
        runs, problems = read_runs([real_logs / "logs" / entry["id"]])
        found = list(differences(fullest(runs), entry)) if runs else [str(p) for p in problems]
        wrong |= {entry["id"]: found} if found else {}
    assert wrong == {}
    assert entries


def test_tables_of_results_are_refused(real_logs):
    folders = sorted((real_logs / "not_runs").iterdir())
    assert len(folders) == 3
    for folder in folders:
        runs, problems = read_runs([folder])
        assert (runs, len(problems)) == ([], 1)
