"""Which logs may be parts of one run, by their names alone."""

import pytest

from lmdiag.sources.beside import place, together
from lmdiag.sources.log_names import called_like_a_log
from lmdiag.sources.source import Source


def groups(*names):
    return [sorted(part.name for part in source.parts) for source in together([Source(name) for name in names])]


@pytest.mark.parametrize(
    "names",
    [
        ("exp/metrics/train.jsonl", "exp/metrics/valid.jsonl"),
        ("exp/train/loss.csv", "exp/eval/loss.csv", "exp/lr.csv", "exp/grad_norm.tsv"),
        ("exp/console.log", "exp/logs/metrics.csv", "exp/events.out.tfevents.1.host.2.0", "exp/trainer_state.json"),
        ("wandb/run-20260101_000000-abc/", "wandb/run-20260101_000000-abc/files/output.log"),
        ("exp/rank_0.log", "exp/rank_1.log", "exp/rank_2.log"),
        ("exp/rank0/train.log", "exp/rank1/train.log"),
        ("exp/log.0", "exp/log.1"),
        ("exp/workerlog.0", "exp/workerlog.1"),
        ("exp/attempt_0/0/stdout.log", "exp/attempt_0/1/stdout.log"),
        ("exp/run1_train.csv", "exp/run1_valid.csv"),
        ("exp/run1.log", "exp/metrics.csv"),
        ("exp/trainer_state.json", "exp/runs/Nov29_10-00-00_host/"),
        ("20260101_120000/20260101_120000.log", "20260101_120000/vis_data/scalars.json"),
        ("exp/wandb/run-20260101_000000-abc/", "exp/mlflow.db", "exp/runs/Nov29_10-00-00_host/"),
        ("exp/wandb/run-20260101_000000-abc/files/output.log", "exp/nohup.out", "exp/mlruns/"),
        ("exp/wandb/run-20260101_000000-abc/", "exp/runs/Nov29_10-00-00_host/"),
        ("wandb/run-20260101_000000-abc/", "mlflow.db", "out/runs/Nov29_10-00-00_host/", "out/trainer_state.json"),
        ("/x/mlruns/", "/x/out/trainer_state.json"),
    ],
)
def test_stores_of_one_training(names):
    assert groups(*names) == [sorted(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("runs/seed1.jsonl", "runs/seed2.jsonl"),
        ("runs/lr_1e-3.csv", "runs/lr_3e-4.csv"),
        ("runs/a.jsonl", "runs/b.jsonl"),
        ("runs/a/train.jsonl", "runs/b/train.jsonl"),
        ("exp/lora_rank8.jsonl", "exp/lora_rank16.jsonl"),
        ("exp/rank_1.log", "exp/rank_2.log", "exp/rank_4.log"),
        ("exp/runs/Nov29_10-00-00_host/", "exp/runs/Nov29_12-00-00_host/"),
        ("exp/version_0/metrics.csv", "exp/version_1/metrics.csv"),
        ("exp/wandb/run-20260101_000000-abc/", "exp/wandb/run-20260102_000000-def/", "exp/mlflow.db"),
        ("wandb/run-20260101_000000-abc/", "a/trainer_state.json", "b/trainer_state.json"),
        ("exp/metrics.csv", "exp/out/trainer_state.json"),
        ("exp/a/mlflow.db", "exp/b/trainer_state.json"),
    ],
)
def test_runs_of_their_own(names):
    assert groups(*names) == [[name] for name in names]


def test_the_first_source_leads_and_order_stays():
    sources = [Source(name) for name in ("z/train.csv", "a/b.csv", "z/valid.csv")]
    assert [source.name for source in together(sources)] == ["z/train.csv", "a/b.csv"]


def test_a_split_and_a_rank_are_told():
    assert place("exp/eval/loss.tsv").split == "val"
    assert place("exp/test_metrics.jsonl").split == "test"
    assert place("exp/train.jsonl").split == ""
    assert place("exp/global_rank_12.log").rank == 12


def test_logs_of_processes_are_called_like_logs():
    assert called_like_a_log("log.0")
    assert called_like_a_log("workerlog.12")
    assert not called_like_a_log("train.log.1")
