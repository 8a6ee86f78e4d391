#!/usr/bin/env bash
# DeepSpeed 0.19.8 spells a gradient norm that is not finite in two ways: `get_global_norm_of_tensors` returns -1 for
# infinity and for NaN alike, `get_global_norm`, which joins the norms of groups, returns infinity. A log of the first
# shows a norm of -1, which falls below every threshold, averages away, and is no NaN to anyone who looks for one.
#
# Seen, with torch 2.13.0 on a CPU:
#   norm of [4, 3]     5.0
#   norm of [4, inf]  -1.0
#   norm of [4, nan]  -1.0
#   norms -1 and 2     inf
#
# Ends with 1 where DeepSpeed does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy setuptools wheel
DS_BUILD_OPS=0 "$folder/venv/bin/pip" install --quiet --no-build-isolation deepspeed==0.19.8
DS_ACCELERATOR=cpu "$folder/venv/bin/python" - <<'PYTHON'
import sys

import deepspeed
import torch
from deepspeed.runtime.utils import get_global_norm, get_global_norm_of_tensors

print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__}")
norms = [float(get_global_norm_of_tensors([torch.tensor([4.0, last])])) for last in (3.0, float("inf"), float("nan"))]
joined = get_global_norm([-1.0, 2.0])
for what, norm in zip(("[4, 3]", "[4, inf]", "[4, nan]"), norms):
    print(f"norm of {what:9} {norm}")
print(f"norms -1 and 2    {joined}")
sys.exit(0 if norms == [5.0, -1.0, -1.0] and joined == float("inf") else 1)
PYTHON
