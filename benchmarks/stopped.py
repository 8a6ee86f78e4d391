"""Does `LmdiagCallback(stop_on="error")` stop a post-training run that goes well?

    python benchmarks/stopped.py FOLDER [--seeds 20] [--steps 150] [--trainers sft dpo kto reward grpo rloo]

Runs the real TRL (extra `trl`) on a random model of a few thousand weights, on the CPU, once for each seed and trainer, with a rate, a schedule,
an interval of logging and of evaluation, an accumulation and a KL coefficient drawn at random, and judges log and state of each. A run ends well where its
reward or margin ends higher, or its loss lower, than it began. Prints a table; what is in FOLDER already is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

RATES = {"sft": 1e-3, "dpo": 3e-4, "kto": 3e-4, "reward": 3e-4, "grpo": 2e-3, "rloo": 2e-3}
SHOWN = {"sft": "loss", "dpo": "rewards/margins", "kto": "rewards/margins", "reward": "margin", "grpo": "reward", "rloo": "reward"}  # fmt: skip


def options(name: str, seed: int) -> dict[str, Any]:
    """Return what is drawn for a run."""
    rng = random.Random(seed * 7 + len(name))
    found: dict[str, Any] = {"logging_steps": rng.choice([1, 1, 2, 5]), "eval_steps": rng.choice([10, 20, 30])}
    found["learning_rate"] = RATES[name] * rng.choice([0.5, 1, 1.5])
    found["lr_scheduler_type"] = rng.choice(["linear", "cosine", "constant"])
    if rng.random() < 0.3:
        found["gradient_accumulation_steps"] = 2
    if name == "grpo" and rng.random() < 0.5:
        found["beta"] = 0.04
    return found


def run(name: str, seed: int, steps: int, folder: Path) -> dict[str, Any]:
    """Train once, and return how it went."""
    from lmdiag.record.huggingface import LmdiagCallback
    from tests.record.trl_runs import TRAINERS

    folder.mkdir(parents=True)
    callback = LmdiagCallback(folder / "run.jsonl", stop_on="error", check_every_s=1.0)
    trainer = TRAINERS[name](folder / "out", [callback], seed=seed, max_steps=steps, **options(name, seed))
    trainer.train()
    trainer.save_state()
    values = [record[SHOWN[name]] for record in trainer.state.log_history if record.get(SHOWN[name]) is not None]
    gained = sum(values[-3:]) / 3 - values[0]
    return {"stopped": trainer.state.global_step < steps, "well": (gained < 0) == (SHOWN[name] == "loss")}


def main() -> int:
    import torch

    from lmdiag.config import Settings
    from lmdiag.finding import Severity
    from lmdiag.judging.logs import judge

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--trainers", nargs="+", choices=sorted(RATES), default=list(RATES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| trainer | runs | end well | stopped | with an error | with a warning | warnings |\n|---|---|---|---|---|---|---|"
    )
    for name in given.trainers:
        went: Counter[str] = Counter()
        warned: Counter[str] = Counter()
        for seed in range(given.seeds):
            folder = given.folder / f"{name}-{seed}"
            if not (folder / "went.json").exists():
                (folder / "went.json").write_text(json.dumps(run(name, seed, given.steps, folder)))
            went.update({key: int(value) for key, value in json.loads((folder / "went.json").read_text()).items()})
            judged = [judge(folder / log, Settings()) for log in ("run.jsonl", "out/trainer_state.json")]
            found = [f for report in judged for d in report.diagnoses for f in d.findings if f.alarms]
            went["error"] += any(f.severity == Severity.ERROR for f in found)
            went["warning"] += any(f.severity == Severity.WARNING for f in found)
            warned.update({f.rule for f in found if f.severity == Severity.WARNING})
        told = ", ".join(f"{rule} {count}" for rule, count in warned.most_common()) or "–"
        print(
            f"| {name} | {given.seeds} | {went['well']} | {went['stopped']} | {went['error']} | {went['warning']} | {told} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
