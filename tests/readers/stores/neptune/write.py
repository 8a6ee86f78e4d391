"""Neptune 1.x offline: a folder for each process, below `.neptune/offline/`."""

from pathlib import Path

import neptune

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    made = neptune.init_run(
        project="w/p",
        mode="offline",
        name="made",
        capture_hardware_metrics=False,
        capture_stdout=False,
        capture_stderr=False,
        source_files=[],
        git_ref=False,
    )
    made["parameters"] = CONFIG
    for step, split, values in part:
        for name, value in values.items():
            made[f"{split}/{name}"].append(value, step=step)
    made.stop()


if __name__ == "__main__":
    run(write)
