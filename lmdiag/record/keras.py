"""A callback for Keras 3 that writes the standard log: one record for every batch.

    from lmdiag.record.keras import LmdiagCallback

    model.fit(data, callbacks=[LmdiagCallback("runs/a.jsonl")])

    with LmdiagCallback("runs/a.jsonl") as callback:  # so that the log says it, should the run crash
        model.fit(data, callbacks=[callback])

Keras tells callbacks the mean loss of the epoch so far, which hides what one batch does and stays NaN after one NaN.
With the PyTorch backend the callback takes the loss of the batch itself, and the gradients too; with other
backends it works the loss out from two means.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import keras

from lmdiag.record.judge import Judge
from lmdiag.record.splits import by_split
from lmdiag.record.writer import RunLogger


class LmdiagCallback(keras.callbacks.Callback):
    """Write `path` while `fit` runs; further keywords (`task`, `batch_tokens`, …) are facts of the log's header.

    `log_every` is the number of batches between records, `layers_every` between per-layer statistics, 0 for none.
    With `stop_on="error"` the run is stopped when `lmdiag check` finds an error in its log. A model that was trained before goes on
    in the log it has.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        log_every: int = 1,
        layers_every: int = 10,
        stop_on: str = "",
        check_every_s: float = 60.0,
        **header: Any,
    ) -> None:
        super().__init__()
        self.path, self.log_every, self.layers_every, self.header = path, log_every, layers_every, header
        self.judge = Judge(path, stop_on, check_every_s)
        self.run_log: RunLogger | None = None
        self._loss: Any = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        config = {"optimizer": self.model.optimizer.get_config()}
        facts = {"config": config, **_header(self.model, self.params, self.log_every), **self.header}
        resumed = int(self.model.optimizer.iterations) or None
        self.run_log = RunLogger(self.path, resume=bool(resumed), resumed_from_step=resumed, **facts)
        self._statistics: Any = None
        self._ended = time.perf_counter()
        if keras.backend.backend() == "torch":
            self._take_losses()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch, self._mean = epoch, 0.0

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._lr = float(self.model.optimizer.learning_rate)  # a schedule is one update further afterwards
        self._begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        step = int(self.model.optimizer.iterations)
        logs = logs or {}
        mean = float(logs.get("loss", math.nan))
        if step % self.log_every == 0:
            record = (
                self._measured(step) if self._loss is not None else {"loss": batch_loss(mean, self._mean, batch + 1)}
            )
            record["lr"] = self._lr
            now = time.perf_counter()
            record |= {"step_time_s": round(now - self._ended, 5), "data_time_s": round(self._begun - self._ended, 5)}
            self._write().step(step, epoch=self._epoch + self._share(batch), **record)
        self._mean, self._loss = mean, None
        self._ended = time.perf_counter()
        if self.judge.says_stop(urgent=not math.isfinite(mean)):
            self._write().event("stopped", step, self.judge.found)
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        step = int(self.model.optimizer.iterations)
        for split, found in by_split(logs or {}).items():
            if split:
                self._write().eval(step, split=split, **found)
        self._ended = time.perf_counter()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.judge.close()
        self.model.__dict__.pop("compute_loss", None)
        self._write().end(self.judge.status)
        self.run_log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: Any) -> None:
        """End the log of a run that crashed or was interrupted: Keras tells callbacks nothing of it."""
        self.judge.close()
        if self.run_log is not None:
            self.run_log.__exit__(*why)
            self.run_log = None

    def _take_losses(self) -> None:
        """Keep the loss of each batch as the model computes it; the model itself goes on as before."""
        compute = self.model.compute_loss

        def compute_and_keep(*args: Any, **kwargs: Any) -> Any:
            loss = compute(*args, **kwargs)
            if kwargs.get("training", True):
                self._loss = loss.detach()
            return loss

        # Past Keras' own attribute tracking, which is for layers and variables.
        self.model.__dict__["compute_loss"] = compute_and_keep

    def _measured(self, step: int) -> dict[str, Any]:
        """Measure loss, gradients and parameters; with PyTorch the gradients stay until the next batch, unclipped."""
        from lmdiag.record.gradients import GradientStatistics

        if self._statistics is None:
            self._statistics = GradientStatistics(_Variables(self.model.trainable_variables))  # type: ignore[arg-type]
        self._statistics.before_update(update=False)
        found: dict[str, Any] = self._statistics.after_update(
            self.layers_every > 0 and step % self.layers_every == 0, loss=self._loss
        )
        return found

    def _share(self, batch: int) -> float:
        steps = self.params.get("steps")
        return round((batch + 1) / steps, 6) if steps else 0.0

    def _write(self) -> RunLogger:
        assert self.run_log is not None, "fit has not begun"
        return self.run_log


class _Variables:
    """The trainable variables under their paths, in the form in which PyTorch modules give theirs."""

    def __init__(self, variables: list[Any]) -> None:
        self.variables = variables

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        for variable in self.variables:
            yield variable.path.replace("/", "."), variable.value


def batch_loss(mean: float, mean_before: float, batches: int) -> float | None:
    """Return the loss of the last of so many batches from the running means after and before it; None if it is unknown.

    >>> batch_loss(2.5, 3.0, 2), batch_loss(float("nan"), 3.0, 2), batch_loss(float("nan"), float("nan"), 3)
    (2.0, nan, None)
    """
    if batches == 1:
        return mean
    return mean * batches - mean_before * (batches - 1) if math.isfinite(mean_before) else None


def _header(model: Any, params: Mapping[str, Any], log_every: int) -> dict[str, Any]:
    optimizer = model.optimizer
    steps, epochs = params.get("steps"), params.get("epochs")
    return {
        "framework": f"keras-{keras.backend.backend()}",
        "framework_version": keras.__version__,
        "optimizer": type(optimizer).__name__,
        "max_steps": steps * epochs if steps and epochs else None,
        "grad_clip": optimizer.global_clipnorm or optimizer.clipnorm or 0,
        "loss_reduction": "step_mean",
        "log_every": log_every,
        "model": {"name": model.name, "params": model.count_params()},
    }
