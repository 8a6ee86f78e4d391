"""Comet offline: a zip archive for each process."""

import os
import sys
from pathlib import Path

import comet_ml

from tests.readers.stores.curve import CONFIG, Part, run

KEY = "0123456789abcdef" * 2


def write(folder: Path, part: Part) -> None:
    os.environ["TMPDIR"] = str(folder)  # where the messages are until the experiment ends
    kind = comet_ml.ExistingOfflineExperiment if part.resumes else comet_ml.OfflineExperiment
    quiet = {"log_env_details": False, "log_code": False, "log_git_metadata": False, "log_git_patch": False}
    experiment = kind(
        offline_directory=str(folder / "comet"),
        auto_output_logging=False,
        **({"previous_experiment": KEY} if part.resumes else {"project_name": "p", "experiment_key": KEY}),
        **quiet,
    )
    experiment.set_name("made")
    experiment.log_parameters(CONFIG)
    for step, split, values in part:
        experiment.log_metrics(values, prefix=split, step=step)
    experiment.end()


if __name__ == "__main__":
    run(write)
    for archive in Path(sys.argv[1]).glob("killed/comet/*.zip"):
        archive.unlink()  # it is empty
