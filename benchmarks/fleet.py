"""How fast and how lean many logs are checked, against a bare loop of polars over the same files.

    python benchmarks/fleet.py              # a thousand logs of ten thousand steps, 2.2 GB, a quarter of an hour
    python benchmarks/fleet.py --logs 100 --pairs 3 --folder kept/

Every figure is a ratio of whole processes, taken in pairs A B A B on the same files, medians. The yardstick is
`for file in files: pl.read_ndjson(file)`. Memory is the largest sum over all processes of a command, pages they share
counted once, sampled twenty times a second.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from reading import Cost

STEPS = 10_000
SICK_EVERY = 20  # one log in so many diverges
MIB = 1 << 20
LOOP = """
import glob, sys
import polars as pl
for file in sorted(glob.glob(sys.argv[1] + "/*.jsonl")):
    pl.read_ndjson(file)
"""


def main() -> None:
    """Generate the logs, time the pairs, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--logs", type=int, default=1000)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--jobs", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    arguments.add_argument("--folder", type=Path, help="keep the logs here, and use those that are there")
    said = arguments.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = said.folder or Path(made)
        write_logs(folder, said.logs)
        size = sum(file.stat().st_size for file in folder.glob("*.jsonl"))
        print(f"{said.logs} logs of {STEPS:,} steps, {size / 1e6:,.0f} MB; {said.pairs} pairs each\n")
        print(f"{'':28}{'wall':>8}{'cpu':>8}   memory")
        for jobs in dict.fromkeys(said.jobs):
            label = f"check --jobs {jobs} / polars"
            row(label, "polars", [(cost(check(folder, jobs)), cost(loop(folder))) for _ in range(said.pairs)])
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            cached = [*check(folder, said.jobs[-1]), "--cache"]
            cost(cached)
            again = [(cost(cached), cost(check(folder, said.jobs[-1]))) for _ in range(said.pairs)]
            row("--cache, again / without", "without", again)
    print("\ngoals: wall and cpu <= 1.5, memory <= 300 MiB")


def loop(folder: Path) -> list[str]:
    return [sys.executable, "-c", LOOP, str(folder)]


def check(folder: Path, jobs: int) -> list[str]:
    return [sys.executable, "-m", "lmdiag", "check", f"{folder}/*.jsonl", "--isolated", "--jobs", str(jobs)]


def row(label: str, other: str, pairs: list[tuple[Cost, Cost]]) -> None:
    wall = statistics.median(a.wall / b.wall for a, b in pairs)
    cpu = statistics.median(a.cpu / b.cpu for a, b in pairs)
    memory, bare = (statistics.median(costs) for costs in zip(*((a.memory, b.memory) for a, b in pairs), strict=True))
    print(f"{label:28}{wall:8.2f}{cpu:8.2f}   {memory / MIB:,.0f} MiB, {other} {bare / MIB:,.0f} MiB")
    taken = ", ".join(f"{a.wall:.1f}/{b.wall:.1f} ({a.cpu:.1f}/{b.cpu:.1f} cpu)" for a, b in pairs)
    print(f"{'':28}seconds: {taken}", flush=True)


def cost(command: list[str]) -> Cost:
    """Run a command and measure it with all processes that it starts."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak: list[float] = [0.0]
    cpu: dict[int, float] = {}  # of all processes, those too that nobody waits for
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, cpu))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    watcher.join()
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"a timed command failed: {command}")
    return Cost(wall, max(usage.ru_utime + usage.ru_stime, sum(cpu.values())), peak[0])


def _watch(pid: int, peak: list[float], cpu: dict[int, float]) -> None:
    while True:
        family = list(_family(pid))
        cpu |= {process: _cpu(process) or cpu.get(process, 0.0) for process in family}
        memory = [_memory(process) for process in family]
        if not memory:
            return
        peak[0] = max(peak[0], sum(memory))
        time.sleep(0.05)


def _family(pid: int) -> Iterator[int]:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        children = [Path(p, "children").read_text() for p in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return
    if state != "Z":
        yield pid
        for child in " ".join(children).split():
            yield from _family(int(child))


def _cpu(pid: int) -> float:
    """Return the seconds that the threads of a process were on the processors so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """Return the bytes a process holds in memory; what it shares with others counts in parts."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0.0)


def write_logs(folder: Path, n_logs: int) -> None:
    """Write as many logs as are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(folder / f"run-{n:05}.jsonl", n) for n in range(n_logs)]
    missing = [(path, n) for path, n in missing if not path.exists()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_log, *zip(*missing, strict=True), chunksize=10) if missing else ())


def write_log(path: Path, seed: int) -> None:
    """Write a log of eleven fields, an evaluation every thousand steps; one in `SICK_EVERY` diverges."""
    rng = random.Random(seed)
    breaks = rng.randrange(STEPS // 4, STEPS) if seed % SICK_EVERY == 0 else STEPS
    lines = []
    for step in range(1, STEPS + 1):
        loss = 2 + 8 * math.exp(-20 * step / STEPS) + rng.gauss(0, 0.05) + 5 * (step > breaks)
        lines.append(
            f'{{"step": {step}, "epoch": {step / 9973!r}, "loss": {loss!r}, "grad_norm": {rng.gauss(1, 0.1)!r}, '
            f'"lr": {3e-4 * (1 - step / STEPS)!r}, "tokens": {step * 524288}, "tokens_per_sec": {rng.gauss(1e5, 500)!r}, '
            f'"step_time_s": {rng.gauss(5.2, 0.1)!r}, "mem_bytes": {61_000_000_000 + rng.randrange(10**6)}}}\n'
        )
        if step % 1000 == 0:
            lines.append(f'{{"step": {step}, "val_loss": {loss + 0.05!r}, "val_ppl": {math.exp(loss + 0.05)!r}}}\n')
    path.write_text("".join(lines))


if __name__ == "__main__":
    main()
