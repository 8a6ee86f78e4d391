#!/usr/bin/env bash
# MLflow 3.17.2: the latest value of a metric, which `search_runs` and `run.data.metrics` show, is that of the highest step,
# not the one that was logged last. A run that goes back to a checkpoint and diverges shows the value from before until it has passed the
# step that it fell back from; a search for "metrics.loss < 2.5" finds it. So does a run that is logged anew under its old id.
#
# Seen, for losses that fall to 2.0 at step 100, and then, resumed at step 50, rise to 10.8 at step 80, in a SQLite store
#   run.data.metrics            2.0
#   search "metrics.loss < 2.5" 1 run
#   logged last                 10.8 at step 80
#
# Ends with 1 where MLflow does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
import time

import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run() as run:
    for step in range(1, 101):
        mlflow.log_metric("loss", 3 - step / 100, step=step)
time.sleep(0.1)
with mlflow.start_run(run_id=run.info.run_id):
    for step in range(51, 81):
        mlflow.log_metric("loss", 10 + step / 100, step=step)
client = mlflow.MlflowClient()
latest = client.get_run(run.info.run_id).data.metrics["loss"]
searched = len(client.search_runs([run.info.experiment_id], "metrics.loss < 2.5"))
last = max(client.get_metric_history(run.info.run_id, "loss"), key=lambda point: (point.timestamp, point.step))
print("mlflow", mlflow.__version__)
print("run.data.metrics           ", latest)
print('search "metrics.loss < 2.5"', searched, "run")
print(f"logged last                 {last.value} at step {last.step}")
sys.exit(0 if (latest, searched, last.step) == (2.0, 1, 80) and last.value > 10 else 1)
PYTHON
