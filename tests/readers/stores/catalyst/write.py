"""Catalyst: the CSV files and the event files of its loggers, a folder for each."""

import json
import shutil
import socket
from pathlib import Path

import torch
from catalyst import dl

from tests.readers.stores.curve import CONFIG, Part, run

EPOCHS = 12
socket.gethostname = lambda: "host"  # a part of the names of event files


class Keeps(dl.Callback):
    """Keeps the metrics of each epoch."""

    def __init__(self):
        super().__init__(order=1000)
        self.kept = []

    def on_epoch_end(self, runner):
        self.kept.append({loader: float(runner.epoch_metrics[loader]["loss"]) for loader in ("train", "valid")})


def write(folder: Path, part: Part) -> None:
    torch.manual_seed(0)
    inputs = torch.rand(64, 4)
    data = torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True))
    loader = torch.utils.data.DataLoader(data, int(CONFIG["batch_size"]))
    model, keeps = torch.nn.Linear(4, 1), Keeps()
    dl.SupervisedRunner().train(
        model=model,
        criterion=torch.nn.MSELoss(),
        optimizer=torch.optim.SGD(model.parameters(), 0.05),
        loaders={"train": loader, "valid": loader},
        num_epochs=EPOCHS,
        logdir=str(folder),
        callbacks=[keeps],
    )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    (folder.parents[0] / f"{folder.name}.json").write_text(json.dumps(keeps.kept))


if __name__ == "__main__":
    run(write, cases="whole")
