"""Make `sample_logs/*.jsonl` again by the commands in `sample_logs/expected.toml`: `python -m trainers.sample_logs [NAME…]`."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tomllib
from pathlib import Path

from trainers import corpus
from trainers.__main__ import main as train

FOLDER = Path(__file__).parent.parent / "sample_logs"


def expected() -> dict[str, dict[str, object]]:
    """Return {file name: {"command": arguments of the trainer, "rules": rules the log must raise, "after": another}}."""
    return tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))


def make(name: str, command: str) -> None:
    """Train in a process of its own, because some faults kill it."""
    log = FOLDER / name
    log.unlink(missing_ok=True)
    shutil.rmtree(checkpoints(name), ignore_errors=True)
    arguments = [*command.split(), "--log", f"sample_logs/{name}"]
    if not command.startswith(("ngram", "keras-rnn")):  # Keras chooses for itself, and the n-gram model only counts
        arguments += ["--device", "cpu"]
    process = multiprocessing.get_context("fork").Process(target=train, args=(arguments,))
    process.start()
    process.join()
    if not log.exists():
        raise SystemExit(f"{name}: python -m trainers {' '.join(arguments)} wrote no log")


def checkpoints(name: str) -> Path:
    """Return where the checkpoints of a run lie."""
    return (FOLDER / name).with_suffix(".checkpoints")


def main(names: list[str]) -> None:
    """Make the logs named, or all; a log that goes on from the model of another (`after`) comes behind it."""
    unknown = set(names) - {Path(name).stem for name in expected()}
    if unknown:
        print(
            f"not in sample_logs/expected.toml: {', '.join(sorted(unknown))}; name logs without .jsonl", file=sys.stderr
        )
        sys.exit(2)
    import torch

    os.chdir(FOLDER.parent)  # the name of the log stands in its header, and is to be the same wherever it was made
    torch.set_num_threads(1)  # sums always in the same order
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
    corpus.load([], max_characters=200_000)  # once for all: the processes inherit it
    made = []
    for name, facts in expected().items():
        if not names or Path(name).stem in names:
            before = str(facts.get("after", ""))
            for each in [before, name] if before and before not in made else [name]:
                print(f"{each}: {expected()[each]['command']}", file=sys.stderr)
                make(each, str(expected()[each]["command"]))
                made.append(each)
    for name in made:
        shutil.rmtree(checkpoints(name), ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
