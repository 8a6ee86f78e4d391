#!/usr/bin/env bash
# accelerate 1.15.0: `accelerator.log` with `log_with="tensorboard"` writes what is a number to Python, or a tensor, and leaves the rest out
# without a word. A loss of type numpy.float32, such as the mean of losses that were brought to numpy, is left out: the event file
# has no curve of it, though that of a numpy.float64 beside it. With DVCLive the same call keeps it, and drops the tensor, with a warning.
#
# Seen, with torch 2.13.0, for one loss logged in four types
#   tensorboard   float, float64, tensor
#   dvclive       float, float32, float64
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 accelerate==1.15.0 tensorboard==2.21.0 dvclive==3.49.1 'setuptools<81'
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import numpy
import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

for tracker in ("tensorboard", "dvclive"):
    accelerator = Accelerator(cpu=True, log_with=tracker, project_config=ProjectConfiguration(".", logging_dir="events"))
    accelerator.init_trackers("run")
    for step in range(5):
        loss = 3 - step / 8
        kinds = {"float": loss, "float32": numpy.float32(loss), "float64": numpy.float64(loss), "tensor": torch.tensor(loss)}
        accelerator.log(kinds, step=step)
    accelerator.end_training()
events = EventAccumulator("events/run")
events.Reload()
found = sorted(events.Tags()["scalars"]), sorted(path.stem for path in Path("dvclive/plots/metrics").iterdir())
print(" ".join(f"{name} {version(name)}" for name in ("accelerate", "numpy", "tensorboard", "dvclive")))
for tracker, names in zip(("tensorboard", "dvclive"), found):
    print(f"{tracker:12} ", ", ".join(names))
sys.exit(0 if found == (["float", "float64", "tensor"], ["float", "float32", "float64"]) else 1)
PYTHON
