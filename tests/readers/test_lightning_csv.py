"""Lightning's sparse rows: steps after the update, epoch means apart, evaluation batches left out; as the real logger writes."""

import pytest

from lmdiag.judging.reading import find, runs_of
from lmdiag.readers.lightning import can_read, read
from lmdiag.run import Run
from lmdiag.sources.source import Source

ROWS = """epoch,lr-AdamW,step,train_loss_epoch,train_loss_step,val_loss
0,,49,,2.31,
0,,99,,2.12,
0,,101,,,2.24
0,,101,2.29,,
,0.0001,149,,,
1,,149,,nan,
"""


def run_of(text: str, name: str = "metrics.csv") -> Run:
    (run,) = runs_of(Source(name, content=text.replace("\n", "\r\n").encode()))
    return run


def test_sparse_rows_become_series():
    run = run_of(ROWS)
    assert run.format == "lightning-csv"
    assert run["loss"].steps.tolist() == [50, 100, 150]
    assert str(run["loss"].values.tolist()) == "[2.31, 2.12, nan]"
    assert (run["val/loss"].steps.tolist(), run["lr"].steps.tolist()) == ([102], [150])
    assert (run["train/loss"].values.tolist(), run["train/loss"].reduction) == ([2.29], "epoch_mean")
    assert len(run.segments) == 1


def test_an_epoch_mean_alone_is_the_loss():
    run = run_of("epoch,step,train_loss_epoch\n0,9,3.0\n1,19,2.0\n")
    assert (run["loss"].values.tolist(), run["loss"].reduction) == ([3.0, 2.0], "epoch_mean")


def test_a_table_of_the_same_columns_may_count_the_steps_done():
    rows = "".join(f"0,{3 - step / 100},{step}\n" for step in (10, 20, 30, 33, 40, 50))
    assert run_of(f"epoch,loss,step\n{rows}")["loss"].steps.tolist() == [10, 20, 30, 33, 40, 50]


def test_a_table_that_has_lost_its_steps_is_read_without():
    run = run_of("epoch,step,train_loss_epoch\n0,,3.0\n1,,2.0\n")
    assert run["loss"].values.tolist() == [3.0, 2.0]


def test_several_evaluation_sets():
    run = run_of(
        "epoch,step,train_loss,val_loss/dataloader_idx_0,val_loss/dataloader_idx_1\n0,9,3,,\n0,9,,4,5\n1,19,2,,\n1,19,,3,4\n"
    )
    assert run["val0/loss"].values.tolist() == [4, 3]
    assert run["val1/loss"].values.tolist() == [5, 4]


def test_single_evaluation_batches_are_left_out_and_counted():
    run = run_of("epoch,step,train_loss,val_loss_epoch,val_loss_step\n0,9,3,,\n0,0,,,4\n0,1,,,5\n0,9,,4.5,\n1,19,2,,\n")
    assert run["val/loss"].values.tolist() == [4.5]
    assert run["val/loss"].steps.tolist() == [10]
    assert [(s.count, "single evaluation batch" in s.reason) for s in run.skipped] == [(2, True)]


def test_fabric_counts_micro_batches():
    run = run_of("epoch,iter,iter_time,loss,step\n0,1,0.5,3,0\n0,2,0.5,2,1\n")
    assert run["loss"].steps.tolist() == [1, 2]
    assert "micro-batches" in run.notes[0]


@pytest.mark.parametrize(
    ("name", "header", "expected"),
    [
        ("a.csv", "epoch,loss,step", True),
        ("lightning_logs/version_0/metrics.csv", "train_loss,epoch,step", True),
        ("log.csv", "step,epoch,loss", False),
        ("metrics.csv", "step,loss", False),
        ("trainer_log.csv", "epoch,eval_loss,eval_runtime,loss,step,total_flos", False),
    ],
)
def test_recognised_by_header_and_name(name, header, expected):
    assert can_read(name, f"{header}\n1,2,3\n".encode()) is expected


def test_settings_beside_it(tmp_path):
    (tmp_path / "metrics.csv").write_text(ROWS)
    (tmp_path / "hparams.yaml").write_text("lr: 6.0e-05\nmax_steps: 1000\nlayers:\n- 1\n")
    (log,) = read(Source("metrics.csv", tmp_path / "metrics.csv"))
    assert log.settings == {"lr": 6e-05, "max_steps": 1000}


def test_equal_to_what_the_real_logger_was_given(tmp_path):
    pytest.importorskip("lightning")
    import torch
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import LearningRateMonitor
    from lightning.pytorch.loggers import CSVLogger

    logged: list[float] = []

    class Model(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, index):
            loss = self.layer(batch[0]).square().mean()
            logged.append(loss.item())
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", self.layer(batch[0]).square().mean(), on_step=True, on_epoch=True)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(12, 2)), batch_size=2)
    trainer = Trainer(
        max_epochs=3,
        log_every_n_steps=1,
        logger=CSVLogger(str(tmp_path)),
        callbacks=[LearningRateMonitor("step")],
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Model(), data, data)
    (source,) = find([tmp_path])[0]
    (run,) = runs_of(source)
    assert run["loss"].steps.tolist() == list(range(1, 19))
    assert run["loss"].values == pytest.approx(logged)
    assert run["val/loss"].steps.tolist() == run["train/loss"].steps.tolist() == [6, 12, 18]
    assert set(run["lr"].values) == {0.1}
