"""A small data set and a split of it, put on record as the commands do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gitrepro.data import open_dataset
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.data.splits import make_split
from gitrepro.records.dataset import DatasetRecord
from gitrepro.records.split import SplitRecord
from tests.recorded_runs import ADA, opened

AT = "2026-01-02T03:04:05.678901Z"
ROWS = 100


def write_table(path: Path, *, seed: int = 0, rows: int = ROWS) -> Path:
    """A table of `rows` rows: two features and a label."""
    draw = np.random.RandomState(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x=draw.rand(rows, 2), y=np.arange(rows) % 2)
    return path


def add_data(repo: Path, path: Path, name: str = "digits", *, link: bool | None = None) -> DatasetRecord:
    wish = Wish(path=path, source=str(path), name=name, describe=False, link=link)
    return add_dataset(opened(repo), wish, identity=ADA, at=AT).record


def add_split(repo: Path, ref: str = "digits", name: str = "default") -> SplitRecord:
    """80 % train, 10 % val, 10 % test."""
    repository = opened(repo)
    return make_split(repository, open_dataset(repository, ref), name, identity=ADA, at=AT).record


def digits(repo: Path) -> tuple[DatasetRecord, SplitRecord]:
    """`digits@v1`, a table that lies beside the repository, and its split `default`."""
    record = add_data(repo, write_table(repo.parent / "digits.npz"))
    return record, add_split(repo)
