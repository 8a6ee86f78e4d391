"""Make `sample_logs/*.jsonl` again by the commands in `sample_logs/expected.toml`: `python -m trainers.sample_logs [NAME…]`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "sample_logs"


def expected() -> dict[str, dict[str, object]]:
    """Return {file name: {"command": arguments of the trainer, "rules": rules the log must raise}}."""
    return tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))


def make(name: str, command: str) -> None:
    """Train in a process of its own (some faults kill it), on one thread so that sums are always in the same order."""
    log = FOLDER / name
    log.unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    arguments = [sys.executable, "-m", "trainers", *command.split(), "--device", "cpu", "--log", f"sample_logs/{name}"]
    done = subprocess.run(arguments, env=environment, cwd=FOLDER.parent, stderr=subprocess.PIPE, text=True)
    if not log.exists():
        raise SystemExit(f"{name}: {' '.join(arguments)} wrote no log:\n{done.stderr}")
    shutil.rmtree(log.with_suffix(".checkpoints"), ignore_errors=True)


def main(names: list[str]) -> None:
    """Make the logs named, or all."""
    for name, facts in expected().items():
        if not names or name in names or Path(name).stem in names:
            print(f"{name}: {facts['command']}", file=sys.stderr)
            make(name, str(facts["command"]))


if __name__ == "__main__":
    main(sys.argv[1:])
