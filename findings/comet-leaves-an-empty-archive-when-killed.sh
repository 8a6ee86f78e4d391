#!/usr/bin/env bash
# comet_ml 3.58.8 offline: the archive in `offline_directory` is made at once and filled when the experiment ends. A run that
# is killed leaves an archive without members; all that it logged stands in `messages.json` in a folder of its own below the
# temporary folder, which the next start of the machine may empty. `comet upload` has nothing to send.
#
# Seen, after 20 values of a loss, three seconds and SIGKILL:
#   members of the archive        []
#   values in the temporary folder 20
#
# Ends with 1 where Comet does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet comet_ml==3.58.8
cd "$folder"
mkdir temporary
cat > train.py <<'PYTHON'
import os
import signal
import time

import comet_ml

experiment = comet_ml.OfflineExperiment(project_name="p", offline_directory="archives", log_env_details=False)
for step in range(1, 21):
    experiment.log_metric("loss", 3 - step / 10, step=step)
time.sleep(3)
os.kill(os.getpid(), signal.SIGKILL)
PYTHON
TMPDIR="$folder/temporary" venv/bin/python train.py > /dev/null 2>&1 || true
venv/bin/python - <<'PYTHON'
import json
import sys
import zipfile
from pathlib import Path

(archive,) = Path("archives").glob("*.zip")
members = zipfile.ZipFile(archive).namelist()
lines = [json.loads(line) for path in Path("temporary").glob("*/messages.json") for line in path.read_text().splitlines()]
values = [line for line in lines if line["type"] == "metric_msg" and line["payload"]["metric"]["metricName"] == "loss"]
print("members of the archive        ", members)
print("values in the temporary folder", len(values))
sys.exit(0 if members == [] and len(values) == 20 else 1)
PYTHON
