"""What spaCy's loop gave its logger: sums of losses since the last evaluation, the first of which is of one step; they are
written with ten decimals, and scores as percentages."""

import json
from pathlib import Path

PLANNED, SETTINGS = 40, {"max_steps": 40.0}
OWN = {"epoch", "val/cats_score"}
EVERY = 2


def logged(case):
    told = json.loads((Path(__file__).parent / "log" / f"{case}.json").read_text())
    losses = {row["step"]: round(row["losses"]["textcat"], 10) * (1 if row["step"] else EVERY) for row in told}
    return {"loss": losses, "val/score": {row["step"]: round(row["score"], 10) for row in told}}
