"""How the time to read a printed log grows with its length: four times the lines must not take much more than four times as long.

    python benchmarks/growth.py             # every kind of log, at n, 4n and 16n; about a minute
    python benchmarks/growth.py restarts --lines 4000

Every size is read in a process of its own, which has read a short log before, and the time of the processor is taken; of
several tries the fastest. Exits 1 where a log of four times the size takes more than 4.6 times as long.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

MOST = 4.6
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


KINDS: tuple[Callable[[int], Iterator[str]], ...] = (
    runs, restarts, starts, evaluations, epochs, epoch_lines, headlines, bars, bars_of_every_length, validated_bars, keras, ranks,
)  # fmt: skip


def repeated(token: str, width: int) -> str:
    """Return a short log with ten lines that repeat one token, without a plan for any of them."""
    line = (token * (width // len(token) + 1))[:width]
    return "\n".join(part for k in range(40) for part in (f"step {k} loss {loss(k)}", line) if k < 10 or part != line)


def seconds(short: Path, log: Path, tries: int) -> float:
    """Return the least time of the processor that a log takes."""
    command = [sys.executable, "-c", READ, str(short), str(log)]
    return min(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(tries))


def main() -> None:
    """Print how long each kind of log takes at three sizes, and the ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("kinds", nargs="*", help="names of kinds, by default all")
    arguments.add_argument("--lines", type=int, default=2000, help="n")
    arguments.add_argument("--tries", type=int, default=3)
    options = arguments.parse_args()
    logs = {
        f"{kind.__name__}": [lambda k=kind, f=factor: "\n".join(k(f * options.lines)) for factor in (1, 4, 16)]
        for kind in KINDS
    }
    logs |= {
        f"{token!r} repeated": [lambda t=token, w=w: repeated(t, w) for w in (1000, 2000, 8000)] for token in TOKENS
    }
    worst = 0.0
    print(f"{'':24}{'n':>9}{'4n':>9}{'16n':>9}   4n/n  16n/4n")
    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in logs.items():
            if options.kinds and name.split(" repeated")[0].strip("'") not in options.kinds:
                continue
            short, log = Path(folder, "short.log"), Path(folder, "x.log")
            took = []
            for size, text in enumerate(sizes):
                log.write_text(f"{text()}\n")
                if not size:
                    short.write_text(log.read_text()[:4000])
                took.append(seconds(short, log, options.tries))
            ratios = [took[1] / took[0], took[2] / took[1]]
            worst = max(worst, *ratios)
            print(f"{name:24}{took[0]:9.3f}{took[1]:9.3f}{took[2]:9.3f}{ratios[0]:7.2f}{ratios[1]:8.2f}", flush=True)
    raise SystemExit(worst > MOST)


if __name__ == "__main__":
    main()
