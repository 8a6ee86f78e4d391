"""Callback and logger see what the real Lightning trainer does, and change nothing."""

import json
import math
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from lightning.pytorch import LightningModule, Trainer  # noqa: E402
from lightning.pytorch.callbacks import Callback  # noqa: E402

from lmdiag.judging.reading import runs_of  # noqa: E402
from lmdiag.record.lightning import LmdiagCallback, LmdiagLogger  # noqa: E402
from lmdiag.sources.source import Source  # noqa: E402


class Module(LightningModule):
    def __init__(self, logs: bool = False, poison: int = -1) -> None:
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        self.losses: list[float] = []
        self.norms: list[float] = []

    def training_step(self, batch, index):
        loss = (self.net(batch[0]) - 3).square().mean()
        if index == self.hparams.poison:
            loss = loss * float("nan")
        self.losses.append(loss.item())
        if self.hparams.logs:
            self.log("train_loss", loss)
        return loss

    def on_before_optimizer_step(self, optimizer):
        self.norms.append(math.hypot(*(p.grad.norm().item() for p in self.parameters())))

    def validation_step(self, batch, index):
        self.log("val_loss", (self.net(batch[0]) - 3).square().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5), "interval": "step"}]


def loader():
    data = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data), batch_size=4)


def fit(folder: Path, module, callbacks=(), **options):
    torch.set_num_threads(1)
    silent = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    defaults = {
        "max_epochs": 2,
        "accelerator": "cpu",
        "gradient_clip_val": 0.5,
        "default_root_dir": str(folder),
        "log_every_n_steps": 1,
    }
    trainer = Trainer(callbacks=list(callbacks), **(silent | defaults | options))
    trainer.fit(module, loader(), loader())
    return trainer


def records(path: Path, kind: str) -> list[dict]:
    return [r for r in map(json.loads, path.read_text().splitlines()) if r["type"] == kind]


def test_one_record_for_every_update(tmp_path):
    path, module = tmp_path / "a.jsonl", Module()
    fit(tmp_path, module, [LmdiagCallback(path, layers_every=3, task="classification")])
    steps = records(path, "step")
    assert [r["step"] for r in steps] == list(range(1, 13))
    assert [r["loss"] for r in steps] == pytest.approx(module.losses)
    assert [r["grad_norm"] for r in steps] == pytest.approx(module.norms, rel=1e-5)
    assert [r["lr"] for r in steps] == pytest.approx([0.1 * 0.5**i for i in range(12)])
    assert [r["clip_frac"] for r in steps] == [float(n > 0.5) for n in module.norms]
    assert [r["step"] for r in steps if "layers" in r] == [3, 6, 9, 12]
    assert set(steps[2]["layers"]["net.0"]) == {"grad_norm", "param_norm", "update_ratio"}
    assert all(r["step_time_s"] >= r["data_time_s"] >= 0 for r in steps)


def test_accumulated_batches_are_one_update(tmp_path):
    path, module = tmp_path / "a.jsonl", Module()
    fit(tmp_path, module, [LmdiagCallback(path)], accumulate_grad_batches=3)
    pairs = [sum(module.losses[i : i + 3]) / 3 for i in range(0, 12, 3)]
    assert [r["loss"] for r in records(path, "step")] == pytest.approx(pairs)
    assert [r["grad_norm"] for r in records(path, "step")] == pytest.approx(module.norms, rel=1e-5)


def test_training_is_the_same_with_and_without(tmp_path):
    watched, plain = Module(), Module()
    fit(tmp_path, watched, [LmdiagCallback(tmp_path / "a.jsonl", layers_every=1)])
    fit(tmp_path, plain)
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), plain.parameters()))


def test_header_evaluations_and_end(tmp_path):
    path, module = tmp_path / "a.jsonl", Module()
    trainer = fit(tmp_path, module, [LmdiagCallback(path)])
    (run,) = runs_of(Source(str(path), path))
    assert (run.config["max_steps"], run.config["grad_clip"], run.complete) == (12, 0.5, True)
    assert run["val/loss"].steps.tolist() == [6, 12]
    assert run["val/loss"].values[-1] == pytest.approx(float(trainer.callback_metrics["val_loss"]))


def test_a_nan_and_a_crash_are_recorded(tmp_path):
    class Crash(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, index):
            if trainer.global_step == 4:
                raise RuntimeError("out of memory")

    path = tmp_path / "a.jsonl"
    with pytest.raises(RuntimeError):
        fit(tmp_path, Module(poison=2), [LmdiagCallback(path), Crash()])
    assert [r["loss"] == "NaN" for r in records(path, "step")] == [False, False, True, True]
    assert records(path, "event")[-1]["message"] == "RuntimeError: out of memory"
    assert records(path, "end")[0]["status"] == "crashed"


def test_the_logger_alone(tmp_path):
    path, module = tmp_path / "a.jsonl", Module(logs=True)
    fit(tmp_path, module, logger=LmdiagLogger(path, task="causal-lm"))
    (run,) = runs_of(Source(str(path), path))
    assert run["loss"].steps.tolist() == list(range(1, 13))
    assert run["loss"].values == pytest.approx(module.losses)
    assert run["val/loss"].steps.tolist() == [6, 12]
    assert run.config["config"] == {"logs": True, "poison": -1}
    assert (run.config["task"], run.complete) == ("causal-lm", True)


def test_logger_and_callback_share_a_file(tmp_path):
    path, module = tmp_path / "a.jsonl", Module(logs=True)
    fit(tmp_path, module, [LmdiagCallback()], logger=LmdiagLogger(path))
    (run,) = runs_of(Source(str(path), path))
    assert (len(run["loss"]), len(run["grad_norm"]), len(run["val/loss"])) == (12, 12, 2)
    assert run.config["grad_clip"] == 0.5


def test_a_callback_without_a_file_says_what_it_needs(tmp_path):
    with pytest.raises(ValueError, match="needs a path"):
        fit(tmp_path, Module(), [LmdiagCallback()])


def test_the_run_is_stopped_when_the_log_shows_an_error(tmp_path):
    class Slow(Callback):
        def on_train_batch_start(self, *args):
            time.sleep(0.02)

    path = tmp_path / "a.jsonl"
    trainer = fit(
        tmp_path, Module(poison=0), [LmdiagCallback(path, stop_on="error", check_every_s=0.0), Slow()], max_epochs=500
    )
    assert 0 < trainer.global_step < 3000
    assert "stopped" in [r["kind"] for r in records(path, "event")]
