"""Let `lmdiag check` look at a log while it is written, in a process of its own, so that training never waits for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

SEVERITIES = ("error", "warning")  # the worst first
AT_ONCE_S = 5.0  # least time between two checks where the loss itself gives reason for one


class Judge:
    """Say whether a run should be stopped: `lmdiag check` found something of the severity asked for in its log.

    `stop_on` is `error`, `warning` (which errors are as well) or "" for never; a check begins `every_s` seconds after
    the one before. A check that fails is no finding: that is said once, and the run goes on. Of several processes that train
    together through `torch.distributed` the first one looks, and all stop at the same step.
    """

    def __init__(self, path: str | os.PathLike[str], stop_on: str = "", every_s: float = 60.0) -> None:
        if stop_on and stop_on not in SEVERITIES:
            raise ValueError(f'stop_on is "{stop_on}"; it can be {" or ".join(SEVERITIES)}, or "" for never')
        self.path, self.stop_on, self.every_s = Path(path), stop_on, every_s
        self.found = ""  # why the run was to be stopped
        self._begun = time.monotonic()
        self._looked = False
        self._check: subprocess.Popen[bytes] | None = None
        self._failed = False
        self._team: Any = None  # the processes that train together, and hear of a stop over the CPU

    @property
    def status(self) -> str:
        """How a run ends that nothing else ended."""
        return "stopped" if self.found else "completed"

    def says_stop(self, urgent: bool = False) -> bool:
        """Begin a check if it is time for one; return True once a check has found something, and say what on stderr.

        `urgent` checks soon: the loss is not finite, for example. Processes that train together must all ask, at the same steps.
        """
        if not self.stop_on or self.found:
            return bool(self.found)
        distributed = _processes()
        if distributed is None or distributed.get_rank() == 0:
            self._look(urgent)
        if distributed is not None:
            self.found = self._told(distributed)
        return bool(self.found)

    def close(self) -> None:
        """End a check that is still going on."""
        if self._check is not None:
            self._check.kill()
            self._check.wait()
            self._check = None

    def _look(self, urgent: bool) -> None:
        at_once = AT_ONCE_S if self._looked else 0.0
        try:
            if self._check is not None:
                self.found = self._result()
            elif time.monotonic() - self._begun >= (min(self.every_s, at_once) if urgent else self.every_s):
                self._begin()
        except OSError as error:  # no memory for a process, no room for its output
            self._tell_failure(str(error))
        if self.found:
            logging.getLogger("lmdiag").warning("lmdiag stops this run: %s", self.found)

    def _told(self, distributed: Any) -> str:
        """Return what the first process has found. One that stopped alone would leave the others waiting for its gradients."""
        import torch

        if self._team is None:
            self._team = distributed.new_group(backend="gloo")  # over the CPU: no waiting for an accelerator
        found = torch.tensor([bool(self.found)], dtype=torch.uint8)
        distributed.broadcast(found, 0, group=self._team)
        said = [self.found]
        if found.item():  # once in a run
            distributed.broadcast_object_list(said, 0, group=self._team)
        return said[0]

    def _begin(self) -> None:
        self._begun, self._looked = time.monotonic(), True
        self._output, self._errors = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115  `whole` closes them
        command = [
            sys.executable,
            "-m",
            "lmdiag",
            "check",
            str(self.path),
            "--fail-on",
            self.stop_on,
            "--format",
            "json",
        ]
        self._check = subprocess.Popen(command, stdout=self._output, stderr=self._errors)

    def _result(self) -> str:
        """Return what the check found; "" where it goes on, found nothing, or failed."""
        assert self._check is not None
        code = self._check.poll()
        if code is None:
            return ""
        self._check = None
        said, complaint = whole(self._output), whole(self._errors)
        try:
            findings = [finding for run in json.loads(said)["runs"] for finding in run["findings"]]
        except (ValueError, KeyError, TypeError):  # Python that cannot import lmdiag ends with 1, as a finding does
            self._tell_failure(complaint.strip().rpartition("\n")[2] or f"it ended with {code}")
            return ""
        return worst(findings, self.stop_on) if code == 1 else ""

    def _tell_failure(self, why: str) -> None:
        if not self._failed:
            self._failed = True
            logging.getLogger("lmdiag").warning("lmdiag check failed (%s); training goes on, unjudged", why)


def _processes() -> Any:
    """Return `torch.distributed` where several processes train together, else None."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return None
    return torch.distributed if torch.distributed.get_world_size() > 1 else None


def whole(file: IO[bytes]) -> str:
    """Return all of a file, and close it."""
    with file:
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def worst(findings: list[dict[str, Any]], least: str) -> str:
    """Return the first of the worst findings, of a severity at least, as a sentence; "" for none.

    >>> findings = [{"rule": "plateau", "severity": "warning", "message": "It stands."}]
    >>> worst(findings, "warning"), worst(findings, "error")
    ('plateau: It stands.', '')
    """
    for severity in SEVERITIES[: SEVERITIES.index(least) + 1]:
        for finding in findings:
            if finding["severity"] == severity:
                return f"{finding['rule']}: {finding['message']}"
    return ""
