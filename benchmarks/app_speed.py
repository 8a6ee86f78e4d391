"""How long the app takes for a long log: its first page, and the page after a click.

    python benchmarks/app_speed.py                 # a log of a million steps, about five minutes
    python benchmarks/app_speed.py --steps 100000

The first page is compared with `lmdiag check` of the same log plus the first screen of the app without a log, in pairs A B A B of whole
processes; a click (another smoothing, a zoom, another scale, each one not seen before) is timed inside one session. CPU seconds, medians.
A followed log grows by 20 lines a second and is looked at every three seconds: two minutes of that, for one of 200,000 steps.
The app runs as `streamlit run` runs it, in Streamlit's own test session, so that no browser is timed.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
OPEN = """
import sys
from streamlit.testing.v1 import AppTest
page = AppTest.from_file(sys.argv.pop(1), default_timeout=600).run()
assert not page.exception, page.exception
"""
CHECK = "from lmdiag.__main__ import run; run()"
SCALES = (["Log"], ["Full"], ["Log", "Full"], [])
SMOOTHING = ("medium", "strong", "none", "light")
FOLLOWED, UPDATES, LINES = 200_000, 40, 60  # steps at first, looks at the log, and lines between two of them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = write_log(Path(folder) / "long.jsonl", options.steps)
        print("| CPU seconds | median | lowest | highest |\n| --- | ---: | ---: | ---: |")
        check, start, first = [], [], []
        for _ in range(options.pairs):
            check.append(cpu_of(CHECK, "check", "--fail-on", "never", log))
            start.append(cpu_of(OPEN, ROOT / "app.py"))
            first.append(cpu_of(OPEN, ROOT / "app.py", log))
        say("lmdiag check", check)
        say("first screen, no log", start)
        say("first page of the log", first)
        say("ratio: first page / (check + first screen)", [f / (c + s) for c, s, f in zip(check, start, first)])
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            updates, grown = alone.submit(followed, write_log(Path(folder) / "live.jsonl", FOLLOWED)).result()
        say(f"an update of a followed log of {FOLLOWED:,} steps", updates)
        say("a click, charts drawn anew", clicks(log))  # last of all: the test session takes the place of this program
    print(f"\nTwo minutes of following: {sum(updates):.1f} s, {grown:+.0f} MB")


def say(what: str, values: list[float]) -> None:
    print(f"| {what} | {statistics.median(values):.3f} | {min(values):.3f} | {max(values):.3f} |", flush=True)


def write_log(path: Path, steps: int) -> Path:
    """Write a healthy run with one spike, in the standard format."""
    rng = random.Random(0)
    with path.open("w") as file:
        header = {"type": "run", "schema": "lmdiag-log/1", "run_id": "long", "max_steps": steps, "grad_clip": 1.0}
        file.write(json.dumps(header) + "\n")
        for step in range(1, steps + 1):
            loss = 2.5 + 8 * step**-0.3 + 0.05 * rng.gauss(0, 1) + 5 * (step == steps // 2)
            norm = 0.5 * rng.lognormvariate(0, 0.3) * (40 if step == steps // 2 else 1)
            lr = 1e-3 * min(step / 1000, 1 - 0.9 * step / steps)
            file.write(f'{{"type":"step","step":{step},"loss":{loss:.5f},"grad_norm":{norm:.5f},"lr":{lr:.4e}}}\n')
    return path


def cpu_of(code: str, *arguments: object) -> float:
    """Return the CPU seconds of a Python process, its children included."""
    before = os.times()
    command = [sys.executable, "-c", code, *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def clicks(log: Path) -> list[float]:
    """Return the CPU seconds of one rerun for each combination of scale and smoothing."""
    from streamlit.testing.v1 import AppTest

    sys.argv = ["app.py", str(log)]
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=600).run()
    taken = []
    for scale in SCALES:
        for smoothing in SMOOTHING:
            page.selectbox(key="smoothing").select(smoothing)
            page.button_group(key="scale").set_value(scale)
            start = time.process_time()
            page.run()
            taken.append(time.process_time() - start)
            assert not page.exception
    return taken


def followed(log: Path) -> tuple[list[float], float]:
    """Return the CPU seconds of each update of a log that grows, and by how many MB the process grew meanwhile."""
    from streamlit.testing.v1 import AppTest

    sys.argv = ["app.py", str(log)]
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=600).run()
    page.toggle(key="follow").set_value(True).run()
    before, taken = resident_mb(), []
    for update in range(UPDATES):
        first = FOLLOWED + update * LINES + 1
        with log.open("a") as file:
            file.writelines(f'{{"type":"step","step":{step},"loss":2.5}}\n' for step in range(first, first + LINES))
        start = time.process_time()
        page.run()
        gc.collect()  # as Streamlit's server does after each run
        taken.append(time.process_time() - start)
        assert not page.exception
    return taken, resident_mb() - before


def resident_mb() -> float:
    """Return the memory of this process, in MB; Linux tells it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
