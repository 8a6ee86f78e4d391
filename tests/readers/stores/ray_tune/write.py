"""Ray Tune: the folder of one trial, with `result.json`, `progress.csv` and an event file."""

import os
import signal
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_AIR_NEW_OUTPUT": "0"}
os.environ["PYTHONPATH"] = str(Path(__file__).parents[4])  # of the workers

import ray
from ray import tune

from tests.readers.stores.curve import CASES, CONFIG, EVERY, STEPS, Part, run

RESUMED_AT = CASES["resumed"][1].first


def write(folder: Path, part: Part) -> None:
    def train(config):
        records = iter(part)
        for step, _, values in records:
            report = {"step": step, **values}
            if step % EVERY == 0:
                _, _, evaluated = next(records)
                report |= {f"val_{name}": value for name, value in evaluated.items()}
            tune.report(report, checkpoint=tune.Checkpoint(str(empty)) if step == RESUMED_AT - 1 else None)
        if part.last < STEPS:
            raise RuntimeError("the process ends")

    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir="/tmp/ray-store")
    if part.resumes:
        tuner = tune.Tuner.restore(str(folder / "made"), train, resume_errored=True, param_space=CONFIG)
    else:
        made = tune.RunConfig(name="made", storage_path=str(folder), verbose=0)
        tuner = tune.Tuner(train, param_space=CONFIG, run_config=made)
    tuner.fit()
    ray.shutdown()
    for path in (
        []
        if part.last < STEPS and not part.killed
        else [*folder.rglob("*.pkl"), *folder.rglob("*_state-*.json"), *folder.rglob("*-state-*.json")]
    ):
        path.unlink()  # of the search, not of the trial
    if part.killed:  # as its worker was
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    run(write)
