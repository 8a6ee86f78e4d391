"""SwanLab, offline and with its local board: a folder for each process, with the `.swanlab` file of its records."""

import sqlite3
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import swanlab

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part, mode: str) -> None:
    swanlab.init(project="p", name="made", config=CONFIG, mode=mode, log_dir=str(folder), id="abcdefgh", resume="allow")
    for step, split, values in part:
        swanlab.log({f"{split}/{name}": value for name, value in values.items()}, step=step)
    swanlab.finish()


def fold(board: Path) -> None:
    """Let the board's database be one small file."""
    with closing(sqlite3.connect(board)) as database:
        for command in ("PRAGMA journal_mode=DELETE", "PRAGMA page_size=512", "VACUUM"):
            database.execute(command).fetchall()


if __name__ == "__main__":
    run(partial(write, mode="offline"), "offline")
    run(partial(write, mode="local"), "local", "whole killed")
    for board in Path(sys.argv[1]).glob("*/runs.swanlab"):
        fold(board)
