#!/usr/bin/env bash
# torch 2.13.0 and tensorboardX 2.6.5: `add_scalar` keeps a value in single precision, a count of tokens too. From 16.8 million on
# not each number can be kept; of 100 billion tokens only every 8,192th. The tokens between two logged steps, and a speed computed
# from them, are then 0 or twice too many in turn. `new_style=True, double_precision=True` of torch's `add_scalar` keeps the count.
#
# Seen, for a count that grows by 4,096 tokens at each of 100 steps, from 100 billion on: how often it grows by how much
#   add_scalar(…)                                         {0: 49, 8192: 50}
#   add_scalar(…, new_style=True, double_precision=True)  {4096: 99}
#   tensorboardX, add_scalar(…)                           {0: 49, 8192: 50}
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 tensorboard==2.21.0 tensorboardX==2.6.5 'setuptools<81'
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from collections import Counter

import tensorboardX
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
from torch.utils import tensorboard


def growth(name, writer, **options):
    """Return {how much the count grows from one step to the next: how often}."""
    with writer(name) as run:
        for step in range(100):
            run.add_scalar("tokens", 100_000_000_000 + 4_096 * step, step, **options)
    accumulator = EventAccumulator(name, size_guidance={"tensors": 0})
    accumulator.Reload()
    if options:
        counts = [float(make_ndarray(event.tensor_proto)) for event in accumulator.Tensors("tokens")]
    else:
        counts = [event.value for event in accumulator.Scalars("tokens")]
    return dict(sorted(Counter(int(b - a) for a, b in zip(counts, counts[1:])).items()))


single = growth("single", tensorboard.SummaryWriter)
double = growth("double", tensorboard.SummaryWriter, new_style=True, double_precision=True)
other = growth("other", tensorboardX.SummaryWriter)
print(f"torch {torch.__version__}, tensorboardX {tensorboardX.__version__}")
print("add_scalar(…)                                        ", single)
print("add_scalar(…, new_style=True, double_precision=True) ", double)
print("tensorboardX, add_scalar(…)                          ", other)
sys.exit(0 if single == other == {0: 49, 8192: 50} and double == {4096: 99} else 1)
PYTHON
