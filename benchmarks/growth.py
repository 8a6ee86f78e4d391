"""How the time to read a log grows with its length: four times the lines must not take much more than four times as long.

    python benchmarks/growth.py             # every kind of log, at n, 4n and 16n; a few minutes
    python benchmarks/growth.py restarts --lines 4000
    python benchmarks/growth.py --rules     # each rule on a run of so many records, instead

Every size is read in a process of its own, which has read a short log before, and the time of the processor is taken; of
several tries the fastest. Exits 1 where a log of four times the size takes more than 4.6 times as long.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmdiag.finding import Rule
    from lmdiag.run import Run

MOST = 4.6
NOTICED = 0.004  # seconds from which a rule is worth a ratio
LOOKED = NOTICED / 16  # in less a rule of such a ratio has said that it does not look
READ = """
import sys, time
from lmdiag.errors import LmdiagError
from lmdiag.judging.reading import read_all
def read(path):
    try:
        read_all(path)
    except LmdiagError:
        pass
read(sys.argv[1])
started = time.process_time()
read(sys.argv[2])
print(time.process_time() - started)
"""
TOKENS = (
    "loss ",
    "loss: ",
    "1 ",
    "1.5 ",
    "step 1 ",
    "=",
    "a=1 ",
    "{'a': ",
    "1/2 ",
    "| ",
    "epoch ",
    "(",
    "%|",
    "it [",
    "1: ",
)


def loss(k: int) -> str:
    return f"{2 + 8 / math.sqrt(1 + k / 50) + 0.02 * math.sin(k * 1.7):.4f}"


def runs(n: int) -> Iterator[str]:
    """Yield runs of fifty steps in one file."""
    return (
        f"step {k % 50 + 1}/50 loss {loss(k % 50)}" + ("\nTraining completed" if k % 50 == 49 else "") for k in range(n)
    )


def restarts(n: int) -> Iterator[str]:
    """Yield one run that goes back by twenty steps after every sixty."""
    return (f"step {k // 60 * 40 + k % 60 + 1}/{n} loss {loss(k)}" for k in range(n))


def starts(n: int) -> Iterator[str]:
    """Yield a counter that starts again and again, of runs that were cut short."""
    return (f"step {k % 40 + 1} loss {loss(k % 40)}" for k in range(n))


def evaluations(n: int) -> Iterator[str]:
    """Yield an evaluation between all steps."""
    return (f"step {k + 1}/{n} loss {loss(k)}\nval loss: {loss(k)}" for k in range(n // 2))


def epochs(n: int) -> Iterator[str]:
    """Yield many epochs of twenty steps."""
    return (f"Epoch [{k // 20 + 1}/{n // 20}], Step [{k % 20 + 1}/20], Loss: {loss(k)}" for k in range(n))


def epoch_lines(n: int) -> Iterator[str]:
    """Yield one line an epoch."""
    return (f"Epoch {k + 1}/{n} - train loss: {loss(k)} - val loss: {loss(k)}" for k in range(n))


def headlines(n: int) -> Iterator[str]:
    """Yield places with their losses below."""
    return (f"epoch {k // 20 + 1} step {k % 20 + 1}/20\nloss {loss(k)}" for k in range(n // 2))


def bars(n: int) -> Iterator[str]:
    """Yield a bar for each epoch, and what is printed behind it."""
    for k in range(n):
        e, at = divmod(k, 50)
        yield f"\rEpoch {e}: {2 * at + 2:3d}%|{'#' * (at // 5)}| {at + 1}/50 [00:01<00:03, 5.1it/s, loss={loss(k)}]"
        if at == 49:
            yield f"\nEpoch {e}: train_loss {loss(k)} val_loss {loss(k)}\n"


def bars_of_every_length(n: int) -> Iterator[str]:
    """Yield bars whose number of steps is another in each epoch."""
    for e in range(n // 20):
        yield from (
            f"{at * 5:3d}%|###  | {at}/{20 + e} [00:01<00:03, 5.1it/s, loss={loss(e * 20 + at)}]" for at in range(1, 21)
        )


def validated_bars(n: int) -> Iterator[str]:
    """Yield a bar of an evaluation behind all twenty steps."""
    for k in range(n):
        yield f"Epoch 0: 10%|#   | {k + 1}/{n} [00:01<00:03, 5.1it/s, loss={loss(k)}]"
        if k % 20 == 19:
            yield f"Validation: 100%|####| 9/9 [00:01<00:00, 5.1it/s, loss={loss(k)}]"


def keras(n: int) -> Iterator[str]:
    """Yield the lines that Keras draws."""
    for k in range(n):
        if k % 50 == 0:
            yield f"Epoch {k // 50 + 1}/{n // 50}"
        yield f"{k % 50 + 1}/50 ━━━━━━━━━━ 1s 5ms/step - accuracy: 0.5 - loss: {loss(k)}"


def ranks(n: int) -> Iterator[str]:
    """Yield the lines of eight processes."""
    return (f"[rank{k % 8}]: step {k // 8 + 1} loss {loss(k // 8)}" for k in range(n))


def json_lines(n: int) -> Iterator[str]:
    """Yield plain records."""
    return (json.dumps(record(k)) for k in range(n))


def json_evaluations(n: int) -> Iterator[str]:
    """Yield a record with other names behind every second one."""
    return (json.dumps(record(k) if k % 3 < 2 else {"step": k, "eval_loss": float(loss(k))}) for k in range(n))


def json_odd_lines(n: int) -> Iterator[str]:
    """Yield a NaN and a torn line among every twenty records."""
    for k in range(n):
        line = json.dumps(record(k) | ({"grad_norm": float("nan")} if k % 20 == 3 else {}))
        yield line[: len(line) // 2] if k % 20 == 7 else line


def json_nested(n: int) -> Iterator[str]:
    """Yield records with the statistics of four layers."""
    return (json.dumps(record(k) | {"layers": {f"h.{i}": {"grad_norm": 1.0 + i} for i in range(4)}}) for k in range(n))


def json_columns(n: int) -> Iterator[str]:
    """Yield a hundred records of ever more columns."""
    return (json.dumps(record(k) | {f"metric_{i}": 1.0 + k for i in range(n // 40)}) for k in range(100))


def json_words(n: int) -> Iterator[str]:
    """Yield records with a time in words, another in each."""
    return (json.dumps(record(k) | {"at": f"2026-01-02 03:{k // 60 % 60:02}:{k % 60:02}.{k}"}) for k in range(n))


def json_restarts(n: int) -> Iterator[str]:
    """Yield a run that begins anew, from ten steps before, after every hundred."""
    for k in range(n):
        if k % 100 == 0:
            yield json.dumps(
                {"type": "run", "schema": "lmdiag-log/1", "run_id": "a", "resumed_from_step": k // 100 * 90}
            )
        yield json.dumps({"type": "step", "step": k // 100 * 90 + k % 100, "loss": float(loss(k))})


def trainer_state(n: int) -> Iterator[str]:
    """Yield the state of a trainer that logs every step."""
    yield json.dumps({"max_steps": n, "log_history": [record(k) for k in range(n)]}, indent=2)


def json_list(n: int) -> Iterator[str]:
    """Yield a document with a list of records."""
    yield json.dumps([record(k) for k in range(n)])


def table(n: int) -> Iterator[str]:
    """Yield a table in CSV."""
    yield ",".join(record(0))
    yield from (",".join(map(str, record(k).values())) for k in range(n))


def record(k: int) -> dict[str, float]:
    return {"step": k, "loss": float(loss(k)), "lr": 3e-4, "grad_norm": 1 + k % 7 / 10, "tokens_per_sec": 1e5 - k % 90}


KINDS: tuple[Callable[[int], Iterator[str]], ...] = (
    runs, restarts, starts, evaluations, epochs, epoch_lines, headlines, bars, bars_of_every_length, validated_bars, keras, ranks,
    json_lines, json_evaluations, json_odd_lines, json_nested, json_columns, json_words, json_restarts, trainer_state, json_list, table,
)  # fmt: skip


SUFFIXES = {"table": ".csv", "trainer_state": ".json", "json_list": ".json"}  # of the files of some kinds


def repeated(token: str, width: int) -> str:
    """Return a short log with ten lines that repeat one token, without a plan for any of them."""
    line = (token * (width // len(token) + 1))[:width]
    return "\n".join(part for k in range(40) for part in (f"step {k} loss {loss(k)}", line) if k < 10 or part != line)


def rules(lines: int, tries: int) -> Iterator[tuple[str, list[float]]]:
    """Yield each rule that can look at a run, without evaluations or with them, and its least time at three sizes."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in a check: threads that wait take time, too
    from lmdiag.gather import run_of
    from lmdiag.readers.json.lines import read
    from lmdiag.rules import RULES
    from lmdiag.sources.source import Source

    for kind in (json_lines, json_evaluations):
        contents = ("\n".join(kind(factor * lines)).encode() for factor in (1, 4, 16))
        runs = [run_of(read(Source("a.jsonl", content=content))[0]) for content in contents]
        for rule in RULES:
            if not any(map(rule.missing, runs)):
                took = [min(_looking(rule, _unseen(run)) for _ in range(tries)) for run in runs]
                yield f"{rule.name}, {kind.__name__.removeprefix('json_')}", took


def _unseen(run: Run) -> Run:
    """Return the same run in other arrays, of which no rule remembers anything."""
    series = {
        name: replace(series, steps=series.steps.copy(), values=series.values.copy())
        for name, series in run.series.items()
    }
    return replace(run, series=series)


def _looking(rule: Rule, run: Run) -> float:
    started = time.process_time()
    list(rule.look(run))
    return time.process_time() - started


def seconds(short: Path, log: Path, tries: int) -> float:
    """Return the least time of the processor that a log takes."""
    command = [sys.executable, "-c", READ, str(short), str(log)]
    return min(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(tries))


def reading(logs: dict[str, list[Callable[[], str]]], tries: int) -> Iterator[tuple[str, list[float]]]:
    """Yield each kind of log, and the least time that reading it takes at three sizes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in logs.items():
            suffix = SUFFIXES.get(name, ".log")
            short, log = Path(folder, f"short{suffix}"), Path(folder, f"x{suffix}")
            took = []
            for size, text in enumerate(sizes):
                log.write_text(f"{text()}\n")
                if not size:
                    short.write_text(log.read_text() if suffix == ".json" else log.read_text()[:4000])
                took.append(seconds(short, log, tries))
            yield name, took


def main() -> None:
    """Print how long each kind of log takes at three sizes, and the ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("kinds", nargs="*", help="names of kinds, by default all")
    arguments.add_argument("--lines", type=int, default=2000, help="n")
    arguments.add_argument("--tries", type=int, default=3)
    arguments.add_argument("--rules", action="store_true", help="each rule, instead of the reading")
    options = arguments.parse_args()
    logs = {
        f"{kind.__name__}": [lambda k=kind, f=factor: "\n".join(k(f * options.lines)) for factor in (1, 4, 16)]
        for kind in KINDS
    }
    logs |= {
        f"{token!r} repeated": [lambda t=token, w=w: repeated(t, w) for w in (1000, 2000, 8000)] for token in TOKENS
    }
    print("| log or rule | seconds at n | 4n / n | 16n / 4n |\n| --- | ---: | ---: | ---: |")
    if options.rules:
        measured = (row for row in rules(options.lines, options.tries) if row[1][1] >= NOTICED and row[1][0] >= LOOKED)
    else:
        chosen = {
            name: sizes
            for name, sizes in logs.items()
            if not options.kinds or name.split(" repeated")[0].strip("'") in options.kinds
        }
        measured = reading(chosen, options.tries)
    worst = 0.0
    for name, took in measured:
        ratios = [took[1] / took[0], took[2] / took[1]]
        worst = max(worst, *ratios)
        print(f"| {name} | {took[0]:.4f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)
    raise SystemExit(worst > MOST)


if __name__ == "__main__":
    main()
