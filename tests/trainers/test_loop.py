"""The training loop: what it logs, exact resume, schedules, accumulation, endings."""

import dataclasses
import math
import platform
import subprocess
import sys

import pytest
import torch

from tests.trainers.conftest import values
from trainers import batches, checkpoints, corpus, faults, loop, precision, saved_models, transformer
from trainers.devices import Team
from trainers.schedule import learning_rate
from trainers.settings import Settings


def test_a_run_learns_and_logs_what_happened(train):
    records = train("--steps", 40, "--eval-every", 10, "--layers-every", 5, "--lr", 1e-2, "--sample", 20)
    header = records[0]
    assert header["max_steps"] == 40
    assert header["batch_tokens"] == 128
    assert header["model"]["vocab_size"] > 60
    assert header["reference_loss"]["unigram"] < header["reference_loss"]["uniform"]
    steps = [r for r in records if r["type"] == "step"]
    assert [s["step"] for s in steps] == list(range(1, 41))
    for name in ("loss", "lr", "grad_norm", "tokens", "tokens_per_sec", "step_time_s", "clip_frac", "param_norm"):
        assert all(math.isfinite(s[name]) for s in steps), name
    assert [s["step"] for s in steps if "layers" in s] == list(range(5, 41, 5))
    assert set(steps[4]["layers"]) == {"embedding", "positions", "blocks.0", "norm"}
    assert steps[0]["loss"] == pytest.approx(header["reference_loss"]["uniform"], abs=0.4)
    assert values(records, "step", "eval") == [0, 10, 20, 30, 40]
    losses = values(records, "loss", "eval")
    assert losses[-1] < losses[0] - 0.5
    assert [len(r["message"]) > 0 for r in records if r.get("kind") == "sample"] == [True]
    assert records[-1]["status"] == "completed"


def measured(records):
    clocks = {"time", "tokens_per_sec", "step_time_s", "data_time_s", "mem_bytes", "eval_time_s"}
    return [{k: v for k, v in r.items() if k not in clocks} for r in records if r["type"] in ("step", "eval")]


@pytest.mark.parametrize("numbers", ["fp32", "bf16"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(train, numbers):
    common = ["--steps", 20, "--eval-every", 50, "--dropout", 0.1, "--precision", numbers]
    whole = measured(train(*common, log="whole.jsonl"))
    records = train(*common, "--fault", "crash-and-resume", log="cut.jsonl")
    resumed = records.index([r for r in records if r["type"] == "run"][1])
    assert records[resumed]["resumed_from_step"] == 12
    assert [r.get("status") for r in records if r["type"] == "end"] == ["crashed", "completed"]
    before, after = measured(records[:resumed]), measured(records[resumed:])
    assert before == whole[:16]
    assert after == whole[13:]


def test_what_was_clipped_before_a_stop_counts_after_it(train):
    common = ["--schedule", "constant", "--log-every", 10, "--grad-clip", 0.01]
    whole = train(*common, "--steps", 20, log="whole.jsonl")
    train(*common, "--steps", 15, "--checkpoint-every", 15, log="cut.jsonl")
    cut = train(*common, "--steps", 20, "--resume", log="cut.jsonl")
    assert values(cut, "clip_frac") == values(whole, "clip_frac") == [1.0, 1.0]


@pytest.mark.parametrize(("module", "what"), [(checkpoints, "checkpoint"), (saved_models, "model")])
def test_a_full_disk_costs_what_is_kept_and_never_the_run(train, monkeypatch, capsys, module, what):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save", full)
    records = train("--steps", 4, "--checkpoint-every", 4)
    (said,) = [r["message"] for r in records if r.get("kind") == "not_saved"]
    assert said == f"the {what} of step 4 could not be written: [Errno 28] No space left on device"
    assert said.removesuffix(": [Errno 28] No space left on device") in capsys.readouterr().err
    assert (records[-1]["status"], records[-1]["step"]) == ("completed", 4)


@pytest.mark.parametrize("parts", [2, 4])
def test_the_loss_does_not_depend_on_accumulation(train, parts):
    one = values(train("--steps", 5, log="1.jsonl"), "loss")
    many = values(train("--steps", 5, "--accumulation", parts, log="n.jsonl"), "loss")
    assert many == pytest.approx(one, rel=1e-5)


def test_known_entropy_is_reached():
    """Loop, loss and evaluation are right: a trained model reaches the entropy of its source, and not less."""
    s = transformer.Settings(steps=250, context=16, batch_size=32, d_model=32, n_layer=1, n_head=2, lr=1e-2)
    text = corpus.load(["markov:6"])
    torch.manual_seed(0)
    model = transformer.Transformer(s, text.vocabulary.size)
    optimizer = transformer.optimizer(s, model)
    source = batches.Windows(text.train, s.batch_size, s.context, 0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    team = Team(torch.device("cpu"))
    for step in range(1, s.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, s)
        loop.backward(model, *source.next(), None, scaler, s, team)
        optimizer.step()
        optimizer.zero_grad()
    parts = batches.evaluation_batches(text.val, 64, s.context, 0)
    assert loop.evaluate(model, parts, s, torch.device("cpu"))["loss"] == pytest.approx(text.entropy_rate, rel=0.02)


def test_evaluation_counts_every_token_once():
    ids = torch.arange(23).numpy()
    parts = batches.evaluation_batches(ids, rows=2, context=5, limit=0)
    assert sorted(t for _, targets in parts for t in targets.flatten().tolist()) == list(range(1, 23))
    assert all((y - x == 1).all() for x, y in parts)


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ("constant", {10: 1.0, 60: 1.0, 110: 1.0}),
        ("linear", {10: 1.0, 60: 0.55, 110: 0.1}),
        ("cosine", {10: 1.0, 60: 0.55, 110: 0.1}),
        ("wsd", {10: 1.0, 60: 1.0, 90: 1.0, 100: 0.55, 110: 0.1}),
    ],
)
def test_schedules(schedule, at):
    s = Settings(steps=110, warmup_steps=10, lr=1.0, min_lr_ratio=0.1, schedule=schedule)
    assert learning_rate(1, s) == pytest.approx(0.1)
    assert {step: round(learning_rate(step, s), 6) for step in at} == at


def test_clipping_limits_the_norm():
    p = torch.nn.Parameter(torch.zeros(4))
    p.grad = torch.full((4,), 3.0)
    loop.clip([p], torch.tensor(6.0), 1.0)
    assert float(p.grad.norm()) == pytest.approx(1.0, rel=1e-5)
    loop.clip([p], torch.tensor(1.0), 2.0)
    assert float(p.grad.norm()) == pytest.approx(1.0, rel=1e-5)


def test_a_gradient_within_the_limit_is_left_alone():
    p = torch.nn.Parameter(torch.zeros(4))
    p.grad = torch.full((4,), 0.1)
    loop.clip([p], torch.tensor(0.2), 0.2)
    assert p.grad.tolist() == torch.full((4,), 0.1).tolist()
    loop.clip([p], torch.tensor(float("nan")), 0.2)
    assert p.grad.isnan().all()


class WithoutHalf(torch.nn.Linear):
    """A model for which a device lacks a kernel, as CPUs do for LSTMs in fp16."""

    def forward(self, ids, state=None):
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive. Details follow")
        return super().forward(ids.float()), state


def test_a_precision_the_device_cannot_compute_is_named_before_training():
    model, settings = WithoutHalf(4, 2), Settings(context=4, precision="fp16")
    with pytest.raises(ValueError, match=r"fp16: this cpu cannot train x in it \(could not create a primitive\).*bf16"):
        precision.check_precision("x", model, settings, torch.device("cpu"))
    precision.check_precision("x", model, dataclasses.replace(settings, precision="fp32"), torch.device("cpu"))


def test_asking_for_the_precision_leaves_no_trace():
    model, settings = transformer.Transformer(transformer.Settings(dropout=0.5), 10), Settings(precision="bf16")
    torch.manual_seed(0)
    precision.check_precision("transformer", model, settings, torch.device("cpu"))
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert (torch.rand(3) == drawn).all()
    assert all(p.grad is None for p in model.parameters())


def test_streams_go_on_where_the_batch_before_ended():
    source = batches.Streams(torch.arange(400).numpy(), batch_size=2, context=4, seed=0)
    first = source.next()[0]
    saved = source.state_dict()
    second = source.next()[0]
    assert (second[:, 0] == first[:, -1] + 1).all()
    source.load_state_dict(saved)
    assert (source.next()[0] == second).all()
    for _ in range(100):
        assert source.next()[1].shape == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--accumulation", 3], "do not divide"),
        (["--steps", 0], "at least 1"),
        (["--context", 40_000], "too few"),
        (["--n-head", 3], "does not divide --d-model"),
        (["--resume"], "no checkpoint"),
        (["--data", "nowhere.txt"], "no such file"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_words(train, capsys, arguments, message):
    train(*arguments, code=2)
    assert message in capsys.readouterr().err


def test_a_log_in_use_is_refused(train, capsys):
    train("--steps", 1)
    train("--steps", 1, code=2)
    assert "already holds a run" in capsys.readouterr().err


def test_ctrl_c_ends_the_log(train, monkeypatch):
    def interrupt(self, step):
        if step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(faults.Hooks, "after", interrupt)
    records = train("--steps", 10, code=130)
    assert (records[-1]["status"], records[-1]["step"]) == ("killed", 3)


def test_fp16_logs_its_loss_scale_and_skipped_updates(train):
    records = train("--steps", 3, "--precision", "fp16")
    assert all(s > 0 for s in values(records, "loss_scale"))


def test_a_dry_run_leaves_nothing_behind(train, tmp_path):
    assert train("--dry-run") == []
    assert list(tmp_path.iterdir()) == []


def test_old_checkpoints_are_deleted(train, tmp_path):
    train("--steps", 6, "--checkpoint-every", 1, "--keep", 2)
    found = sorted(p.name for p in (tmp_path / "a.checkpoints").iterdir())
    assert found == ["final", "step-00000005.pt", "step-00000006.pt"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_same_run_on_a_gpu(train, precision):
    on_cpu = values(train("--steps", 8, "--device", "cpu", log="cpu.jsonl"), "loss")
    on_gpu = train("--steps", 8, "--device", "cuda", "--precision", precision, "--checkpoint-every", 4, log="gpu.jsonl")
    assert values(on_gpu, "loss") == pytest.approx(on_cpu, rel=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="compiling for a CPU takes minutes")
def test_a_compiled_model_trains_the_same(train):
    plain = values(train("--steps", 4, log="plain.jsonl"), "loss")
    compiled = train("--steps", 4, "--compile", log="compiled.jsonl")
    assert values(compiled, "loss") == pytest.approx(plain, rel=1e-4)


def test_a_resume_that_cannot_be_is_refused_with_words(train, tmp_path, capsys):
    train("--steps", 4, "--checkpoint-every", 2)
    train("--steps", 8, "--resume", "--d-model", 32, code=2)
    assert "the run was begun with --d-model 16, not 32" in capsys.readouterr().err
    log = (tmp_path / "a.jsonl").read_text()
    train("--steps", 2, "--resume", code=2)
    assert "the run has made 4 steps, more than --steps 2" in capsys.readouterr().err
    assert (tmp_path / "a.jsonl").read_text() == log
    (tmp_path / "a.checkpoints" / "step-00000004.pt").write_bytes(b"junk")
    train("--steps", 8, "--resume", code=2)
    assert "step-00000004.pt is damaged" in capsys.readouterr().err
    train("--temperature", "inf", log="b.jsonl", code=2)
    assert "--temperature must be a number, not infinite" in capsys.readouterr().err


def test_another_text_is_said_and_another_vocabulary_refused(train, tmp_path, capsys):
    texts = {name: tmp_path / f"{name}.txt" for name in ("one", "mixed", "other")}
    lines = ["".join("abcdef"[(i * j) % 6] for j in range(1, 60)) for i in range(1, 60)]
    texts["one"].write_text("\n".join(lines))
    texts["mixed"].write_text("\n".join(lines[:2] + lines[2:50][::-1] + lines[50:]))  # the same characters, as often
    texts["other"].write_text("\n".join(lines).translate(str.maketrans("abcdef", "uvwxyz")))
    train("--data", texts["one"], "--steps", 2, "--checkpoint-every", 2)
    train("--data", texts["other"], "--steps", 4, "--resume", code=2)
    assert "another vocabulary" in capsys.readouterr().err
    records = train("--data", texts["mixed"], "--steps", 4, "--resume")
    said = "the text is not the one that the run was begun with; going on with this one"
    assert [r["message"] for r in records if r.get("kind") == "other_text"] == [said]
    assert said in capsys.readouterr().err


def test_a_disk_that_fills_up_leaves_no_part_of_a_checkpoint(tmp_path, monkeypatch):
    def full(state, file):
        file.write(b"half of it")
        raise RuntimeError("unexpected pos 28736 vs 28688")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="is the disk full"):
        checkpoints.save(tmp_path, 5, {}, keep=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_that_a_step_frees_is_kept_for_the_next_one():
    program = """
import sys, torch
from pathlib import Path
from trainers.devices import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
def resident():  # pages of this process that are in memory
    return int(Path("/proc/self/statm").read_text().split()[1])
torch.ones(1000)
before = resident()
for _ in range(3):
    tensors = [torch.ones(10_000_000) for _ in range(2)]
    held = resident() - before
    del tensors
print(held, resident() - before)
"""
    pages = {}
    for how in ("keep", "not"):
        run = subprocess.run([sys.executable, "-c", program, how], capture_output=True, text=True, check=True)
        pages[how] = [int(count) for count in run.stdout.split()]
    held, kept = pages["keep"]
    assert kept > 0.9 * held
    held, kept = pages["not"]
    assert kept < 0.1 * held
