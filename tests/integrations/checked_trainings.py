"""Small trainings of Lightning and of transformers, sound or with one thing wrong, as tasks for the checks.

Each argument is a question, and the answers are printed as one mapping: `check overfit|baseline|shuffle LIBRARY KIND`
asks for the verdict of each line, `predict LIBRARY KIND` what came of one training, `repeat` of three, `relabelled` of
one with other labels, and `learner` whether there is a model to look into.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from dataclasses import replace

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from transformers import Trainer, TrainingArguments

from gitrepro.checks.arrays import data_of
from gitrepro.checks.baseline import Settings as Baselines
from gitrepro.checks.baseline import check_baseline
from gitrepro.checks.direct import direct
from gitrepro.checks.guarded import guarded_task
from gitrepro.checks.overfit import Settings as Overfits
from gitrepro.checks.overfit import check_overfit
from gitrepro.checks.shuffle import Settings as Shuffles
from gitrepro.checks.shuffle import check_shuffle
from gitrepro.checks.task import Metric
from gitrepro.checks.trials import Trial, predicting
from gitrepro.errors import GitreproError
from gitrepro.integrations import huggingface, lightning

X, y = load_digits(return_X_y=True)
X, y = X[:540].astype(np.float32) / 16, y[:540]
WHOLE = data_of(X, y, {"train": np.arange(360), "val": np.arange(360, 540)})


def body() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1))


# -- Lightning


class Net(pl.LightningModule):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.body, self.head = kind, body(), nn.Linear(64, 10)
        self.automatic_optimization = kind != "manual"

    def scores(self, inputs):
        said = self.head(self.body(inputs))
        return said.softmax(dim=1) if self.kind == "softmax" else said

    def training_step(self, batch):
        if self.kind == "interrupted":
            raise KeyboardInterrupt
        loss = nn.functional.cross_entropy(self.scores(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss * float("nan") if self.kind == "nan" else loss

    def validation_step(self, batch, _place):
        self.log("val/loss", nn.functional.cross_entropy(self.scores(batch[0]), batch[1]))

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches > 1
        return torch.optim.AdamW((self.head if self.kind == "frozen" else self).parameters(), lr=1e-2)


class Calling(Net):
    def forward(self, inputs):
        return self.scores(inputs)


class Stepping(Net):
    def predict_step(self, batch, _place):
        return self.scores(batch[0])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, y, strict=True))


class Digits(pl.LightningDataModule):
    def __init__(self, kind: str, data=WHOLE) -> None:
        super().__init__()
        self.kind, self.parts = kind, data

    def setup(self, stage: str) -> None:
        parts = self.parts.train, self.parts.judged
        self.train, self.val = (TensorDataset(torch.as_tensor(p.inputs), torch.as_tensor(p.labels)) for p in parts)
        if self.kind == "own-labels":
            self.train = torch.utils.data.ConcatDataset([self.train, *[self.val] * 2])

    def train_dataloader(self):
        return DataLoader(
            Stream() if self.kind == "stream" else self.train, batch_size=90, shuffle=self.kind != "stream"
        )

    def val_dataloader(self):
        return (
            [] if self.kind == "no-val" else DataLoader(self.val, batch_size=200, shuffle=self.kind == "val-shuffled")
        )


def of_lightning(kind: str):
    settings = {"max_epochs": 8, "accelerator": "cpu"}
    if kind == "callbacks":
        settings["callbacks"] = [ModelCheckpoint(monitor="val/loss"), EarlyStopping("val/loss", patience=50)]
    net = {"silent": Net, "stepping": Stepping}.get(kind, Calling)
    module = net(kind) if kind == "instance" else lambda: net(kind)
    if kind in ("handed", "own-labels", "val-shuffled"):
        return lightning.task(module, lambda data: Digits(kind, data), data=WHOLE, trainer=settings)
    return lightning.task(module, Digits(kind), trainer={} if kind == "endless" else settings)


# -- transformers


class Model(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.body, self.head = kind, body(), nn.Linear(64, 10)

    def forward(self, pixels, labels=None):
        seen = self.body(pixels)
        logits = self.head(seen.detach() if self.kind == "frozen" else seen)
        logits = logits.softmax(dim=1) if self.kind == "softmax" else logits
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return {"loss": loss * float("nan") if self.kind == "nan" else loss, "logits": logits}


class Popping(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        if model.kind == "interrupted":
            raise KeyboardInterrupt
        said = model(**inputs)
        loss = nn.functional.cross_entropy(said["logits"], labels)
        return (loss, said) if return_outputs else loss


def rows(part):
    return [
        {"pixels": x, "scale": 1.0, "labels": int(label)} for x, label in zip(part.inputs, part.labels, strict=True)
    ]


def trainer_of(kind: str, data=WHOLE) -> Trainer:
    train, val = rows(data.train), rows(data.judged)
    if kind == "own-labels":
        train = train + val * 2
    made = Popping if kind in ("popping", "interrupted") else Trainer
    args = TrainingArguments(
        "kept-nowhere", num_train_epochs=8, per_device_train_batch_size=90, learning_rate=2e-2, report_to="none",
        use_cpu=True,
    )  # fmt: skip
    return made(Model(kind), args, train_dataset=train, eval_dataset=None if kind == "no-val" else val)


class Letters(nn.Module):
    """Says the next letter of each; nothing of those behind it is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.memory = nn.Embedding(128, 32), nn.GRU(32, 64, batch_first=True)
        self.head = nn.Linear(64, 128)

    def forward(self, tokens, labels=None):
        logits = self.head(self.memory(self.embedding(tokens))[0])
        loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        return {"loss": loss, "logits": logits}


def writer() -> Trainer:
    text = np.frombuffer(inspect.getsource(argparse).encode()[:2400], dtype=np.uint8).astype(np.int64)
    items = [{"tokens": torch.as_tensor(line)} for line in text.reshape(-1, 12)]
    args = TrainingArguments(
        "kept-nowhere", num_train_epochs=3, learning_rate=1e-2, report_to="none", use_cpu=True, label_names=[]
    )
    return Trainer(Letters(), args, train_dataset=items[:150], eval_dataset=items[150:])


def nats(labels, values) -> float:
    sums = np.logaddexp.reduce(values, axis=-1, keepdims=True)
    return float(-np.take_along_axis(values - sums, labels[..., None], -1).mean())


def of_transformers(kind: str):
    if kind == "language":
        return huggingface.task(writer, kind=kind, metric=Metric(name="nats", function=nats, goal="min"))
    if kind in ("handed", "own-labels"):
        return huggingface.task(lambda data: trainer_of(kind, data), data=lambda: WHOLE)
    return huggingface.task(trainer_of(kind) if kind == "instance" else lambda: trainer_of(kind))


# -- what is asked


def verdicts(check: str, task) -> dict[str, str]:
    checks = {
        "overfit": lambda: check_overfit(task, Overfits(steps=150, rates=(1e-2,)), direct),
        "baseline": lambda: check_baseline(task, Baselines(only=("majority", "linear", "unigram")), direct),
        "shuffle": lambda: check_shuffle(task, Shuffles(), direct),
    }
    return {line.name: str(line.verdict) for line in checks[check]()}


def one(task, data, *, seed=0):
    act = predicting(guarded_task(task), data, seed=seed, share=1.0)
    return direct(Trial(kind="train", arm="task", seed=seed, act=act)).predictions


def predicted(task, seeds=(0,)) -> dict[str, object]:
    data = task.data()
    before = data.train.inputs.copy()
    found = [one(task, data, seed=seed) for seed in seeds]
    return {
        "score": found[0].score,
        "same": [bool((each.values == found[0].values).all()) for each in found],
        "untouched": bool((before == data.train.inputs).all()),
        "shape": data.train.inputs.shape,
        "kind": task.kind,
    }


def relabelled(task) -> dict[str, object]:
    """Each label is the next one: does the training learn those?"""
    data = task.data()
    found = one(task, data.with_parts(train=replace(data.train, labels=(data.train.labels + 1) % 10))).values
    labels = data.judged.labels
    return {"right": float((found == labels).mean()), "next": float((found == (labels + 1) % 10).mean())}


def answer(question: str) -> dict[str, object]:
    what, *rest, library, kind = question.split()
    try:
        task = {"lightning": of_lightning, "transformers": of_transformers}[library](kind)
        asked = {
            "predict": lambda: predicted(task),
            "repeat": lambda: predicted(task, seeds=(0, 0, 1)),
            "relabelled": lambda: relabelled(task),
            "learner": lambda: {"learner": task.learner() is not None},
            "check": lambda: verdicts(rest[0], task),
        }
        return asked[what]()
    except KeyboardInterrupt:
        return {"stopped": "interrupted"}
    except GitreproError as error:
        return {"error": type(error).__name__, "what": error.what, "do": error.do}


print("\n" + json.dumps({question: answer(question) for question in sys.argv[1:]}))
