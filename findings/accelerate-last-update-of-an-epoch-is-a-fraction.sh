#!/usr/bin/env bash
# accelerate 1.15.0 and Lightning 2.6.6: where the batches of an epoch do not divide by the accumulation, its last update is made of those
# that are left, each still divided by all that an update should have. Its gradient norm is as much smaller: of 9 batches with
# accumulation 4 the last update has a quarter of the norm, and of the step. A log of the norm dips at the end of each epoch.
#
# Seen, with torch 2.13.0 on a CPU, for nine equal batches in each of two epochs: the norm of each update
#   accelerate   [2.0, 2.0, 0.5, 2.0, 2.0, 0.5]
#   Lightning    [2.0, 2.0, 0.5, 2.0, 2.0, 0.5]
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 accelerate==1.15.0 lightning==2.6.6
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import accelerate
import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

data = DataLoader(TensorDataset(torch.ones(9, 1)), batch_size=1)


def layer():
    made = torch.nn.Linear(1, 1, bias=False)
    made.weight.data.fill_(1.0)
    return made


def with_accelerate():
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=4)
    model = layer()
    model, optimizer, batches = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.0), data)
    norms = []
    for _ in range(2):
        for (batch,) in batches:
            with accelerator.accumulate(model):
                accelerator.backward(model(batch).square().mean())
                if accelerator.sync_gradients:
                    norms.append(accelerator.clip_grad_norm_(model.parameters(), 1e9).item())
                optimizer.step()
                optimizer.zero_grad()
    return norms


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.norms = layer(), []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def training_step(self, batch, number):
        return self.layer(batch[0]).square().mean()

    def on_before_optimizer_step(self, optimizer):
        self.norms.append(self.layer.weight.grad.norm().item())


def with_lightning():
    module = Module()
    lightning.Trainer(
        accelerator="cpu", max_epochs=2, accumulate_grad_batches=4, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(module, data)
    return module.norms


print(f"accelerate {accelerate.__version__}, lightning {lightning.__version__}, torch {torch.__version__}")
found = with_accelerate(), with_lightning()
for name, norms in zip(("accelerate", "Lightning"), found):
    print(f"{name:10}  ", [round(norm, 3) for norm in norms])
sys.exit(0 if all([round(norm, 3) for norm in norms] == [2, 2, 0.5] * 2 for norms in found) else 1)
PYTHON
