#!/usr/bin/env bash
# torchmetrics 1.9.0: the metrics that sum values up leave NaN out, with a Python warning that is shown once and tells neither how
# many there were nor in which metric. The mean loss of an epoch in which half of the batches were NaN is that of the other half, and
# that of a sum of NaN alone is 0.0, a perfect loss. `nan_strategy="error"` refuses them.
#
# Seen, with torch 2.13.0:
#   MeanMetric of 3, NaN, 1, NaN   2.0
#   SumMetric of NaN, NaN          0.0
#   MaxMetric of 3, NaN            3.0
#   warnings shown                 1
#
# Ends with 1 where torchmetrics does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 torchmetrics==1.9.0
cd "$folder"
cat > measure.py <<'PYTHON'
import sys

import torch
import torchmetrics
from torchmetrics import MaxMetric, MeanMetric, SumMetric

nan, found = float("nan"), []
for kind, values in ((MeanMetric, (3, nan, 1, nan)), (SumMetric, (nan, nan)), (MaxMetric, (3, nan))):
    metric = kind()
    for value in values:
        metric.update(float(value))
    found.append(float(metric.compute()))
    print(f"{kind.__name__} of {values}   {found[-1]}")
sys.exit(0 if found == [2.0, 0.0, 3.0] else 1)
PYTHON
venv/bin/python measure.py 2> stderr.txt
warnings=$(grep -c 'Encountered `nan` values' stderr.txt)
echo "warnings shown   $warnings"
test "$warnings" = 1
