"""Let `lmdiag check` look at a log while it is written, in a process of its own, so that training never waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SEVERITIES = ("error", "warning")


class Judge:
    """Say whether a run should be stopped: `lmdiag check --fail-on SEVERITY` found something in its log.

    `stop_on` is `error`, `warning` or "" for never; a check begins `every_s` seconds after the one before.
    With several processes one of them would stop and the others wait for it for ever: there `stop_on` is refused.
    """

    def __init__(self, path: str | os.PathLike[str], stop_on: str = "", every_s: float = 60.0) -> None:
        if stop_on and stop_on not in SEVERITIES:
            raise ValueError(f'stop_on is "{stop_on}"; it can be {" or ".join(SEVERITIES)}, or "" for never')
        if stop_on and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError("stop_on works in runs of one process; check the log from outside with `lmdiag watch`")
        self.path, self.stop_on, self.every_s = Path(path), stop_on, every_s
        self._begun = time.monotonic()
        self._check: subprocess.Popen[bytes] | None = None

    def says_stop(self) -> bool:
        """Begin a check if it is time for one; return True once a check has found something."""
        if not self.stop_on:
            return False
        if self._check is not None:
            code = self._check.poll()
            if code is not None:
                self._check = None
            return code == 1
        if time.monotonic() - self._begun >= self.every_s:
            self._begun = time.monotonic()
            command = [sys.executable, "-m", "lmdiag", "check", str(self.path), "--fail-on", self.stop_on]
            self._check = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return False

    def close(self) -> None:
        """End a check that is still going on."""
        if self._check is not None:
            self._check.kill()
            self._check.wait()
            self._check = None
