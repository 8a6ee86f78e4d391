"""VisualDL: a file of records for each process."""

from pathlib import Path

from visualdl import LogWriter

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    with LogWriter(logdir=str(folder)) as writer:
        writer.add_hparams(hparams_dict=CONFIG, metrics_list=["train/loss"])
        for step, split, values in part:
            for name, value in values.items():
                writer.add_scalar(f"{split}/{name}", value, step=step)


if __name__ == "__main__":
    run(write)
