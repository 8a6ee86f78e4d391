"""Weights & Biases offline: a folder with a `.wandb` file for each process."""

import shutil
import sys
from pathlib import Path

import wandb

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    settings = wandb.Settings(
        console="off", x_disable_stats=True, x_disable_meta=True, disable_code=True, disable_git=True, host="host"
    )
    made = wandb.init(
        project="p",
        id="abcdefgh",
        resume="allow",
        name="made",
        config=CONFIG,
        dir=folder,
        mode="offline",
        settings=settings,
    )
    for step, split, values in part:
        made.log({f"{split}/{name}": value for name, value in values.items()}, step=step)
    made.finish()


if __name__ == "__main__":
    run(write, cases="whole resumed")  # it is killed before anything is written
    for folder in Path(sys.argv[1]).glob("*/wandb"):
        (folder / "latest-run").unlink()
        for logs in [*folder.glob("debug*.log"), *folder.glob("*/logs")]:
            shutil.rmtree(logs) if logs.is_dir() and not logs.is_symlink() else logs.unlink()
