#!/usr/bin/env bash
# trackio 0.43.0: `import_csv` keeps ten letters and digits of each column name, and numbers those that are then the same. The
# loss and the accuracy of a validation set become `validation` and `validation_1`, the losses of steps and of epochs `train/loss`
# and `train/loss_1`: which was which, only their order in the file tells, and no message does.
#
# Seen, for a CSV file with these columns:
#   step, train/loss_step, train/loss_epoch, validation_loss, validation_accuracy, learning_rate
#   step, train/loss,      train/loss_1,     validation,      validation_1,        learningra
#
# Ends with 1 where trackio does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet trackio==0.43.0
cd "$folder"
export TRACKIO_DIR="$folder/store" HF_HUB_OFFLINE=1
cat > run.csv <<'CSV'
step,train/loss_step,train/loss_epoch,validation_loss,validation_accuracy,learning_rate
1,3.5,3.6,3.4,0.25,0.001
2,2.5,2.6,2.4,0.5,0.0005
CSV
venv/bin/python - <<'PYTHON'
import sys

import trackio
from trackio.sqlite_storage import SQLiteStorage

trackio.import_csv("run.csv", project="imported")
first = SQLiteStorage.get_logs("imported", "run")[0]
found = {name: value for name, value in first.items() if name not in ("step", "timestamp")}
print("trackio", trackio.__version__)
print(found)
wanted = {"train/loss": 3.5, "train/loss_1": 3.6, "validation": 3.4, "validation_1": 0.25, "learningra": 0.001}
sys.exit(0 if found == wanted else 1)
PYTHON
