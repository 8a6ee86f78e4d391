"""What Catalyst's runner had of each epoch; an event file has floats of 32 bits, and what the optimizer is set to."""

import json
import struct
from pathlib import Path

STEP_KIND, PLANNED, SETTINGS = "epoch", 0, {}
STORES = 2  # of one run, as long as both tell the same
OWN = {"lr", "momentum", "val/lr", "val/momentum"}


def logged(case):
    told = json.loads((Path(__file__).parent / "log" / f"{case}.json").read_text())
    names = {"train": "loss", "valid": "val/loss"}
    return {
        name: {epoch: struct.unpack("f", struct.pack("f", means[loader]))[0] for epoch, means in enumerate(told, 1)}
        for loader, name in names.items()
    }
