"""Every fault breaks a run the way it says."""

import math
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.trainers.conftest import TINY, read, values
from trainers.faults import FAULTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "killed"])
def test_every_fault_trains_to_the_end(train, fault):
    records = train("--steps", 20, "--eval-every", 10, "--fault", fault)
    assert values(records, "step")[-1] == 20
    assert records[-1]["status"] == "completed"


def test_every_fault_says_what_it_does_and_how_to_cure_it():
    for fault in FAULTS.values():
        assert fault.what
        assert fault.rules
        assert fault.remedy


def numbers(train, fault, name="loss", steps=20):
    return [float(v) for v in values(train("--steps", steps, "--eval-every", 50, "--fault", fault), name)]


def test_too_high_a_learning_rate_diverges(train):
    losses = values(train("--steps", 40, "--lr", 0.1, "--fault", "lr-too-high"), "loss")
    assert max(losses[10:]) > 2 * losses[0]


def test_nan_weights_stay(train):
    losses = numbers(train, "nan-weights")
    assert [math.isnan(loss) for loss in losses] == [False] * 12 + [True] * 8


def test_masked_nan_is_logged_as_zero_beside_a_nan_gradient(train):
    records = train("--steps", 20, "--fault", "masked-nan")
    assert values(records, "loss")[12:] == [0.0] * 8
    assert values(records, "grad_norm")[11:] == ["NaN"] * 9


def test_infinite_gradients_are_skipped_and_the_loss_stays_finite(train):
    records = train("--steps", 20, "--fault", "infinite-gradients")
    norms = values(records, "grad_norm")
    assert [n == "Infinity" for n in norms] == [step in (10, 20) for step in range(1, 21)]
    assert [r["step"] for r in records if r.get("skipped")] == [10, 20]
    assert all(isinstance(loss, float) for loss in values(records, "loss"))


def test_a_learning_rate_of_zero_moves_nothing(train):
    norms = numbers(train, "lr-zero", "param_norm")
    assert norms == [norms[0]] * 20


def test_frozen_weights_hardly_move(train):
    losses = numbers(train, "frozen-weights")
    assert losses[-1] > 0.98 * losses[0]


def test_a_poisoned_batch_is_seen_in_loss_and_gradient(train):
    records = train("--steps", 40, "--lr", 1e-2, "--fault", "poisoned-batch")
    losses, norms = values(records, "loss"), values(records, "grad_norm")
    assert losses[23] > losses[22] + 0.5
    assert norms[23] > 3 * norms[22]


def test_a_killed_run_ends_in_a_torn_line(tmp_path):
    log = tmp_path / "a.jsonl"
    command = [
        sys.executable,
        "-m",
        "trainers",
        "transformer",
        *TINY,
        "--steps",
        "10",
        "--fault",
        "killed",
        "--log",
        log,
    ]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run(command, cwd=ROOT, env=one_thread, capture_output=True).returncode == -signal.SIGKILL
    assert not log.read_text().endswith("\n")
    assert values(read(log), "step") == [1, 2, 3, 4, 5, 6]


def test_every_sample_log_has_its_command_and_is_small():
    folder = ROOT / "sample_logs"
    expected = tomllib.loads((folder / "expected.toml").read_text())
    logs = {path.name: path.stat().st_size for path in folder.glob("*.jsonl")}
    assert set(logs) == set(expected)
    assert max(logs.values()) < 1_000_000
    assert sum(not facts["rules"] for facts in expected.values()) >= 3
