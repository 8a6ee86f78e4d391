"""A tracker for Accelerate that writes the standard log.

from lmdiag.record.accelerate import LmdiagTracker

accelerator = Accelerator(log_with=LmdiagTracker("runs/a.jsonl"))
accelerator.init_trackers("my project", config=settings)
accelerator.log({"loss": loss, "lr": lr, "grad_norm": norm}, step=step)
accelerator.log({"val_loss": val_loss}, step=step)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import accelerate
from accelerate.tracking import GeneralTracker, on_main_process

from lmdiag.record.splits import by_split
from lmdiag.record.writer import RunLogger


class LmdiagTracker(GeneralTracker):
    """Write to `path` what is given to `accelerator.log`; further keywords are facts of the log's header.

    `step` counts optimizer updates completed. Names that begin with `val`, `valid`, `eval` or `test` are
    evaluations. Without `accelerator.end_training()` the log has no end, and the run counts as cut off.
    """

    name = "lmdiag"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, path: str | os.PathLike[str], resume: bool = False, **header: Any) -> None:
        super().__init__()
        self.path, self.resume, self.header = path, resume, header
        self._config: dict[str, Any] = {}
        self._log: RunLogger | None = None
        self._step = 0

    @property
    def tracker(self) -> RunLogger:
        """The log, for events such as generated samples; opened when something is first written."""
        if self._log is None:
            facts = {"framework": "accelerate", "framework_version": accelerate.__version__, **self.header}
            self._log = RunLogger(self.path, self._config or None, resume=self.resume, **facts)
        return self._log

    @on_main_process
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Keep the settings for the header."""
        self._config |= dict(values)

    @on_main_process
    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record metrics at a step; without one they belong to the step after the last."""
        found = by_split(values)
        step = self._step + bool(found.get("")) if step is None else step
        self._step = step
        for split, metrics in found.items():
            if split:
                self.tracker.eval(step, split=split, **metrics)
            else:
                self.tracker.step(step, **metrics)

    @on_main_process
    def finish(self) -> None:
        """End the log."""
        if self._log is not None:
            self._log.end("completed")
            self._log = None
