#!/usr/bin/env bash
# Ray Tune 2.60.0: a new process that restores a trial with `Tuner.restore(…, resume_errored=True)` empties the trial's
# `result.json` and `progress.csv` and starts them anew if it had failed before its first checkpoint: what was reported
# until then is left in the event files alone, which hold neither NaN nor infinities. With a checkpoint both files go on.
#
# Seen: 24 reports, a failure, a restore, 40 reports
#   without a checkpoint: 24, then 40 lines of result.json; with a checkpoint: 24, then 64
#
# Ends with 1 where Ray does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[tune]==2.60.0"
cd "$folder"
mkdir empty
cat >trial.py <<'PYTHON'
import os
import sys
from pathlib import Path

import ray
from ray import tune

here = Path.cwd()
name, restores = sys.argv[1], len(sys.argv) > 2


def train(config):
    for step in range(1, 41 if restores else 25):
        kept = name == "with" and step == 20
        tune.report({"loss": 1 / step}, checkpoint=tune.Checkpoint(str(here / "empty")) if kept else None)
    if not restores:
        raise RuntimeError("fails")


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=str(here / "r"))
if restores:
    tuner = tune.Tuner.restore(str(here / name), train, resume_errored=True)
else:
    tuner = tune.Tuner(train, run_config=tune.RunConfig(name=name, storage_path=str(here), verbose=0))
tuner.fit()
ray.shutdown()
PYTHON
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled HOME=$folder
seen=""
for name in without with; do
  venv/bin/python trial.py $name >out.txt 2>&1
  seen+="$name a checkpoint: $(cat $name/*/result.json | wc -l), then "
  venv/bin/python trial.py $name restores >out.txt 2>&1
  seen+="$(cat $name/*/result.json | wc -l); "
done
echo "$seen"
[ "$seen" = "without a checkpoint: 24, then 40; with a checkpoint: 24, then 64; " ]
