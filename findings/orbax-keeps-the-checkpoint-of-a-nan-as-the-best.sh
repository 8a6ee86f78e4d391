#!/usr/bin/env bash
# Orbax 0.12.8: `CheckpointManager` with `best_fn` sorts checkpoints by their metric, and a NaN is neither above nor below another. Where
# the loss becomes NaN, the newest checkpoint counts as the best: `best_step()` names it, and with `max_to_keep` the sound ones
# are deleted. One NaN on the way is enough to keep a later, worse checkpoint, and to delete the best there was. No word of it.
#
# Seen, with jax 0.10.2 on a CPU, of one checkpoint that is kept by the lowest loss
#   losses 3, 2, 1.5, 9              kept step 3, loss 1.5
#   losses 3, 2, 1.5, NaN            kept step 4, loss NaN
#   losses 3, 1.5, 2, 9, 2.5, 2.6    kept step 2, loss 1.5
#   losses 3, 1.5, 2, NaN, 2.5, 2.6  kept step 5, loss 2.5
#
# Ends with 1 where Orbax does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet orbax-checkpoint==0.12.8 jax==0.10.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import jax
import numpy
from orbax.checkpoint import CheckpointManager, CheckpointManagerOptions, args


def kept(folder, losses):
    """Save a checkpoint with each loss, and return those that are left and the best."""
    options = CheckpointManagerOptions(max_to_keep=1, best_fn=lambda metrics: metrics["loss"], best_mode="min")
    with CheckpointManager(Path(folder).resolve(), options=options) as manager:
        for step, loss in enumerate(losses, 1):
            manager.save(step, args=args.StandardSave({"weight": numpy.full(2, loss)}), metrics={"loss": loss})
        manager.wait_until_finished()
        return manager.all_steps(), manager.best_step()


print("orbax-checkpoint", version("orbax-checkpoint"), "jax", jax.__version__)
nan = float("nan")
runs = [3.0, 2.0, 1.5, 9.0], [3.0, 2.0, 1.5, nan], [3.0, 1.5, 2.0, 9.0, 2.5, 2.6], [3.0, 1.5, 2.0, nan, 2.5, 2.6]
found = [kept(f"run{number}", losses) for number, losses in enumerate(runs)]
for losses, (steps, best) in zip(runs, found):
    print(f"losses {losses}   kept {steps}   best step {best}, loss {losses[best - 1]}")
sys.exit(0 if found == [([3], 3), ([4], 4), ([2], 2), ([5], 5)] else 1)
PYTHON
