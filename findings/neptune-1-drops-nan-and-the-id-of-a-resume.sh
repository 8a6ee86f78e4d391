#!/usr/bin/env bash
# neptune 1.14.0 offline: `append` leaves out NaN and infinities, so that a loss that stops being a number stops being logged;
# and the folder of an offline run does not hold the `custom_run_id` that it was begun with: two processes with one id, as a
# resumed run has them, are two runs when they are sent.
#
# Seen, with losses of 2.5, nan, inf, 2.0 in two processes with one custom_run_id:
#   losses stored           [2.5, 2.0]
#   folders                 2
#   mentions of the id      0
#
# Ends with 1 where neptune does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet neptune==1.14.0.post2 'setuptools<81'
cd "$folder"
cat > train.py <<'PYTHON'
import math
import sys

import neptune

run = neptune.init_run(project="w/p", mode="offline", custom_run_id="one-id", capture_hardware_metrics=False)
for step, loss in enumerate([2.5, math.nan] if sys.argv[1] == "first" else [math.inf, 2.0]):
    run["loss"].append(loss, step=step + 2 * (sys.argv[1] != "first"))
run.stop()
PYTHON
for part in first second; do
    venv/bin/python train.py $part > /dev/null 2>&1
done
venv/bin/python - <<'PYTHON'
import json
import sys
from pathlib import Path

paths = list(Path(".neptune/offline").glob("*/data-1.log"))
operations = [json.loads(line)["obj"] for path in paths for line in path.read_text().splitlines()]
losses = [v["value"] for o in operations if o["type"] == "LogFloats" and o["path"] == ["loss"] for v in o["values"]]
held = sum(b"one-id" in path.read_bytes() for path in Path(".neptune").rglob("*") if path.is_file())
print("losses stored          ", sorted(losses, reverse=True))
print("folders                ", len(paths))
print("mentions of the id     ", held)
sys.exit(0 if sorted(losses) == [2.0, 2.5] and len(paths) == 2 and not held else 1)
PYTHON
