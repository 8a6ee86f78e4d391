"""ClearML offline: what its lines say beside curves."""

import json

from lmdiag.judging.reading import runs_of
from lmdiag.sources.source import Source

NO_STEP = -(2**31)


def event(step, variant, value):
    kind = {"type": "training_stats_scalar", "task": "t", "metric": "Summary" if step == NO_STEP else "train"}
    return kind | {"timestamp": 1, "iter": step, "variant": variant, "value": value}


def test_a_value_without_a_step_stands_on_no_curve():
    events = [event(s, "loss", 3.0 - s / 10) for s in (2, 4, 6)]
    events += [event(NO_STEP, "train_runtime", 2.3), event(NO_STEP, "epoch", 0.5), event(NO_STEP, "epoch", 1.0)]
    lines = "".join(json.dumps([one]) + "\n" for one in events)
    (run,) = runs_of(Source("metrics.jsonl", content=lines.encode()))
    assert (run.format, run.first_step, run.last_step) == ("clearml", 2, 6)
    assert list(run.series)[:1] == ["loss"]
    said = "reported without a step stand on no curve; the last of each: Summary/train_runtime 2.3, Summary/epoch 1."
    assert run.notes[-1].endswith(said)
