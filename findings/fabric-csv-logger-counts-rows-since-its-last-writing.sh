#!/usr/bin/env bash
# Lightning Fabric 2.6.6: `fabric.log("loss", value)` takes no step, and the `CSVLogger` then counts the rows that it has not written
# yet. It writes every 100 rows, so the steps in `metrics.csv` begin at 0 again each time: a run of 250 steps looks like three short ones,
# and whoever draws the loss over the step draws them on top of each other. Another `flush_logs_every_n_steps` gives other steps.
#
# Seen, for 250 losses logged without a step:
#   flush_logs_every_n_steps=100 (default)   0 to 99, 0 to 99, 0 to 49
#   flush_logs_every_n_steps=200             0 to 199, 0 to 49
#
# Ends with 1 where Lightning does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 lightning==2.6.6
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import csv
import sys

import lightning
from lightning.fabric import Fabric
from lightning.fabric.loggers import CSVLogger


def steps(name, **options):
    """Return the steps in the file of 250 losses."""
    logger = CSVLogger(".", name=name, version="", **options)
    fabric = Fabric(accelerator="cpu", loggers=logger)
    for k in range(250):
        fabric.log("loss", 3 - k / 100)
    logger.finalize("success")
    return [int(row["step"]) for row in csv.DictReader(open(f"{name}/metrics.csv"))]


print("lightning", lightning.__version__)
often, rarely = steps("often"), steps("rarely", flush_logs_every_n_steps=200)
for name, found in (("flush_logs_every_n_steps=100 (default)", often), ("flush_logs_every_n_steps=200", rarely)):
    ends = [k for k, step in enumerate(found) if step == 0] + [len(found)]
    print(f"{name:40} ", ", ".join(f"0 to {found[end - 1]}" for end in ends[1:]))
parts = [list(range(100)), list(range(200)), list(range(50))]
sys.exit(0 if often == parts[0] * 2 + parts[2] and rarely == parts[1] + parts[2] else 1)
PYTHON
