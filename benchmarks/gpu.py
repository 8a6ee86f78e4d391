"""What the trainers do on a CUDA device: one command, at most eight minutes, writes docs/gpu.md.

    make gpu                                              # all of it, on the first CUDA device
    python -m benchmarks.gpu --device cpu --tiny --output /tmp/gpu.md     # the same steps, small, where there is none

Tests marked `gpu`; a transformer of about 125 million parameters in bf16 with `torch.compile`: tokens per second, MFU and memory; the same
model beside PyTorch's own blocks, and beside itself unlogged; an overflow in fp16; a resume; DPO and GRPO. Each log is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import lmdiag

ROOT = Path(__file__).parents[1]
PEAK_BF16 = {  # dense FLOP/s, from the makers' data sheets
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
}
LARGE = "--recipe small --sample 0 --n-layer 12 --n-head 12 --d-model 768 --context 512 --batch-size 32 --tokenizer bpe --vocab-size 50000"
TINY = "--recipe small --sample 0 --n-layer 1 --n-head 2 --d-model 32 --context 16 --batch-size 8 --max-characters 30000 --eval-tokens 500"
FEW = "--eval-prompts 32 --completion-tokens 12"  # of preferences and rewards: as many steps, on less text
WARM = 20  # steps before the speed is steady: compiling, allocating


def main() -> None:
    """Run every part, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small models and few steps: to see that it runs")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "gpu.md")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here; to try the script: --device cpu --tiny --output gpu.md")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measured(Path(folder), given.device, given.tiny))
    page = [*header(given.device, given.tiny), *rows, "", f"In all {time.monotonic() - started:.0f} s. `make gpu`", ""]
    given.output.write_text("\n".join(page), encoding="utf-8")
    print("\n".join(page))


def header(device: str, tiny: bool) -> list[str]:
    """Return the top of the page: what it ran on."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "a CPU"
    small = " Small models, few steps: these figures say only that every part runs." if tiny else ""
    return [
        "# The trainers on a GPU",
        "",
        f"Run on {name}, PyTorch {torch.__version__}, lmdiag {lmdiag.__version__}.{small}",
        "",
        "| what | result |",
        "|---|---|",
    ]


def measured(folder: Path, device: str, tiny: bool) -> Iterator[str]:
    """Yield a row of the table for each part."""
    size, steps = (TINY, 24) if tiny else (LARGE, 120)
    if not tiny:
        yield row("tests marked `gpu`", last_line(run("pytest", "-q", "-m", "gpu", "tests/trainers", "tests/record")))
    log = trained(folder, device, "transformer", "large", f"{size} --steps {steps} --precision bf16 --compile")
    yield row("transformer, bf16, compiled", speed_of(log))
    pairs = ["--pairs", "3" if tiny else "40", "--device", device]
    for module, what in (
        ("throughput", "beside `nn.TransformerEncoder`"),
        ("logging_overhead", "logged at every step"),
    ):
        options = ["--size", "small" if tiny else "large"]
        precise = ["--precision", "bf16"] if module == "throughput" and not tiny else []
        line = last_line(run(f"benchmarks.{module}", *pairs, *options, *precise))
        ratio = re.search(
            r"\b\d+\.\d{3}\b.*", line
        )  # of all they print only the ratio has three decimals, and its interval behind it
        yield row(
            f"{'a small one' if tiny else 'one of 85 million parameters'}, {what}: ratio", ratio[0] if ratio else line
        )
    fp16 = trained(folder, device, "transformer", "fp16", f"{TINY} --steps 60 --precision fp16 --fault fp16-overflow")
    yield row("fp16 that overflows", judged(fp16))
    yield row("stopped and resumed", resumed(folder, device))
    base = trained(folder, device, "transformer", "base", f"{TINY} --context 64 --steps {24 if tiny else 200}")
    model = str(base.with_suffix(".checkpoints") / "final")
    for name in ("dpo", "grpo"):
        after = trained(folder, device, name, name, f"--pretrained {model} --steps 60 {FEW if tiny else ''}")
        yield row(f"{name} on it", judged(after))


def row(what: str, result: str) -> str:
    """Return a line of the table."""
    return f"| {what} | {result.replace('|', '/')} |"


def run(module: str, *options: str) -> str:
    """Run a module of Python to its end, and return what it printed; a part that fails is a result."""
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ})
    return done.stdout.strip() or f"failed: {last_line(done.stderr)}"


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing was printed")


def trained(folder: Path, device: str, name: str, run_name: str, options: str, *more: str) -> Path:
    """Train, and return the log."""
    log = folder / f"{run_name}.jsonl"
    run("trainers", name, *options.split(), *more, "--device", device, "--log", str(log))
    return log


def speed_of(log: Path) -> str:
    """Return tokens per second, MFU where the device is known, memory, and the verdict."""
    if not log.exists():
        return "failed: it wrote no log"
    records = [json.loads(line) for line in log.open()]
    head = records[0]
    steady = [r["tokens_per_sec"] for r in records if r["type"] == "step" and r["step"] > WARM]
    tokens = statistics.median(steady)
    said = [f"{head['model']['params']:,} parameters", f"{tokens:,.0f} tokens/s"]
    peak = next(
        (
            flops
            for name, flops in PEAK_BF16.items()
            if torch.cuda.is_available() and name in torch.cuda.get_device_name()
        ),
        0,
    )
    if peak:  # 6 per parameter and token, 12 per layer, width and token of the context for attention (PaLM, appendix B)
        config: dict[str, Any] = head["config"]
        flops = 6 * head["model"]["params"] + 12 * config["n_layer"] * config["d_model"] * config["context"]
        said.append(f"MFU {tokens * flops / peak:.0%}")
    memory = [r["mem_bytes"] for r in records if r.get("mem_bytes")]
    said += [f"{max(memory) / 2**30:.1f} GiB"] if memory else []
    return ", ".join([*said, judged(log)])


def judged(log: Path) -> str:
    """Return the verdict on a log, and the finding that leads."""
    if not log.exists():
        return "failed: it wrote no log"
    (found,) = lmdiag.judge(log).diagnoses
    return found.verdict + (
        f" ({found.findings[0].rule}, step {found.findings[0].first_step})" if found.findings else ""
    )


def resumed(folder: Path, device: str) -> str:
    """Return by how much the losses of a run that was stopped and resumed differ from those of one that was not."""
    saving = f"{TINY} --checkpoint-every 10 --schedule constant"
    whole = trained(folder, device, "transformer", "whole", f"{saving} --steps 20")
    trained(folder, device, "transformer", "parted", f"{saving} --steps 10")
    parted = trained(folder, device, "transformer", "parted", f"{saving} --steps 20", "--resume")
    one, other = (
        {r["step"]: r["loss"] for r in map(json.loads, log.open()) if r["type"] == "step"} for log in (whole, parted)
    )
    worst = max(abs(one[step] - other[step]) for step in one)
    return f"{len(other)} of {len(one)} steps, losses differ by at most {worst:.2g}"


if __name__ == "__main__":
    main()
