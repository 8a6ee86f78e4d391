"""Every fault breaks a run the way it says."""

import math
import os
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.trainers.conftest import TINY, read, values
from trainers.__main__ import TRAINERS
from trainers.faults import FAULTS, Hooks, machine, post_training
from trainers.faults.fault import changed
from trainers.transformer import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def naps(monkeypatch):
    """Seconds that faults would have slept; they do not here."""
    slept = []
    monkeypatch.setattr(machine.time, "sleep", slept.append)
    return slept


OF_POST_TRAINING = {fault.name() for fault in post_training.FAULTS}  # tests/trainers/test_post_training.py


@pytest.mark.parametrize("fault", [f for f in FAULTS if f not in ("killed", "crash", *OF_POST_TRAINING)])
@pytest.mark.usefixtures("naps")
def test_every_fault_trains_to_the_end(train, fault):
    records = train("--steps", 10, "--eval-every", 5, "--fault", fault)
    assert values(records, "step")[-1] == 10
    assert records[-1]["status"] == "completed"


def test_a_crash_ends_the_log_with_its_error(train, capsys):
    *_, error, end = train("--steps", 10, "--eval-every", 5, "--fault", "crash", code=2)
    assert "out of memory" in capsys.readouterr().err
    assert (error["kind"], end["status"], end["step"]) == ("exception", "crashed", 6)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_every_fault_says_what_it_does_and_how_to_cure_it(fault):
    assert fault.what().endswith(".")
    assert fault.rules
    assert fault.remedy
    assert re.compile(fault.advised).search("") is None  # a pattern that matches anything would prove nothing


def test_advice_is_applied_to_the_letter_and_ends_a_fault_only_where_it_takes_its_place():
    user = Settings(steps=100)
    advised, kind = FAULTS["lr-too-high"].advised_run(user, {"lr": 0.01})
    assert (advised.lr, advised.grad_clip, kind) == (
        0.01,
        0.0,
        FAULTS["lr-too-high"],
    )  # what was not advised stays broken
    assert FAULTS["no-warmup"].advised_run(user, {"lr": 0.01})[1] is FAULTS["no-warmup"]
    assert FAULTS["no-warmup"].advised_run(user, {"warmup_steps": 10})[1] is Hooks


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_the_cured_run_has_the_settings_of_the_user_again(fault):
    user = import_module(TRAINERS[fault.models[-1]]).Settings(steps=100) if fault.models else Settings(steps=100)
    cured, kind = fault.cured(user)
    broken, _ = fault.broken(user)
    different = {name for name in vars(user) if vars(cured)[name] != pytest.approx(vars(user)[name])}
    assert different <= {
        "checkpoint_every",
        "n_layer",
        "accumulation",
        "precision",
        "skip_nonfinite",
        "grad_clip",
        "warmup_steps",
        "schedule",
    }
    assert kind is not fault or cured != broken or fault.name() == "crash-and-resume"
    assert kind in (Hooks, fault, FAULTS["crash-and-resume"])


def test_a_cured_run_is_the_healthy_run(train):
    healthy = values(train("--steps", 8, log="healthy.jsonl"), "loss")
    for fault in ("lr-too-low", "nan-weights"):
        assert values(train("--steps", 8, "--fault", fault, "--cured", log=f"{fault}.jsonl"), "loss") == healthy
        assert values(train("--steps", 8, "--fault", fault, log=f"{fault}-broken.jsonl"), "loss") != healthy


def test_a_setting_that_a_trainer_lacks_is_named():
    with pytest.raises(ValueError, match="needs the settings n_layers"):
        changed(Settings(), {"n_layers": 3})


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
    sound = [float(value) for value in values(train("--steps", 20, "--eval-every", 50, log="sound.jsonl"), "loss")]
    frozen = numbers(train, "frozen-weights")
    assert frozen[0] == sound[0]
    assert abs(frozen[-1] - frozen[0]) < 0.25 * (sound[0] - sound[-1])


def test_a_poisoned_batch_is_seen_in_loss_and_gradient(train):
    records = train("--steps", 40, "--lr", 1e-2, "--fault", "poisoned-batch")
    losses, norms = values(records, "loss"), values(records, "grad_norm")
    assert losses[23] > losses[22] + 0.5
    assert norms[23] > 3 * norms[22]


def test_a_dead_learning_rate_stops_halfway(train):
    rates = numbers(train, "lr-dead-halfway", "lr")
    assert [rate > 0 for rate in rates] == [True] * 10 + [False] * 10


def test_the_learning_rate_jumps_at_the_resume(train):
    records = train("--steps", 20, "--schedule", "constant", "--warmup-steps", 1, "--fault", "lr-jump-on-resume")
    assert values(records, "step") == [*range(1, 16), *range(13, 21)]
    assert values(records, "lr")[15] == pytest.approx(10 * values(records, "lr")[14])


def test_forgotten_batches_come_again_and_remembered_ones_do_not(train):
    def gradients_after_resume(fault):
        settings = [
            "--steps",
            20,
            "--lr",
            1e-9,
            "--train-tokens",
            400,
        ]  # weights stay as they are: same batch, same loss
        losses = values(train(*settings, "--fault", fault, log=f"{fault}.jsonl"), "loss")
        return losses[15:], losses

    replayed, losses = gradients_after_resume("repeated-data-on-resume")
    assert replayed[:8] == pytest.approx(losses[:8], abs=1e-4)
    legal, losses = gradients_after_resume("crash-and-resume")
    assert legal[:3] == pytest.approx(losses[12:15], abs=1e-6)


def test_one_layer_gets_no_gradient(train):
    records = train("--steps", 4, "--layers-every", 2, "--fault", "dead-layer")
    layers = next(r["layers"] for r in records if "layers" in r)
    assert [name for name, norms in layers.items() if norms["grad_norm"] == 0] == ["blocks.0"]


def test_depth_without_residuals_starves_the_first_blocks(train):
    records = train("--steps", 30, "--layers-every", 30, "--fault", "vanishing-depth")
    layers = next(r["layers"] for r in records if "layers" in r)
    assert layers["blocks.0"]["grad_norm"] < 0.02 * layers["blocks.11"]["grad_norm"]


def test_the_loss_scale_collapses(train):
    scales = numbers(train, "fp16-overflow", "loss_scale")
    assert scales[:9] == [65536.0] * 9
    assert scales[-1] == 65536 / 2**11


def test_a_summed_loss_is_four_times_the_mean(train):
    mean = values(train("--steps", 2, "--accumulation", 4, log="mean.jsonl"), "loss")
    summed = values(train("--steps", 2, "--fault", "summed-loss", log="sum.jsonl"), "loss")
    assert summed[0] == pytest.approx(4 * mean[0])


def test_leaked_targets_are_learned_at_once(train):
    settings = ["--steps", 60, "--lr", 3e-2, "--warmup-steps", 5]
    honest = values(train(*settings, log="honest.jsonl"), "loss", "eval")[-1]
    assert values(train(*settings, "--fault", "leaked-targets", log="leak.jsonl"), "loss", "eval")[-1] < honest / 2


def test_slow_machines_are_slow(train, naps):
    train("--steps", 4, "--fault", "slow-loader", log="a.jsonl")
    train("--steps", 4, "--fault", "slowdown", log="b.jsonl")
    loader, throttled = naps[:4], naps[4:]
    assert min(loader) > 0
    assert len(throttled) == 2  # in the second half only
    assert throttled[0] == throttled[1] > 0


def test_memory_leaks(tmp_path):
    # In a process of its own: one that ran other tests has memory to reuse, and would not grow.
    log = tmp_path / "leak.jsonl"
    command = [sys.executable, "-m", "trainers", "transformer", *TINY, "--log", str(log), "--steps", "20"]
    subprocess.run([*command, "--fault", "memory-leak"], cwd=ROOT, check=True, capture_output=True)
    held = [float(v) for v in values(read(log), "mem_bytes")]
    assert held[-1] - held[0] > 15 * (4 << 20)


def test_a_fault_for_another_model_is_refused(train, capsys):
    train("--fault", "vanishing-depth", name="rnn", code=2)
    assert "needs a model of blocks" in capsys.readouterr().err


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


def test_every_rule_a_fault_names_exists():
    from lmdiag.rules import RULES

    known = {rule.name for rule in RULES}
    assert {rule for fault in FAULTS.values() for rule in fault.rules} <= known
