"""flair prints the mean of the losses since the beginning of the epoch; the losses of evaluations with all digits."""

import json
from pathlib import Path

PLANNED, SETTINGS = 0, {}
STORES = 2  # of one run, as long as both can be read
OWN = {"epoch", "epoch loss", "epoch lr", "lr", "momentum", "samples/sec", "val/PRECISION", "val/RECALL"}
OWN |= {"val/accuracy", "val/f1", "accuracy"}  # the last of the results that it prints at the end
OWN |= {"duration_s"}  # since the beginning of the epoch
BATCHES, SAMPLES = 5, 4


def logged(case):
    told = json.loads((Path(__file__).parent / "log" / f"{case}.json").read_text())
    losses = [value * SAMPLES for name, _, value in told if name == "train/batch_loss"]
    means = {}
    for step in range(1, len(losses) + 1):
        since = losses[(step - 1) // BATCHES * BATCHES : step]
        means[step] = round(sum(since) / (SAMPLES * len(since)), 8)
    evaluated = {BATCHES * epoch: value for name, epoch, value in told if name == "dev/loss"}
    return {"loss": means, "val/loss": evaluated}
