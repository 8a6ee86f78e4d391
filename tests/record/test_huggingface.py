"""The callback sees what the real Trainer does: true losses, gradients before clipping, evaluations, checkpoints; and changes nothing."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from lmdiag.judging.reading import runs_of  # noqa: E402
from lmdiag.record.huggingface import LmdiagCallback  # noqa: E402
from lmdiag.sources.source import Source  # noqa: E402


class Sentences(torch.utils.data.Dataset):
    """Random sentences of unequal length; `bad` ones make the loss NaN."""

    def __init__(self, count: int = 64) -> None:
        generator = torch.Generator().manual_seed(0)
        self.rows = [torch.randint(5, 50, (4 + i % 5,), generator=generator) for i in range(count)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict:
        ids = torch.cat([self.rows[i], torch.zeros(9 - len(self.rows[i]), dtype=torch.long)])
        mask = (ids > 0).long()
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def model(seed: int = 0):
    transformers.set_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=8, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2
    )
    return transformers.GPT2LMHeadModel(config)


def trainer(folder: Path, *callbacks, net=None, **options):
    torch.set_num_threads(1)
    defaults = {
        "max_steps": 8,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "learning_rate": 1e-2,
        "max_grad_norm": 0.5,
    }
    defaults |= {"report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True, "seed": 1}
    args = transformers.TrainingArguments(str(folder / "out"), **(defaults | options))
    return transformers.Trainer(
        net or model(), args, train_dataset=Sentences(), eval_dataset=Sentences(8), callbacks=list(callbacks)
    )


def records(path: Path, kind: str) -> list[dict]:
    return [r for r in map(json.loads, path.read_text().splitlines()) if r["type"] == kind]


def logged(trained, name: str) -> list[float]:
    return [record[name] for record in trained.state.log_history if name in record]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_losses_gradients_and_rates_are_those_of_the_trainer(tmp_path, accumulation):
    path = tmp_path / "a.jsonl"
    trained = trainer(tmp_path, LmdiagCallback(path), gradient_accumulation_steps=accumulation, warmup_steps=3)
    trained.train()
    steps = records(path, "step")
    assert [r["step"] for r in steps] == list(range(1, 9))
    assert [r["loss"] for r in steps] == pytest.approx(logged(trained, "loss"), rel=1e-4)
    assert [r["grad_norm"] for r in steps] == pytest.approx(logged(trained, "grad_norm"), rel=1e-4)
    assert [r["lr"] for r in steps] == pytest.approx(logged(trained, "learning_rate"))
    assert max(r["grad_norm"] for r in steps) > 0.5
    assert [r["clip_frac"] for r in steps] == [float(r["grad_norm"] > 0.5) for r in steps]


def test_training_is_the_same_with_and_without(tmp_path):
    watched = trainer(tmp_path, LmdiagCallback(tmp_path / "a.jsonl", layers_every=1))
    watched.train()
    plain = trainer(tmp_path)
    plain.train()
    for a, b in zip(watched.model.parameters(), plain.model.parameters()):
        assert torch.equal(a, b)


class Poisoned(transformers.GPT2LMHeadModel):
    """Returns a NaN loss for its third batch."""

    calls = 0

    def forward(self, input_ids=None, attention_mask=None, labels=None, **inputs):
        output = super().forward(input_ids, attention_mask=attention_mask, labels=labels, **inputs)
        if self.training:
            self.calls += 1
            if self.calls == 3:
                output["loss"] = output["loss"] * float("nan")
        return output


def test_a_nan_loss_that_the_trainer_hides(tmp_path):
    path = tmp_path / "a.jsonl"
    transformers.set_seed(0)
    trained = trainer(
        tmp_path, LmdiagCallback(path), net=Poisoned(model().config), max_steps=3, logging_nan_inf_filter=True
    )
    trained.train()
    assert all(math.isfinite(loss) for loss in logged(trained, "loss"))
    assert [r["loss"] == "NaN" for r in records(path, "step")] == [False, False, True]
    assert records(path, "step")[2]["grad_norm"] == "NaN"


def test_layers_and_tokens(tmp_path):
    path = tmp_path / "a.jsonl"
    trainer(tmp_path, LmdiagCallback(path, layers_every=4), gradient_accumulation_steps=2).train()
    steps = records(path, "step")
    assert [r["step"] for r in steps if "layers" in r] == [4, 8]
    layers = steps[3]["layers"]
    assert {"transformer.h.0", "transformer.h.1"} <= set(layers)
    assert math.hypot(*(x["grad_norm"] for x in layers.values())) == pytest.approx(steps[3]["grad_norm"], rel=1e-4)
    assert all(0 < x["update_ratio"] < 1 for x in layers.values())
    average = sum(len(row) for row in Sentences().rows) / 64
    assert steps[-1]["tokens"] == pytest.approx(8 * 8 * average, rel=0.1)
    assert all(r["step_time_s"] > 0 and 0 <= r["data_time_s"] <= r["step_time_s"] for r in steps)


def test_evaluations_checkpoints_header_and_end(tmp_path):
    path = tmp_path / "a.jsonl"
    options = {"eval_strategy": "steps", "eval_steps": 4, "save_strategy": "steps", "save_steps": 4}
    trained = trainer(tmp_path, LmdiagCallback(path), **options)
    trained.train()
    assert [r["loss"] for r in records(path, "eval")] == logged(trained, "eval_loss")
    assert [r["step"] for r in records(path, "event") if r["kind"] == "checkpoint_saved"] == [4, 8]
    (header,) = records(path, "run")
    assert (header["task"], header["max_steps"], header["grad_clip"], header["model"]["vocab_size"]) == (
        "causal-lm",
        8,
        0.5,
        50,
    )
    assert records(path, "end")[0]["status"] == "completed"
    (run,) = runs_of(Source(str(path), path))
    assert (len(run["loss"]), run["val/loss"].steps.tolist(), run.complete) == (8, [4, 8], True)


def test_several_evaluation_sets(tmp_path):
    path = tmp_path / "a.jsonl"
    trained = trainer(tmp_path, LmdiagCallback(path), eval_strategy="steps", eval_steps=8)
    trained.eval_dataset = {"wiki": Sentences(4), "code": Sentences(8)}
    trained.train()
    assert [r["split"] for r in records(path, "eval")] == ["wiki", "code"]
    assert all({"loss", "eval_time_s"} <= set(r) for r in records(path, "eval"))


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path):
    path = tmp_path / "a.jsonl"
    trainer(tmp_path, LmdiagCallback(path), max_steps=4, save_strategy="steps", save_steps=4).train()
    trainer(tmp_path, LmdiagCallback(path), max_steps=8).train(
        resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4")
    )
    first, second = records(path, "run")
    assert (first["run_id"], second["resumed_from_step"]) == (second["run_id"], 4)
    assert [r["step"] for r in records(path, "step")] == list(range(1, 9))


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_loss_that_the_model_does_not_return(tmp_path, accumulation):
    path = tmp_path / "a.jsonl"
    options = {"label_smoothing_factor": 0.1, "gradient_accumulation_steps": accumulation}
    trained = trainer(tmp_path, LmdiagCallback(path), **options)
    trained.train()
    losses = [r["loss"] for r in records(path, "step") if "loss" in r]
    assert losses == pytest.approx(logged(trained, "loss"), rel=1e-4)
    assert len(losses) == 8


class Distance(transformers.Trainer):
    """Trains on what it computes itself, and is NaN at its third batch; the model returns the loss of a language model."""

    calls = 0

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        self.calls += model.training
        loss = outputs.logits.pow(2).mean() * (float("nan") if self.calls == 3 else 1)
        return (loss, outputs) if return_outputs else loss


def test_the_loss_is_the_one_that_is_trained(tmp_path):
    path = tmp_path / "a.jsonl"
    plain = trainer(tmp_path, max_steps=4)
    trained = Distance(plain.model, plain.args, train_dataset=Sentences(), callbacks=[LmdiagCallback(path)])
    trained.train()
    losses, expected = [r["loss"] for r in records(path, "step")], logged(trained, "loss")
    assert losses[:2] == pytest.approx(expected[:2], rel=1e-4)
    assert losses[2] == "NaN"
    assert "training_step" not in vars(trained)


class RewardTrainer(Distance):
    """Named as TRL names its trainers; unsloth and others give theirs names of their own and inherit."""


class FasterRewardTrainer(RewardTrainer): ...


def test_names_that_the_log_uses_itself_and_numbers_of_other_libraries(tmp_path):
    class Logs(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **objects):
            if state.global_step == 2:
                trained.log({"step": 7, "self": 1, "reward": np.float32(0.5), "kl": torch.tensor(0.25)})
                trained.callback_handler.on_evaluate(args, state, control, {"eval_loss": 1.5, "eval_step": 7})

    path = tmp_path / "a.jsonl"
    trained = trainer(tmp_path, LmdiagCallback(path), Logs())
    trained.train()
    (found,) = [r for r in records(path, "step") if "reward" in r]
    assert (found["step"], found["self"], found["reward"], found["kl"]) == (2, 1, 0.5, 0.25)
    (evaluation,) = records(path, "eval")
    assert (evaluation["step"], evaluation["loss"]) == (2, 1.5)


def test_a_trainer_that_post_trains_says_how(tmp_path):
    path = tmp_path / "a.jsonl"
    plain = trainer(tmp_path, max_steps=1)
    FasterRewardTrainer(plain.model, plain.args, train_dataset=Sentences(), callbacks=[LmdiagCallback(path)]).train()
    (header,) = records(path, "run")
    assert (header["method"], header["task"]) == ("reward-model", "preference")
    assert "loss_unit" not in header


def test_the_run_is_stopped_when_the_log_shows_an_error(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    callback = LmdiagCallback(path, stop_on="error", check_every_s=0.0)

    class Slow(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, **objects):
            time.sleep(0.02)

    net = model()
    torch.nn.init.constant_(net.transformer.ln_f.weight, float("nan"))
    trained = trainer(tmp_path, callback, Slow(), net=net, max_steps=3000)
    trained.train()
    assert 0 < trained.state.global_step < 3000
    (stopped,) = records(path, "event")
    assert (stopped["kind"], stopped["message"][:16]) == ("stopped", "non-finite-loss:")
    assert records(path, "end")[0]["status"] == "stopped"
    assert f"lmdiag stops this run: {stopped['message']}" in caplog.text


def test_a_check_that_fails_stops_nothing_and_is_told_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(
        sys, "executable", "/bin/false"
    )  # as a Python that cannot import lmdiag: exit code 1, no report
    callback = LmdiagCallback(tmp_path / "a.jsonl", stop_on="error", check_every_s=0.0)
    trained = trainer(tmp_path, callback, max_steps=60)
    trained.train()
    assert trained.state.global_step == 60
    assert caplog.text.count("lmdiag check failed (it ended with 1); training goes on, unjudged") == 1


TWO_PROCESSES = """
import os, sys
from pathlib import Path
from lmdiag.record.huggingface import LmdiagCallback
from tests.record.test_huggingface import logged, records, trainer

folder = Path(sys.argv[1])
trained = trainer(folder, LmdiagCallback(folder / "a.jsonl", layers_every=2), max_steps=4)
trained.train()
if os.environ["RANK"] == "0":
    (folder / "logged.json").write_text(__import__("json").dumps({n: logged(trained, n) for n in ("loss", "grad_norm")}))
os._exit(0)  # threads of gloo abort a process that ends while they stand
"""


@pytest.mark.slow
def test_two_processes_record_what_both_measured(tmp_path):
    (tmp_path / "train.py").write_text(TWO_PROCESSES)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(tmp_path / "train.py"),
    ]
    root = Path(__file__).parents[2]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([*command, str(tmp_path)], check=True, env=environment, cwd=root, capture_output=True)
    expected, steps = json.loads((tmp_path / "logged.json").read_text()), records(tmp_path / "a.jsonl", "step")
    assert [r["loss"] for r in steps] == pytest.approx(expected["loss"], rel=1e-4)
    assert [r["grad_norm"] for r in steps] == pytest.approx(expected["grad_norm"], rel=1e-4)
    assert records(tmp_path / "a.jsonl", "run")[0]["world_size"] == 2
