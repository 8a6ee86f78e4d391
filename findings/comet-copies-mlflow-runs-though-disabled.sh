#!/usr/bin/env bash
# comet_ml 3.58.8 beside mlflow-skinny 3.17.2: a program that imports comet_ml and then logs to MLflow, and asks Comet for nothing,
# leaves an offline archive of the MLflow run in `.cometml-runs` below the working folder, with what is installed, the host and the
# script in it. COMET_MODE=disabled, "disable all Comet operations", leaves the archive, too; COMET_AUTO_LOG_DISABLE=1 does not.
#
# Seen, archives of one MLflow run without a key of Comet:
#   as installed              1
#   COMET_MODE=disabled       1
#   COMET_AUTO_LOG_DISABLE=1  0
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet comet_ml==3.58.8 mlflow-skinny==3.17.2 sqlalchemy==2.0.51 alembic==1.18.5
cd "$folder"
cat > train.py <<'PYTHON'
import comet_ml  # isort: skip
import mlflow

mlflow.set_tracking_uri("file:mlruns")
with mlflow.start_run():
    mlflow.log_metric("loss", 3.0, step=1)
PYTHON
unset COMET_API_KEY COMET_MODE COMET_AUTO_LOG_DISABLE
export COMET_CONFIG="$folder/none" MLFLOW_ALLOW_FILE_STORE=true
archives() {
    mkdir "$1" && cd "$1"
    env "$2" "$folder/venv/bin/python" ../train.py > log.txt 2>&1 || { cat log.txt; exit 1; }
    find . -path './.cometml-runs/*.zip' | wc -l
    cd ..
}
installed=$(archives installed SET=nothing)
disabled=$(archives disabled COMET_MODE=disabled)
no_auto_log=$(archives no_auto_log COMET_AUTO_LOG_DISABLE=1)
echo "as installed              $installed"
echo "COMET_MODE=disabled       $disabled"
echo "COMET_AUTO_LOG_DISABLE=1  $no_auto_log"
[ "$installed $disabled $no_auto_log" = "1 1 0" ]
