#!/usr/bin/env bash
# ClearML 2.1.12: `report_scalar` has no NaN and no infinity. Each is reported as 0.0, the best loss there can be, with one line of
# INFO on the console for the first of a kind. The curve of a run that diverged falls to 0 and stays there, its last and its lowest
# loss are 0, and a gradient norm that overflowed looks like a dead model. `Logger.set_reporting_nan_value` and
# `set_reporting_inf_value` take another number in its place.
#
# Seen, offline, for losses of 2.5, 2.0, NaN, NaN, infinity, 1.5
#   metrics.jsonl            2.5, 2.0, 0.0, 0.0, 0.0, 1.5
#   with 1e9 for both        2.5, 2.0, 1e9, 1e9, 1e9, 1.5
#   lines on the console     2, one of the first NaN and one of the infinity
#
# Ends with 1 where ClearML does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet clearml==2.1.12
cd "$folder"
export CLEARML_CACHE_DIR="$folder/cache"
cat > log.py <<'PYTHON'
import json
import sys
from pathlib import Path

import clearml
from clearml import Logger, Task

if len(sys.argv) > 1:
    Logger.set_reporting_nan_value(float(sys.argv[1]))
    Logger.set_reporting_inf_value(float(sys.argv[1]))
Task.set_offline(True)
task = Task.init("project", "name", auto_connect_frameworks=False, auto_resource_monitoring=False)
for step, loss in enumerate([2.5, 2.0, float("nan"), float("nan"), float("inf"), 1.5]):
    task.get_logger().report_scalar("loss", "train", loss, step)
folder = Path(task.get_offline_mode_folder())
task.close()
events = [event for line in (folder / "metrics.jsonl").read_text().splitlines() for event in json.loads(line)]
losses = [event["value"] for event in sorted(events, key=lambda event: event["iter"]) if event["metric"] == "loss"]
Path("losses.json").write_text(json.dumps([clearml.__version__, losses]))
PYTHON
venv/bin/python log.py > console.txt 2>&1
cp losses.json plain.json
venv/bin/python log.py 1e9 > other.txt 2>&1
venv/bin/python - <<'PYTHON'
import json
import sys

(version, plain), (_, other) = json.load(open("plain.json")), json.load(open("losses.json"))
said = [line for line in open("console.txt") if "value encountered" in line]
print("clearml", version)
print("as it is  ", plain)
print("with 1e9  ", other)
print(*said, sep="", end="")
right = plain == [2.5, 2.0, 0.0, 0.0, 0.0, 1.5] and other == [2.5, 2.0, 1e9, 1e9, 1e9, 1.5]
sys.exit(0 if right and len(said) == 2 else 1)
PYTHON
