"""What the trainer told its callbacks; the file of the evaluator has the scores once more, with their words turned round."""

import json
from pathlib import Path

from tests.readers.stores.curve import EVERY, STEPS

PLANNED, SETTINGS = STEPS, {"logging_steps": 1.0, "eval_steps": float(EVERY)}
STORES = 2  # of one run, as long as the state of the trainer can be read
OWN = {"val/eval_time_s", "val/samples_per_second", "val/steps_per_second"}
NAMES = {"loss": "loss", "grad_norm": "grad_norm", "learning_rate": "lr", "epoch": "epoch"}
TURNED = {f"eval_dev_{kind}_cosine": f"val/dev_cosine_{kind}" for kind in ("pearson", "spearman")}


def logged(case):
    found = {}
    for told in json.loads((Path(__file__).parent / "log" / f"{case}.json").read_text()):
        for name, value in told.items():
            if name in TURNED:
                found.setdefault(TURNED[name], {})[told["step"]] = value
                found.setdefault(f"val/{name.removeprefix('eval_')}", {})[told["step"]] = value
            elif name in NAMES and "train_runtime" not in told:
                found.setdefault(NAMES[name], {})[told["step"]] = value
    return found
