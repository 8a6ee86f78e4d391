"""Composer: the file of its `FileLogger`, with what the progress bar draws in between, as it comes."""

from pathlib import Path

import torch
from composer import Callback, Trainer
from composer.loggers import FileLogger
from composer.models import ComposerModel
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric

from tests.readers.stores.curve import CONFIG, EVERY, STEPS, STEPS_PER_EPOCH, Part, run


class Loss(MeanMetric):
    pass


class Accuracy(MeanMetric):
    pass


class Made(ComposerModel):
    def __init__(self, part):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.records = iter(part)
        self.metrics = {"loss": Loss(), "accuracy": Accuracy()}

    def forward(self, batch):
        return self.weight * batch[0]

    def loss(self, outputs, batch):
        _, _, self.trained = next(self.records)
        return outputs.sum() * 0 + self.trained["loss"]

    def eval_forward(self, batch, outputs=None):
        _, _, self.evaluated = next(self.records)
        return self.forward(batch)

    def get_metrics(self, is_train=False):
        return {} if is_train else self.metrics

    def update_metric(self, batch, outputs, metric):
        metric.update(self.evaluated[type(metric).__name__.lower()])


class Measured(Callback):
    """Logs under the names that Composer's own callbacks use."""

    def batch_end(self, state, logger):
        values = state.model.trained
        logger.log_metrics({"lr-SGD/group0": values["lr"], "l2_norm/grad/global": values["grad_norm"]})


def batches(number):
    return DataLoader(TensorDataset(torch.ones(number, 1)), batch_size=1)


def write(folder: Path, part: Part) -> None:
    model, epochs = Made(part), f"{STEPS // STEPS_PER_EPOCH}ep"
    trainer = Trainer(
        model=model,
        train_dataloader=batches(STEPS_PER_EPOCH),
        max_duration=epochs,
        eval_dataloader=batches(1),
        eval_interval=f"{EVERY}ba",
        optimizers=torch.optim.SGD(model.parameters(), lr=CONFIG["learning_rate"]),
        loggers=FileLogger("logs-rank{rank}.txt", flush_interval=1),
        callbacks=Measured(),
        device="cpu",
    )
    trainer.logger.log_hyperparameters({**CONFIG, "max_duration": epochs})
    trainer.fit()


if __name__ == "__main__":
    run(write, "whole killed")  # a resumed run has a name of its own, and a file of its own
