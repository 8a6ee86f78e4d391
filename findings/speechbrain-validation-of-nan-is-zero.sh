#!/usr/bin/env bash
# SpeechBrain 1.1.2: the mean of the losses of an epoch begins at 0.0 and leaves out each loss that is not finite. Where all of a validation
# are NaN, its loss is 0.0, the best there can be: the log says so, and the checkpoints that are kept by their loss are those of
# the broken model, the sound ones are deleted. `nonfinite_patience` watches the training alone, and ends it an epoch later.
#
# Seen, with torch 2.13.0 on a CPU, where the last update of the second epoch makes the weights NaN
#   the log          epoch 1 valid loss above 0, epoch 2 valid loss 0.00e+00
#   kept as the best epoch 2, loss 0.0, weights NaN
#   and then         the training ends in epoch 3: "Loss is not finite and patience is exhausted"
#
# Ends with 1 where SpeechBrain does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy scipy joblib packaging tqdm sentencepiece huggingface-hub requests soundfile pyyaml
# without torchaudio, which the index has for CUDA alone, and nothing here needs
"$folder/venv/bin/pip" install --quiet --no-deps speechbrain==1.1.2 hyperpyyaml==1.2.3 ruamel.yaml==0.18.17
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import logging
import sys
import types
from pathlib import Path

sys.modules["torchaudio"] = types.ModuleType("torchaudio")

import speechbrain
import torch
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.train_logger import FileTrainLogger
from torch.utils.data import DataLoader

logging.disable(logging.CRITICAL)
BATCHES = 4


class Brain(speechbrain.Brain):
    def compute_forward(self, batch, stage):
        return self.modules.model(batch)

    def compute_objectives(self, predictions, batch, stage):
        return (predictions - 1).square().mean()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        if self.optimizer_step == 2 * BATCHES:
            self.modules.model.weight.data.fill_(float("nan"))

    def on_stage_end(self, stage, loss, epoch):
        if stage == speechbrain.Stage.TRAIN:
            self.train_loss = loss
        else:
            stats = {"epoch": epoch}, {"loss": self.train_loss}, {"loss": loss}
            FileTrainLogger("train_log.txt").log_stats(*stats, verbose=False)
            self.checkpointer.save_and_keep_only(meta={"loss": loss, "epoch": epoch}, min_keys=["loss"])


torch.manual_seed(0)
model = torch.nn.Linear(1, 1)
checkpoints = Checkpointer("checkpoints", {"model": model})
brain = Brain({"model": model}, lambda weights: torch.optim.SGD(weights, 0.05), run_opts={"device": "cpu"}, checkpointer=checkpoints)
data = DataLoader(torch.rand(BATCHES, 1), batch_size=1)
ended = ""
try:
    brain.fit(range(1, 4), data, data, progressbar=False)
except ValueError as error:
    ended = str(error).partition(" To debug")[0]

log = Path("train_log.txt").read_text().splitlines()
best = checkpoints.find_checkpoint(min_key="loss")
kept = torch.load(best.path / "model.ckpt")["weight"].item()
print("SpeechBrain", speechbrain.__version__)
print("\n".join(log))
print("kept as the best: epoch", best.meta["epoch"], "loss", best.meta["loss"], "weight", kept, "of", len(checkpoints.list_checkpoints()))
print("ended:", ended)
right = len(log) == 2 and "valid loss: 0.00e+00" in log[1] and "valid loss: 0.00e+00" not in log[0]
sys.exit(0 if right and best.meta["epoch"] == 2 and best.meta["loss"] == 0 and kept != kept and "patience" in ended else 1)
PYTHON
