"""Polyaxon's traceml offline: a folder with a file for each metric."""

import os
import shutil
import sys
from pathlib import Path

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    os.environ["POLYAXON_IS_OFFLINE"] = "true"
    from traceml import tracking

    tracking.init(
        owner="o",
        project="p",
        name="made",
        run_uuid="0" * 32,
        is_new=not part.resumes,
        is_offline=True,
        artifacts_path=str(folder),
        track_env=False,
        track_code=False,
    )
    tracking.log_inputs(**CONFIG)
    for step, split, values in part:
        tracking.log_metrics(step=step, **{f"{split}/{name}": value for name, value in values.items()})
    tracking.end()


if __name__ == "__main__":
    run(write, seconds=12)  # it writes every ten seconds
    for resources in Path(sys.argv[1]).glob("*/resources"):
        shutil.rmtree(resources)
