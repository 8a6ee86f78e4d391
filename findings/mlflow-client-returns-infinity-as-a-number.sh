#!/usr/bin/env bash
# MLflow 3.17.2 stores an infinite metric as the largest number there is, and its client returns that number. It passes
# `math.isfinite`, so a gradient norm that overflowed is found by nobody who looks for values that are not finite, while a NaN beside
# it comes back as NaN. Two of them add up to infinity, and the mean of a curve that holds one is 1e305 or more.
#
# Seen, for losses of 3, NaN, infinity and minus infinity in a SQLite store:
#   [3.0, nan, 1.7976931348623157e+308, -1.7976931348623157e+308]
#   finite: [True, False, True, True]
#
# Ends with 1 where MLflow does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import math
import sys

import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run() as run:
    for step, loss in enumerate([3.0, math.nan, math.inf, -math.inf]):
        mlflow.log_metric("loss", loss, step=step)
found = [point.value for point in mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")]
finite = [math.isfinite(value) for value in found]
print("mlflow", mlflow.__version__)
print(found)
print("finite:", finite)
sys.exit(0 if finite == [True, False, True, True] and found[2] == -found[3] == sys.float_info.max else 1)
PYTHON
