"""SwanLab, offline and with its local board: a folder for each process, with the `.swanlab` file of its records."""

import sys
from functools import partial
from pathlib import Path

import swanlab

from tests.readers.stores.curve import CONFIG, Part, fold, run


def write(folder: Path, part: Part, mode: str) -> None:
    swanlab.init(project="p", name="made", config=CONFIG, mode=mode, log_dir=str(folder), id="abcdefgh", resume="allow")
    for step, split, values in part:
        swanlab.log({f"{split}/{name}": value for name, value in values.items()}, step=step)
    swanlab.finish()


if __name__ == "__main__":
    run(partial(write, mode="offline"), "offline")
    run(partial(write, mode="local"), "local", "whole killed")
    for board in Path(sys.argv[1]).glob("*/runs.swanlab"):
        fold(board)
