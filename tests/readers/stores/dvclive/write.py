"""DVCLive: a folder of TSV files, one for each metric."""

from pathlib import Path

from dvclive import Live

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    live = Live(str(folder / "dvclive"), resume=part.resumes, save_dvc_exp=False, dvcyaml=None)
    live.log_params(CONFIG)
    for step, split, values in part:
        live.step = step
        for name, value in values.items():
            live.log_metric(f"{split}/{name}", value)
        live.make_summary()
    live.end()


if __name__ == "__main__":
    run(write)
