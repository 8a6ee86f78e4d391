#!/usr/bin/env bash
# PyTorch-Ignite 0.5.5: `EarlyStopping` counts an evaluation as none the better where its score is not above the best; a NaN is not below it,
# and so becomes the best, and the count begins anew. A run whose evaluations have become NaN is never stopped. `Checkpoint`,
# with the same score, keeps a NaN as one of its best while it has room: then nothing is above the NaN, and nothing is saved any more.
#
# Seen, with torch 2.13.0 on a CPU: the scores are losses with a minus sign, `patience=3`, `n_saved=2`
#   losses 3, 2, then 2 ten times              stopped after epoch 5
#   losses 3, 2, then NaN ten times            not stopped
#   losses 3, 9, 2, 1.5, 1.2, 1.1, 1.0         the checkpoints of 1.1 and 1.0 are kept
#   losses 3, NaN, 2, 1.5, 1.2, 1.1, 1.0       the checkpoints of NaN and 2 are kept
#
# Ends with 1 where Ignite does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 pytorch-ignite==0.5.5
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from pathlib import Path

import ignite
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver, EarlyStopping


def train(folder, losses):
    """Return the epochs that were trained, and the losses of the checkpoints that are left."""
    trainer, evaluator = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)

    def score(engine):
        return -losses[trainer.state.epoch - 1]

    best = Checkpoint({"model": torch.nn.Linear(1, 1)}, DiskSaver(folder), n_saved=2, score_function=score, score_name="score")
    evaluator.add_event_handler(Events.COMPLETED, best)
    evaluator.add_event_handler(Events.COMPLETED, EarlyStopping(patience=3, score_function=score, trainer=trainer))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run([0]))
    trainer.run([0], max_epochs=len(losses))
    return trainer.state.epoch, sorted(path.stem.removeprefix("model_score=").lstrip("-") for path in Path(folder).iterdir())


print("pytorch-ignite", ignite.__version__, "torch", torch.__version__)
nan = float("nan")
runs = [3.0] + [2.0] * 11, [3.0, 2.0] + [nan] * 10, [3.0, 9.0, 2.0, 1.5, 1.2, 1.1, 1.0], [3.0, nan, 2.0, 1.5, 1.2, 1.1, 1.0]
found = [train(f"run{number}", losses) for number, losses in enumerate(runs)]
for losses, (epochs, left) in zip(runs, found):
    print(f"losses {losses}   epochs {epochs}   checkpoints {left}")
epochs, left = zip(*found)
sys.exit(0 if epochs == (5, 12, 7, 7) and left[2:] == (["1.0000", "1.1000"], ["2.0000", "nan"]) else 1)
PYTHON
