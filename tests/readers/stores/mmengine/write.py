"""MMEngine: a work folder with one folder for each start, in which lie the console log, `vis_data/` and an event file."""

import os
import socket
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from tests.readers.stores.curve import CONFIG, STEPS, STEPS_PER_EPOCH, Part, run

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # it cannot load its own checkpoints otherwise
socket.gethostname = lambda: "host"  # a part of the names of event files
READ = {"batch_size": 1, "sampler": {"type": "DefaultSampler", "shuffle": False}}


@DATASETS.register_module()
class Numbers(Dataset):
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return torch.zeros(1)


@MODELS.register_module()
class Made(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode="tensor"):
        return [inputs]

    def train_step(self, data, optim_wrapper):
        logged = Logs.values
        return {"loss": logged["loss"], "grad_norm": logged["grad_norm"], "time": logged["step_time_s"]}


@METRICS.register_module()
class Evaluated(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(None)

    def compute_metrics(self, results):
        _, _, values = next(Logs.records)
        return values


@HOOKS.register_module()
class Logs(Hook):
    """Takes the next record before MMEngine asks the optimizer for its learning rate."""

    records, values = iter(()), {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        _, _, Logs.values = next(Logs.records, (0, "", {}))
        if not Logs.values:  # the process ends within an epoch
            sys.exit()
        runner.optim_wrapper.param_groups[0]["lr"] = Logs.values["lr"]


def write(folder: Path, part: Part) -> None:
    Logs.records = iter(part)
    work = Path("work")  # below the folder of the case; event files tell the name
    visualizer = {
        "type": "Visualizer",
        "vis_backends": [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend"}],
    }
    config = {
        **CONFIG,
        "model": {"type": "Made"},
        "work_dir": str(work),
        "train_dataloader": {"dataset": {"type": "Numbers", "length": STEPS_PER_EPOCH}, **READ},
        "train_cfg": {"by_epoch": True, "max_epochs": STEPS // STEPS_PER_EPOCH, "val_interval": 1},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": CONFIG["learning_rate"]}},
        "val_dataloader": {"dataset": {"type": "Numbers", "length": 2}, **READ},
        "val_cfg": {},
        "val_evaluator": {"type": "Evaluated"},
        "default_hooks": {
            "timer": None,  # the curve has its own times
            "logger": {"type": "LoggerHook", "interval": 1},
            "checkpoint": None if part.killed else {"type": "CheckpointHook", "interval": 1},
        },
        "custom_hooks": [{"type": "Logs", "priority": "HIGHEST"}],
        "log_processor": {"window_size": 1},
        "visualizer": visualizer,
        "resume": part.resumes,
    }
    Runner.from_cfg(Config(config)).train()
    for path in (*work.glob("*.pth"), *work.glob("last_checkpoint"), *work.glob("*.py")):
        path.unlink()


if __name__ == "__main__":
    run(write)
