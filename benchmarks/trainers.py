"""What the trainers reach with their defaults on the text that Python carries.

    python -m benchmarks.trainers FOLDER [--seeds 3] [--finished] [--write]

Trains what is missing in FOLDER, each run in a process of its own on one CPU thread, and prints a table: settings, parameters, seconds of
CPU time, losses on the validation and the test part over the seeds. With `--finished` it trains nothing, with `--write` the table goes into
trainers/README.md, too. About a quarter of an hour on a core of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from trainers import corpus, ngram
from trainers.settings import Settings

README = Path(__file__).parents[1] / "trainers" / "README.md"
MARKS = "<!-- trainers -->\n\n", "\n\n<!-- end -->"
TRAINERS = ("rnn", "lstm", "transformer")
ORDERS = (5, 12)  # of n-grams: the default, and the best here: beyond it nothing is gained
CPU_ONLY = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--finished", action="store_true", help="tell of the runs that are there, and train none")
    parser.add_argument("--write", action="store_true", help="put the table into trainers/README.md as well")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    heads = ("trainer", "settings", "parameters", "seeds", "CPU time", "validation loss (8,192 tokens)", "test loss")
    lines = [f"| {' | '.join(heads)} | test perplexity |", "|---" * (len(heads) + 1) + "|", *map(counted, ORDERS)]
    for name in TRAINERS:
        seeds = list(range(1, given.seeds + 1))
        if given.finished:
            seeds = [seed for seed in seeds if (given.folder / f"{name}-{seed}.seconds").exists()]
        lines.append(row(name, [trained(name, seed, given.folder) for seed in seeds]))
    table = "\n".join(lines)
    print(table)
    if given.write:
        page = README.read_text(encoding="utf-8")
        start, end = map(re.escape, MARKS)
        page = re.sub(f"({start}).*?({end})", lambda found: found[1] + table + found[2], page, flags=re.DOTALL)
        README.write_text(page, encoding="utf-8")


def trained(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return the header of a run, its losses at the end and the seconds of CPU time it took."""
    log = folder / f"{name}-{seed}.jsonl"
    took = log.with_suffix(".seconds")
    if not took.exists():
        log.unlink(missing_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        options = ["--seed", str(seed), "--device", "cpu", "--no-save", "--sample", "0", "--log", str(log)]
        command = [sys.executable, "-m", "trainers", name, *options]
        subprocess.run(command, check=True, env=os.environ | CPU_ONLY)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.write_text(f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f}")
    records = [json.loads(line) for line in log.open(encoding="utf-8")]
    losses = {r["split"]: r["loss"] for r in records if r["type"] == "eval"}
    return {"header": records[0], "seconds": float(took.read_text()), **losses}


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """Return the line of a trainer: means over the runs, and how far from them the seeds are."""
    header = runs[0]["header"]
    s = header["config"]
    layers = f"{s['n_layer']} layer{'s' * (s['n_layer'] > 1)} of {s['d_model']}"
    settings = (
        f"{layers}; {header['optimizer']}, lr {s['lr']:g}; {s['steps']:,} updates of {s['batch_size']} x {s['context']}"
    )
    seconds = sum(run["seconds"] for run in runs) / len(runs)
    test = sum(run["test"] for run in runs) / len(runs)
    found = [f"`{name}`", settings, f"{header['model']['params']:,}", str(len(runs)), f"{seconds:.0f} s"]
    return f"| {' | '.join([*found, spread(runs, 'val'), spread(runs, 'test'), f'{math.exp(test):.2f}'])} |"


def spread(runs: list[dict[str, Any]], part: str) -> str:
    """Return the mean of a loss over the runs and its farthest distance from one of them."""
    losses = [run[part] for run in runs]
    mean = sum(losses) / len(losses)
    return f"{mean:.3f} ± {max(abs(loss - mean) for loss in losses):.3f}"


def counted(order: int) -> str:
    """Return the line of an n-gram model, which has no seed."""
    text = corpus.of(ngram.Settings())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    model = ngram.NGram(text.train, order, text.vocabulary.size)
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    grams = sum(len(level.keys) for level in model.levels)
    val, test = model.loss(text.val[: Settings().eval_tokens + 1]), model.loss(text.test)
    settings = f"order {order}{' (default)' if order == ngram.Settings().order else ''}"
    said = ["`ngram`", settings, f"{grams:,} n-grams", "", f"{seconds:.1f} s", f"{val:.3f}", f"{test:.3f}"]
    return f"| {' | '.join(said)} | {math.exp(test):.2f} |"


if __name__ == "__main__":
    main()
