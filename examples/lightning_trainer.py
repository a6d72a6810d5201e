"""PyTorch Lightning: its logger, its checkpoints, and rules that stop the training.

python examples/lightning_trainer.py

`self.log` and `save_hyperparameters` go on record as they are, and so does what `ModelCheckpoint` writes.
"""

import argparse
import tempfile

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gitrepro
from gitrepro import Divergence, EarlyStopping
from gitrepro.integrations.lightning import GitreproCallback, GitreproLogger


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, train_size=0.3, random_state=0, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.as_tensor(part) for part in parts)
    return TensorDataset(train_x.float(), train_y), TensorDataset(val_x.float(), val_y)


class Digits(pl.LightningModule):
    def __init__(self, hidden=64, **_hyperparameters):
        super().__init__()
        self.save_hyperparameters()  # these are the config of the run
        self.net = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def training_step(self, batch, _index):
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, _index):
        scores = self.net(batch[0])
        self.log("val/loss", nn.functional.cross_entropy(scores, batch[1]))
        self.log("val/accuracy", (scores.argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=60)
    args = parser.parse_args()
    train, val = digits()
    with gitrepro.record(seed=0, group="lightning") as run, tempfile.TemporaryDirectory() as folder:
        run.define_metric("val/accuracy", goal="max")
        guard = GitreproCallback(EarlyStopping("val/loss", patience=5), Divergence())
        # "copy": the folder goes away; without it a checkpoint is on record where it lies.
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=args.epochs,
            logger=GitreproLogger(checkpoints="copy"),  # takes the run that is open
            callbacks=[guard, ModelCheckpoint(folder, monitor="val/loss", mode="min")],
            log_every_n_steps=1,  # rules hear what is logged
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            Digits(lr=1e-2), DataLoader(train, batch_size=64, shuffle=True), DataLoader(val, batch_size=len(val))
        )
    print(f"{run.name}: {trainer.current_epoch} epochs")


if __name__ == "__main__":
    main()
