"""How fast and how lean logs are read and diagnosed, against polars and pandas reading the same file.

    python benchmarks/reading.py            # a log of a million steps, about ten minutes
    python benchmarks/reading.py --steps 100000 --pairs 3

Every figure is a ratio of whole processes, taken in pairs A B A B on the same file, medians: machines differ, and so does
one machine from minute to minute. The yardstick is `pl.read_ndjson` with the full schema on the clean log; for printed
logs it is what people write themselves, a loop over the lines with one compiled pattern that appends floats to lists.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FIELDS = ("step", "epoch", "loss", "grad_norm", "lr", "tokens", "tokens_per_sec", "step_time_s", "mem_bytes")
EVALUATED = ("val_loss", "val_ppl")
ODD_VALUES = ("NaN", "Infinity", "null", '"nan"', '"N/A"', '"inf"')
TORN_LINES = 30

YARDSTICK = """
import polars as pl, sys
names = sys.argv[2].split(",")
pl.read_ndjson(sys.argv[1], schema={name: pl.Float64 for name in names})
"""
PANDAS = """
import pandas as pd, sys
frame = pd.read_json(sys.argv[1], lines=True)
frame["loss"].rolling(100).mean(); frame["loss"].isna().sum()
"""
LOOP = """
import re, sys
pattern = re.compile(sys.argv[2])
columns = [[] for _ in range(pattern.groups)]
for line in open(sys.argv[1]):
    found = pattern.search(line)
    if found:
        for column, word in zip(columns, found.groups()):
            column.append(float(word))
"""
ACCUMULATOR = """
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
[[e.value for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]]
"""
NANOGPT = r"iter (\d+): loss ([\d.]+), time ([\d.]+)ms, mfu ([\d.]+)%"
MEGATRON = (
    r"iteration +(\d+)/ +(\d+) \| consumed samples: +(\d+) \| elapsed time per iteration \(ms\): ([\d.]+) \| "
    r"learning rate: ([\d.E+-]+) \| global batch size: +(\d+) \| lm loss: ([\d.E+-]+) \| loss scale: ([\d.]+) \| "
    r"grad norm: ([\d.]+) \| number of skipped iterations: +(\d+) \| number of nan iterations: +(\d+) \|"
)
READ = """
import sys
from lmdiag.judging.reading import read
read(sys.argv[1])
"""
DIAGNOSE = """
import sys
from lmdiag.diagnose import diagnose
from lmdiag.judging.reading import read
diagnose(read(sys.argv[1]))
"""


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds on the wall, seconds of the processors, and its peak memory in bytes."""

    wall: float
    cpu: float
    memory: float


def main() -> None:
    """Generate the logs, time the pairs, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--steps", type=int, default=1_000_000)
    arguments.add_argument("--pairs", type=int, default=5)
    arguments.add_argument("--without-pandas", action="store_true")
    said = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clean, dirty, longer = (Path(folder, f"{name}.jsonl") for name in ("clean", "dirty", "longer"))
        write_log(clean, said.steps)
        write_dirty(clean, dirty)
        write_log(longer, 5 * said.steps)
        size = clean.stat().st_size
        print(f"{said.steps:,} steps, {size / 1e6:.0f} MB; {said.pairs} pairs each\n")
        print(f"{'':44}{'wall':>8}{'cpu':>8}{'memory':>8}   goal")
        row("read / polars", compare(READ, clean, YARDSTICK, clean, said.pairs), "")
        row("read and diagnose / polars", compare(DIAGNOSE, clean, YARDSTICK, clean, said.pairs), "wall <= 2.5")
        row("dirty / clean, read and diagnose", compare(DIAGNOSE, dirty, DIAGNOSE, clean, said.pairs), "wall <= 2")
        row("5 times as long / clean, read", compare(READ, longer, READ, clean, min(3, said.pairs)), "wall <= 6")
        memory("memory / file size", cost(DIAGNOSE, clean), size, "<= 2.5")
        memory("memory / file size, 5 times as long", cost(DIAGNOSE, longer), longer.stat().st_size, "<= 2")
        if not said.without_pandas:
            row(
                "pandas / read and diagnose",
                compare(PANDAS, clean, DIAGNOSE, clean, min(3, said.pairs)),
                "wall >= 3, memory >= 4",
            )
    printed(said.steps, said.pairs)
    tensorboard(said.steps // 5, said.pairs)


def tensorboard(steps: int, pairs: int) -> None:
    """Compare with TensorBoard's own reader on an event file of four scalars a step."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    with tempfile.TemporaryDirectory() as folder:
        writer, rng = EventFileWriter(folder), random.Random(3)
        for step in range(steps):
            for tag in ("train/loss", "train/lr", "train/grad_norm", "train/step_time"):
                value = Summary.Value(tag=tag, simple_value=rng.gauss(3, 0.1))
                writer.add_event(Event(step=step, wall_time=1.7e9 + step, summary=Summary(value=[value])))
        writer.close()
        log = next(Path(folder).iterdir())
        row(
            f"EventAccumulator / read, {4 * steps:,} scalars",
            compare(ACCUMULATOR, log, READ, log, min(3, pairs)),
            "cpu >= 10",
        )


def printed(steps: int, pairs: int) -> None:
    """Compare with a loop over the lines of printed logs, first checking that the loop finds every line."""
    goals = {"nanogpt": (NANOGPT, nanogpt_line, "cpu >= 2"), "megatron": (MEGATRON, megatron_line, "cpu >= 1.4")}
    with tempfile.TemporaryDirectory() as folder:
        for name, (pattern, line, goal) in goals.items():
            log = Path(folder, f"{name}.log")
            rng = random.Random(2)
            log.write_text("\n".join(line(step, rng) for step in range(1, steps + 1)) + "\n")
            if not re.fullmatch(f".*{pattern}.*", line(1, rng)):
                raise SystemExit(f"the pattern of {name} does not fit its lines")
            row(f"re loop / read, {name} {log.stat().st_size / 1e6:.0f} MB",
                compare(LOOP, log, READ, log, pairs, pattern), goal)  # fmt: skip


def nanogpt_line(step: int, rng: random.Random) -> str:
    return f"iter {step}: loss {rng.gauss(3, 0.05):.4f}, time {rng.gauss(130, 2):.2f}ms, mfu {rng.gauss(40, 1):.2f}%"


def megatron_line(step: int, rng: random.Random) -> str:
    return (
        f" [2024-05-01 12:00:{step % 60:02d}] iteration {step:8d}/ 1000000 | consumed samples: {step * 512:12d} | "
        f"elapsed time per iteration (ms): {rng.gauss(900, 9):.1f} | learning rate: {3e-4:.6E} | global batch size: {512:5d} | "
        f"lm loss: {rng.gauss(3, 0.05):.6E} | loss scale: 1.0 | grad norm: {rng.gauss(1, 0.1):.3f} | "
        f"number of skipped iterations: {0:3d} | number of nan iterations: {0:3d} |"
    )


def row(label: str, ratios: Cost, goal: str) -> None:
    print(f"{label:44}{ratios.wall:8.2f}{ratios.cpu:8.2f}{ratios.memory:8.2f}   {goal}", flush=True)


def memory(label: str, taken: Cost, size: int, goal: str) -> None:
    print(f"{label:44}{'':16}{taken.memory / size:8.2f}   {goal}", flush=True)


def compare(one: str, on: Path, other: str, on_other: Path, pairs: int, said: str = "") -> Cost:
    """Return the median ratios of two programs, run in turns."""
    taken = [(cost(one, on, said), cost(other, on_other, said)) for _ in range(pairs)]
    ratio = [Cost(a.wall / b.wall, a.cpu / b.cpu, a.memory / b.memory) for a, b in taken]
    return Cost(*(statistics.median(getattr(r, name) for r in ratio) for name in ("wall", "cpu", "memory")))


def cost(program: str, log: Path, said: str = "") -> Cost:
    """Run a program on a log in a process of its own; `said` is its second argument, by default the names of the fields."""
    second = said or ",".join((*FIELDS, *EVALUATED))
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, str(log), second], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"a timed program failed on {log}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def write_log(path: Path, steps: int) -> None:
    """Write a healthy log of eleven fields, an evaluation every thousand steps."""
    rng = random.Random(0)
    with path.open("w") as file:
        for step in range(1, steps + 1):
            loss = 2 + 8 * math.exp(-20 * step / steps) + rng.gauss(0, 0.05)
            cells = (step, step / 9973, loss, rng.gauss(1, 0.1), 3e-4 * (1 - step / steps), step * 524288)
            cells += (rng.gauss(1e5, 500), rng.gauss(5.2, 0.1), 61e9 + rng.randrange(10**6))
            file.write(json.dumps(dict(zip(FIELDS, cells, strict=True))) + "\n")
            if step % 1000 == 0:
                file.write(json.dumps({"step": step, "val_loss": loss + 0.05, "val_ppl": math.exp(loss + 0.05)}) + "\n")


def write_dirty(clean: Path, dirty: Path) -> None:
    """Copy a log with an odd loss in one of a hundred lines, and thirty lines torn."""
    rng = random.Random(1)
    n_lines = sum(1 for _ in clean.open("rb"))
    torn = set(rng.sample(range(n_lines), min(TORN_LINES, n_lines)))
    with clean.open() as lines, dirty.open("w") as file:
        for number, line in enumerate(lines):
            if number in torn:
                line = line[: len(line) // 2] + "\n"
            elif rng.random() < 0.01 and '"loss": ' in line:
                before, after = line.split('"grad_norm": ', 1) if '"grad_norm": ' in line else (line, "")
                line = f'{before}"grad_norm": {rng.choice(ODD_VALUES)},{after.partition(",")[2]}' if after else line
            file.write(line)


if __name__ == "__main__":
    main()
