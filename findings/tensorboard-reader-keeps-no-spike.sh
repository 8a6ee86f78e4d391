#!/usr/bin/env bash
# tensorboard 2.21.0: `EventAccumulator` keeps 10,000 scalars of a tag, chosen at random by a fixed seed, and leaves the others out;
# nothing it returns says that there were more. A NaN and a spike of one step each are mostly not among them, so that a check for
# NaN or for the highest loss passes; values are also up to some steps apart. `size_guidance={"scalars": 0}` keeps all.
#
# Seen, of 30,000 losses with a NaN at step 20,111 and a spike of 9 at step 17,321, written with tensorboardX 2.6.5:
#   by default         10000 values, highest 2.0, NaN 0
#   scalars without end 30000 values, highest 9.0, NaN 1
#
# Ends with 1 where tensorboard does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorboard==2.21.0 tensorboardX==2.6.5 'setuptools<81'
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import math
import sys

from tensorboard import version
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

with SummaryWriter("run") as writer:
    for step in range(1, 30_001):
        writer.add_scalar("loss", {17_321: 9.0, 20_111: math.nan}.get(step, 2.0), step)


def read(**options):
    """Return how many values there are, the highest, and how many are NaN."""
    accumulator = EventAccumulator("run", **options)
    accumulator.Reload()
    values = [event.value for event in accumulator.Scalars("loss")]
    return len(values), max(value for value in values if not math.isnan(value)), sum(map(math.isnan, values))


found = [read(), read(size_guidance={"scalars": 0})]
print("tensorboard", version.VERSION)
for name, (number, highest, nan) in zip(("by default", "scalars without end"), found):
    print(f"{name:20} {number} values, highest {highest}, NaN {nan}")
sys.exit(0 if found == [(10_000, 2.0, 0), (30_000, 9.0, 1)] else 1)
PYTHON
