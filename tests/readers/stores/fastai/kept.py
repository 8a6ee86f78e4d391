"""What fastai's recorder had of each epoch; the table has no settings."""

import json
from pathlib import Path

STEP_KIND, PLANNED, SETTINGS = "epoch", 0, {}
NAMES = {"train_loss": "loss", "valid_loss": "val/loss", "mae": "val/mae"}


def logged(case):
    told = json.loads((Path(__file__).parent / "log" / f"{case}.json").read_text())
    return {NAMES[name]: dict(enumerate(values)) for name, values in told.items()}
