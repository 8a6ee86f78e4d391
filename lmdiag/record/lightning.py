"""A callback and a logger for Lightning that write the standard log.

    from lmdiag.record.lightning import LmdiagCallback

    Trainer(callbacks=[LmdiagCallback("runs/a.jsonl")])

The callback needs nothing of the module: loss, gradients before clipping, learning rate and evaluations come from the
trainer. `LmdiagLogger` records what the module itself logs; with both, everything goes into the logger's file.
"""

from __future__ import annotations

import math
import os
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from lmdiag.record.gradients import GradientStatistics
from lmdiag.record.judge import Judge
from lmdiag.record.splits import by_split
from lmdiag.record.writer import RunLogger

_STATUS = {"success": "completed", "finished": "completed", "failed": "crashed", "aborted": "crashed"}


class LmdiagLogger(Logger):
    """Write to `path` what the module logs with `self.log`; further keywords are facts of the log's header."""

    def __init__(self, path: str | os.PathLike[str], **header: Any) -> None:
        super().__init__()
        self.path, self.header = path, header
        self._config: dict[str, Any] = {}
        self._log: RunLogger | None = None

    @property
    def name(self) -> str:
        return "lmdiag"

    @property
    def version(self) -> str:
        return os.path.basename(self.path)

    def opened(self) -> RunLogger:
        """Return the log, opened when something is first written: by then the hyperparameters are known."""
        if self._log is None:
            header = {"framework": "lightning", "framework_version": lightning.__version__, **self.header}
            self._log = RunLogger(self.path, self._config or None, **header)
        return self._log

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        self._config |= vars(params) if isinstance(params, Namespace) else dict(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record metrics of a step; Lightning counts the updates done before the batch, the log those after it."""
        done = (step or 0) + 1
        for split, found in by_split(metrics).items():
            if split:
                self.opened().eval(done, split=split, **found)
            elif set(found) - {"epoch"}:
                self.opened().step(done, **found)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._log is not None:
            self._log.end(_STATUS.get(status, "completed"))
            self._log = None


class LmdiagCallback(Callback):
    """Write one record for every optimizer update: mean loss of its batches, norms before clipping, times, evaluations.

    `layers_every` is the number of updates between per-layer statistics, 0 for none. `path` is not needed beside a
    `LmdiagLogger`. With `stop_on="error"` the run is stopped when `lmdiag check` finds an error in its log.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = "",
        layers_every: int = 10,
        stop_on: str = "",
        check_every_s: float = 60.0,
        **header: Any,
    ) -> None:
        self.path, self.layers_every, self.header = path, layers_every, header
        self._stop_on, self._check_every_s = stop_on, check_every_s
        self.run_log: RunLogger | None = None
        self._owns_log = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, LmdiagLogger)]
        if not loggers and not self.path:
            raise ValueError("LmdiagCallback needs a path, LmdiagCallback('runs/a.jsonl'), or a LmdiagLogger beside it")
        facts = _header(trainer, pl_module) | self.header
        self._owns_log = not loggers
        if loggers:
            loggers[0].header = facts | loggers[0].header
            self.run_log = loggers[0].opened()
        else:
            resumed = trainer.global_step or None
            self.run_log = RunLogger(
                self.path, dict(pl_module.hparams), resume=bool(resumed), resumed_from_step=resumed, **facts
            )
        self.judge = Judge(loggers[0].path if loggers else self.path, self._stop_on, self._check_every_s)
        self._statistics = GradientStatistics(pl_module)
        self._losses: list[torch.Tensor] = []
        self._lr = self._limit = 0.0
        self._ended = self._begun = time.perf_counter()
        self._waited = 0.0
        self._finite = True

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._begun = time.perf_counter()
        self._updates = trainer.global_step
        self._measured = False

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Measure the gradients: accumulated, unscaled, and not yet clipped."""
        self._statistics.before_update(update=self._wants_layers(trainer))
        self._lr = optimizer.param_groups[0]["lr"]
        self._measured = True

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if torch.is_tensor(loss):
            self._losses.append(loss.detach())
        now = time.perf_counter()
        self._waited += self._begun - self._ended
        if trainer.global_step > self._updates:
            self._record(trainer, now)
        else:
            self._ended = now
        if self.judge.says_stop(urgent=not self._finite):
            self._write().event("stopped", trainer.global_step, self.judge.found)
            trainer.should_stop = True

    def _record(self, trainer: Any, now: float) -> None:
        # Lightning hands over each loss divided by the number of batches that it accumulates.
        whole = trainer.accumulate_grad_batches
        mean = {"loss": torch.stack(self._losses).float().mean() * whole} if self._losses else {}
        # The count of updates has risen: the layers are those asked for before it.
        layers = self.layers_every > 0 and trainer.global_step % self.layers_every == 0
        found = (
            self._statistics.after_update(layers, **mean) if self._measured else {k: v.item() for k, v in mean.items()}
        )
        limit = trainer.gradient_clip_val
        if limit and trainer.gradient_clip_algorithm in (None, "norm") and "grad_norm" in found:
            found["clip_frac"] = float(not found["grad_norm"] <= limit)
        spent = now - self._begun + self._waited
        times = {"step_time_s": round(spent, 5), "data_time_s": round(self._waited, 5)}
        self._finite = math.isfinite(found.get("loss", 0.0))
        self._write().step(trainer.global_step, lr=self._lr, epoch=trainer.current_epoch, **times, **found)
        self._losses, self._waited, self._ended = [], 0.0, now

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking and self.run_log is not None and self._owns_log:
            for split, found in by_split(trainer.callback_metrics).items():
                if split:
                    self.run_log.eval(trainer.global_step, split=split, **found)
        self._ended = time.perf_counter()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        if self.run_log is not None:
            self.run_log.event("checkpoint_saved", trainer.global_step)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if self.run_log is not None:
            interrupted = isinstance(exception, KeyboardInterrupt)
            if not interrupted:
                self.run_log.event("exception", trainer.global_step, f"{type(exception).__name__}: {exception}")
            self._close("killed" if interrupted else "crashed")

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self._close(self.judge.status)

    def _close(self, status: str) -> None:
        self.judge.close()
        if self.run_log is not None and self._owns_log:
            self.run_log.end(status)
        self.run_log = None

    def _wants_layers(self, trainer: Any) -> bool:
        return self.layers_every > 0 and (trainer.global_step + 1) % self.layers_every == 0

    def _write(self) -> RunLogger:
        assert self.run_log is not None, "the Trainer has not begun to fit"
        return self.run_log


def _header(trainer: Any, module: Any) -> dict[str, Any]:
    planned = trainer.estimated_stepping_batches
    return {
        "framework": "lightning",
        "framework_version": lightning.__version__,
        "max_steps": int(planned) if planned not in (-1, float("inf")) else None,
        "grad_accum": trainer.accumulate_grad_batches,
        "world_size": trainer.world_size,
        "grad_clip": trainer.gradient_clip_val or 0,
        "precision": {"16-mixed": "fp16", "bf16-mixed": "bf16", "32-true": "fp32"}.get(
            trainer.precision, trainer.precision
        ),
        "loss_reduction": "step_mean",
        "log_every": 1,
        "model": {"name": type(module).__name__, "params": sum(p.numel() for p in module.parameters())},
    }
