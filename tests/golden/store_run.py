"""The run that `make_store.py` records: what two processes told of data, normalisers, checkpoints and artifacts."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gitrepro.checkpoints.saving import Saver
from gitrepro.data import open_dataset
from gitrepro.data.fitted import Fitted, fit
from gitrepro.data.handle import Dataset
from gitrepro.records import yaml
from gitrepro.records.run import RunRecord
from gitrepro.run import artifacts
from gitrepro.run.data import dataset_entry, looked_up, split_entry
from gitrepro.run.named import NamedData
from gitrepro.store.journal import JournalWriter
from gitrepro.store.objects import BlobStore
from gitrepro.store.place import store_of
from gitrepro.store.repository import Repository

AT = "2026-11-22T08:00:00.000000Z"
ACTOR = {"email": "ada@example.org", "name": "Ada Lovelace"}
HOME = "/home/ada"
RUN = "01k3v9m2h8q4w5x6y7z8a9b0ce"
PIDS = (4242, 4243)
RECORD = RunRecord(
    id=RUN,
    name="calm-heron-b0ce",
    kind="train",
    status="running",
    started_at=AT,
    actor=ACTOR,
    host={"boot_id": "", "cwd": f"{HOME}/digits", "hostname": "engine", "launch": {}, "pid": PIDS[0], "user": "ada"},
    argv=("python", "train.py"),
    seeds={"requested": 7, "source": "code"},
    recorder={"hidden": [], "version": "0.1.0"},
)
CONFIG = {"format": 1, "overridden": {}, "sources": {"lr": "code"}, "values": {"lr": 0.5}}


class Tied(torch.nn.Module):
    """Two layers that share their weights, and one that is alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
        self.last = torch.nn.Linear(3, 2).to(torch.bfloat16)
        self.second.weight = self.first.weight
        with torch.no_grad():
            for each in self.parameters():
                each.copy_(torch.arange(each.numel()).reshape(each.shape) / 4)


class Training:
    """Steps of which every number is exact, so that each machine makes the same."""

    def __init__(self) -> None:
        self.model = Tied()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5, momentum=0.5)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=2, gamma=0.5)

    def step(self) -> dict[str, Any]:
        for each in self.model.parameters():
            each.grad = torch.ones_like(each)
        self.optimizer.step()
        self.scheduler.step()
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}


EXTRA: Mapping[str, Any] = {
    "epoch": 3,
    "é": ["text", None, True, -0.0, 1e-300, (1, ()), b"\0\xff", {1, 2}, {2: "two"}, float("nan"), 1 - 2j],
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "scalar": np.float32(0.1),
    "half": torch.tensor([0.5, -2.0], dtype=torch.float16),
    "columns first": torch.arange(6.0).reshape(2, 3).t(),
    "types": [torch.float32, torch.device("cpu"), torch.Size([2, 3])],
}


def save_all(saver: Saver, root: Path) -> None:
    training = Training()
    for step, loss in ((100, 0.5), (200, 0.25), (300, 0.75)):
        random.seed(step)
        np.random.seed(step)
        torch.manual_seed(step)
        extra = {"extra": EXTRA} if step == 200 else {}
        saver.save(**training.step(), **extra, step=step, metric=("val/loss", "min"), value=loss)
        saver.wait()
        if step == 100:
            saver.save(model={"w": torch.ones(2)}, rng=False, step=step, name="early")
            saver.wait()
    saver.save(model={"spectrum": torch.tensor([1 + 2j])}, rng=False, step=300, name="complex")
    saver.wait()
    (root / "parts").mkdir()
    (root / "parts" / "model.bin").write_bytes(b"half of it\n")
    saver.adopt(root / "parts", step=300, name="parts")
    saver.wait()
    (root / "epoch.ckpt").write_bytes(b"of a framework\n")
    saver.adopt(root / "epoch.ckpt", step=300)
    saver.close()


def record_run(repository: Repository, root: Path, live: Path) -> None:
    """Tell the journals of a run what two processes did, and end it."""
    store = store_of(repository)
    digits, pixels = open_dataset(repository, "digits"), open_dataset(repository, "pixels@first")
    named = looked_up(repository, NamedData(datasets=("digits",), splits=("default",)))
    recorder = {**RECORD.recorder, **named.named.document()}
    record = replace(RECORD, data=named.entries, recorder=recorder).document()
    ticks = itertools.count(1000.0, 0.25)
    start = {"boot_id": "", "format": 1, "origin_seconds": 1000.0, "owner": PIDS[0], "supervised": False}
    live.mkdir(parents=True)
    for name, document in (("start", {**start, "record": record}), ("config", CONFIG), ("env", {"format": 1})):
        (live / f"{name}.yaml").write_bytes(yaml.dump(document))
    for pid, reads in zip(PIDS, (12, 24), strict=True):
        os.getpid = lambda pid=pid: pid
        journal = JournalWriter(live, run_id=RUN, clock=lambda: next(ticks), origin=1000.0)

        def tell(op: str, journal: JournalWriter = journal, **entry: Any) -> None:
            entry = {name: 0.25 if name == "held_seconds" else value for name, value in entry.items()}
            journal.event(json.loads(json.dumps({"op": op, **entry}).replace(str(root), f"{HOME}/data")))

        if pid == PIDS[0]:
            tell_first(tell, store, repository, root, (digits, pixels))
            journal.row({"val/loss": 0.25}, 200)
        tell("dataset", **dataset_entry(digits))
        split = digits.split("default")
        tell("split", data=digits.digest, dataset="digits", **split_entry(split))
        tell("reads", data=digits.digest, split=split.digest, reads={"train": reads})
        tell("reads", data=digits.digest, split=split.digest, reads={"train": 2 * reads, "val": 4})
        if pid == PIDS[0]:
            tell("end", status="finished", reason=None, ended_at=AT, duration_seconds=60.5, cost={})
        journal.sync()
        journal.close()


def tell_first(tell: Any, store: BlobStore, repository: Repository, root: Path, data: tuple[Dataset, Dataset]) -> None:
    for name, dataset, split, part, made in fit_all(*data):
        tell("dataset", **dataset_entry(dataset))
        tell("split", data=dataset.digest, dataset=dataset.name, **split_entry(dataset.split(split)))
        digest = dataset.split(split).digest
        facts = {"count": made.count, "data": dataset.digest, "ids": made.ids_digest, "method": made.method}
        tell("fitted", blob=store.put(made.dump()), name=name, part=part, split=digest, **facts)
    for thing, name in ((b"loss,0.25\n", "losses.csv"), ({"f1": 0.5}, "scores"), (root / "texts", "predictions")):
        tell("artifact", **artifacts.keep(artifacts.given(thing, name), store, repository))
    known = {
        "run": RUN,
        "run_name": RECORD.name,
        "commit": "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "dirty": False,
        "tree": "e1abbbbe8685cca7be2b914c4af74d9157ddc6cd",
        "config": store.put(yaml.dump(CONFIG)),
        "data": [data[0].digest],
        "splits": [data[0].split("default").digest],
        "metrics": {"val/loss": 0.25},
        "time_seconds": 1.5,
    }
    save_all(Saver(store, tell=tell, provenance=lambda: known, warn=print, statcache=root / "statcache"), root)


def fit_all(digits: Dataset, pixels: Dataset) -> Iterator[tuple[str, Dataset, str, str, Fitted]]:
    """The name of each normaliser, and what it was fitted on."""
    train = digits.split("official").part("train")
    for method in ("mean_std", "min_max", "robust"):
        own = pixels.split("folds").part("fold-0")
        yield method, pixels, "folds", "fold-0", fit(method, np.arange(40.0).reshape(10, 4) ** 2, part=own)
    yield "area", digits, "official", "train", fit("mean_std", np.arange(12) ** 2, part=train)
    words = [["b", "a", "é"], ["a"], *[[]] * 9, ["b", "a"]]
    yield "words", digits, "official", "train", fit("vocabulary", words, part=train)
