"""Write the standard log of a training run, `lmdiag-log/1`, with nothing but the standard library.

    with RunLogger("runs/a.jsonl", config={"lr": 3e-4}, max_steps=1000, grad_clip=1.0) as log:
        for step in range(1, 1001):
            ...
            log.step(step, loss=loss, lr=lr, grad_norm=norm)
        log.eval(1000, split="val", loss=val_loss)

Every record is one line of strict JSON, appended with one write: a killed process tears at most the last line.
A disk that is full in the middle of a run costs records, never the run.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SCHEMA = "lmdiag-log/1"
CLOCKS = {"time", "elapsed_s", "step_time_s", "data_time_s", "eval_time_s", "tokens_per_sec", "mem_bytes"}


class LogInUse(ValueError):
    """The file to write to already holds another run, or is no standard log."""


class RunLogger:
    """Append the records of one training run to a file.

    `config` is the program's own settings; further keywords are facts of the header (`name`, `framework`, `task`,
    `model`, `max_steps`, `warmup_steps`, `batch_tokens`, `grad_clip`, `precision`, `loss_reduction`, …). Numbers may be
    Python's, NumPy's or tensors of one element. Only the process of rank 0 (environment variable `RANK`) writes;
    with `all_ranks` rank N > 0 writes beside it to `<name>.rankN<suffix>`. Without `clock` no record says when it was
    written, how long anything took or how much memory it needed, so that the same run writes the same log.

    `resume` continues the run the file holds, in a new `run` record with the same `run_id`; say where with
    `resumed_from_step`, else the last step of the file is taken. A missing file starts a new run.

    Raises LogInUse for a file that holds a run already (without `resume`) or something else (with it), and for one that
    another process still writes to, where the system can tell.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.jsonl")
    >>> with RunLogger(path, name="a", max_steps=2) as log:
    ...     log.step(1, loss=2.5, lr=1e-3)
    ...     log.step(2, loss=float("nan"), lr=1e-3)
    >>> [json.loads(line).get("loss") for line in path.read_text().splitlines()]
    [None, 2.5, 'NaN', None]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Mapping[str, Any] | None = None,
        *,
        resume: bool = False,
        all_ranks: bool = False,
        clock: bool = True,
        run_id: str = "",
        **header: Any,
    ) -> None:
        rank = int(os.environ.get("RANK", "0"))
        self.path = Path(path) if rank == 0 else Path(path).with_suffix(f".rank{rank}{Path(path).suffix}")
        self.last_step: int | None = None
        self._ended = False
        self._process = os.getpid()
        self._clock = clock
        self._started = time.monotonic()
        self._descriptor: int | None = None
        self._lost = 0  # records since the disk is full
        self._torn = self._said = False
        if rank and not all_ranks:
            self.run_id = run_id
            return
        held = _held_run(self.path)
        if held is not None:
            self._check_usable(held, resume, run_id)
            header = {"resumed_from_step": held["last_step"], **header}
            run_id = held["run_id"]
        self.run_id = run_id or uuid.uuid4().hex[:12]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if not _locked(self._descriptor):
            os.close(self._descriptor)
            raise LogInUse(
                f"{self.path} is being written by another process. End it first, or choose another file name."
            )
        facts = {"schema": SCHEMA, "run_id": self.run_id, "time": self._time(), "loss_unit": "nats", **header}
        if config is not None:
            facts["config"] = dict(config)
        self._append({"type": "run", **facts}, start="\n" if held is not None and held["torn"] else "", words=str)

    def _check_usable(self, held: Mapping[str, Any], resume: bool, run_id: str) -> None:
        if not held["run_id"]:
            raise LogInUse(f"{self.path} exists and is not a standard log. Choose another file name.")
        if not resume:
            raise LogInUse(f"{self.path} already holds a run. Choose another file name, delete it, or resume the run.")
        if run_id and run_id != held["run_id"]:
            raise LogInUse(f"{self.path} holds the run {held['run_id']}, not {run_id}. Choose another file name.")

    def step(self, /, step: int, **metrics: Any) -> None:
        """Record what was measured at a step of training: `loss`, `lr`, `grad_norm`, …, `layers={name: {…}}`.

        `step` counts the optimizer updates completed when the values were measured: 1 after the first.
        """
        self.last_step = step
        self._append({"type": "step", "step": step, "time": self._time(), **metrics})

    def eval(self, /, step: int, split: str = "val", **metrics: Any) -> None:
        """Record an evaluation: `loss` in nats per token, `accuracy`, `n_tokens`, … on the set named `split`."""
        self._append({"type": "eval", "step": step, "split": split, "time": self._time(), **metrics})

    def event(self, kind: str, step: int | None = None, message: str = "", **fields: Any) -> None:
        """Record that something happened: `checkpoint_saved`, `restart`, `sample`, `exception`, …"""
        facts = {"step": step, "message": message or None}
        self._append({"type": "event", "kind": kind, "time": self._time(), **facts, **fields}, words=str)

    def end(self, status: str = "completed", **fields: Any) -> None:
        """Record how the run ended (`completed`, `crashed`, `killed`) and close the file; only the first call counts."""
        if self._ended:
            return
        self._ended = True
        elapsed = round(time.monotonic() - self._started, 3)
        facts = {"step": self.last_step, "elapsed_s": elapsed}
        self._append({"type": "end", "status": status, "time": self._time(), **facts, **fields}, words=str)
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a quota may show only now
                os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if os.getpid() != self._process:  # a child, begun by os.fork in the block, ends itself and not the run
            return
        if error is None:
            self.end("completed")
        elif isinstance(error, KeyboardInterrupt):
            self.end("killed", exit_code=130)
        elif isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            self.end("crashed" if code else "completed", exit_code=code)
        else:
            self.event("exception", self.last_step, f"{type(error).__name__}: {error}")
            self.end("crashed", exit_code=1)

    def _time(self) -> float:
        return round(time.time(), 3)

    def _append(self, record: dict[str, Any], start: str = "", words: type[str] | None = None) -> None:
        """Write one line. `words` turns what is no number (a path, an enum) into text; without it that is an error."""
        if self._descriptor is None:
            return
        if self._lost:
            gap = f'{{"type":"event","kind":"records_lost","message":"{self._lost} records could not be written"}}\n'
            start = ("\n" if self._torn else "") + gap
        left_out = () if self._clock else CLOCKS
        record = {name: value for name, value in record.items() if value is not None and name not in left_out}
        try:
            line = _encode(record)
        except (
            ValueError,
            TypeError,
            RuntimeError,
        ):  # rare: non-finite numbers, which strict JSON does not have, and odd types
            line = _encode(_strict(record, words))
        self._write(f"{start}{line}\n".encode("utf-8", "backslashreplace"), self._descriptor, record["type"] == "run")

    def _write(self, data: bytes, descriptor: int, first: bool) -> None:
        """Append bytes; only the `first` record of a log raises, before training, what later ones survive."""
        left = data
        try:
            while left:  # the system may take only a part, on a full disk for example
                left = left[os.write(descriptor, left) :]
        except OSError as error:
            if first:
                raise
            self._lost += 1
            self._torn |= left != data
            if not self._said:
                self._said = True
                logging.getLogger("lmdiag").warning(
                    "%s cannot be written (%s); training goes on without its log", self.path, error.strerror
                )
        else:
            self._lost, self._torn = 0, False


def _locked(descriptor: int) -> bool:
    """Lock a file for this process until it ends; False where another one has. Not every system and disk can tell."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def _number(value: Any) -> Any:
    """Return the Python number in a NumPy scalar or a tensor of one element."""
    if not hasattr(value, "item"):
        raise TypeError(f"a {type(value).__name__}")
    return value.item()


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_number).encode


def _strict(value: Any, words: type[str] | None, name: str = "") -> Any:
    """Return the value with non-finite numbers as strings, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item, words, f"{name}.{key}".strip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_strict(item, words, name) for item in value]
    if isinstance(value, float):
        return _float(value)
    if value is None or isinstance(value, str | int):
        return value
    try:
        return _strict(_number(value), words, name)
    except (TypeError, ValueError, RuntimeError) as error:
        if words is not None:
            return words(value)
        raise TypeError(f"{name} is not a single number: {value!r}"[:200]) from error


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _held_run(path: Path) -> dict[str, Any] | None:
    """Return what a resume must know of the run a file holds: its `run_id` ("" for no standard log), `last_step` and
    whether the last line is `torn`; None for a missing or empty file."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    run_id, last_step, line = "", 0, b""
    with path.open("rb") as file:
        for line in file:
            record = _record(line)
            if record.get("type") == "run" and record.get("schema") == SCHEMA:
                run_id = run_id or str(record.get("run_id", ""))
            if record.get("type") == "step":
                last_step = int(record.get("step", 0))
    return {"run_id": run_id, "last_step": last_step, "torn": not line.endswith(b"\n")}


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:  # the torn last line of a killed process
        return {}
    return record if isinstance(record, dict) else {}
