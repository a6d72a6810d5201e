"""A sealed test set in a real repository: flowers, a split of them, and the keys of two people."""

from __future__ import annotations

import csv
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyrage
from sklearn.datasets import load_iris

from gitrepro.data import open_dataset
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.data.sealing import book
from gitrepro.data.sealing.contents import Holdout, ids_of, labels_of, sealed_inputs, sealed_labels
from gitrepro.data.sealing.keys import identities, recipients
from gitrepro.data.sealing.predicting import Committed, commit
from gitrepro.data.sealing.scoring import Asked, Scored, score
from gitrepro.data.sealing.seals import Seal, seal
from gitrepro.data.sealing.terms import Terms
from gitrepro.data.splits import Wish as SplitWish
from gitrepro.data.splits import make_split
from gitrepro.records.holdout import Entry
from gitrepro.records.predictions import Predicted
from gitrepro.store.catalog import Catalog
from gitrepro.store.repository import Repository
from tests.recorded_runs import ADA, opened

AT = "2026-11-22T10:00:00.000000Z"
IRIS = load_iris()
NAMES = np.array([str(each) for each in IRIS.target_names])


@dataclass
class Key:
    """An age key pair."""

    identity: Any = field(default_factory=pyrage.x25519.Identity.generate)

    @property
    def public(self) -> str:
        return str(self.identity.to_public())

    @property
    def private(self) -> list[Any]:
        return identities([], text=str(self.identity))


ADAS, BOBS = Key(), Key()


@dataclass
class SealedSet:
    """The flowers, and what people do with them."""

    repository: Repository
    holdout: Holdout
    ids: list[str]

    @property
    def root(self) -> Path:
        """The work tree."""
        assert self.repository.work_tree is not None
        return self.repository.work_tree

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the log says of the part."""
        return book.entries(self.repository, self.holdout)

    @property
    def truth(self) -> np.ndarray:
        """Of the part, in its order."""
        return NAMES[IRIS.target[[int(each) for each in self.ids]]]

    def seal(
        self,
        *,
        to: Key = ADAS,
        inputs: bool = False,
        labels: Any = None,
        anew: bool = False,
        reason: str = "",
        **terms: Any,
    ) -> Seal:
        dataset = open_dataset(self.repository, "flowers")
        own = labels_of(dataset) if labels is None else labels
        contents = [sealed_labels(self.holdout, self.ids, own, source="flowers")]
        if inputs:
            contents.append(sealed_inputs(self.holdout, dataset, self.ids))
        return seal(
            self.repository, self.holdout, contents, recipients([to.public]), Terms(**terms),
            source="store", anew=anew, reason=reason, identity=ADA, at=AT,
        )  # fmt: skip

    def wrong(self, count: int) -> np.ndarray:
        """Labels of which the first so many are wrong."""
        labels = self.truth.copy()
        labels[:count] = np.where(labels[:count] == "setosa", "virginica", "setosa")
        return labels

    def commit(self, values: np.ndarray, **more: Any) -> Committed:
        predicted = Predicted(ids=np.array(self.ids), values=values, **more)
        return commit(self.repository, self.holdout, predicted, source="these", identity=ADA, at=AT)

    def score(self, key: Key = ADAS, **asked: Any) -> Scored:
        return score(self.repository, self.holdout, Asked(**asked), key.private, identity=ADA, at=AT)


def write_flowers(path: Path) -> Path:
    """A table of all flowers, with their species as words."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["a", "b", "c", "d", "species"])
        rows.writerows([*map(float, each), NAMES[kind]] for each, kind in zip(IRIS.data, IRIS.target, strict=True))
    return path


_MADE: dict[str | None, Path] = {}


def flowers(folder: Path, *, label: str | None = "species") -> SealedSet:
    """Flowers that are on record, with a split of 60 % train and 40 % test. Nothing is sealed yet."""
    root = folder / "repo"
    if label in _MADE:
        # Made once in a session and copied after that: most of a test's time would go into this.
        shutil.copytree(_MADE[label], root)
    else:
        _put_on_record(root, label)
        _MADE[label] = shutil.copytree(root, folder / "made")
    repository = opened(root)
    with Catalog(repository) as catalog:
        holdout = Holdout(split=catalog.splits("flowers")[0], part="test")
    return SealedSet(repository=repository, holdout=holdout, ids=ids_of(repository, holdout))


def _put_on_record(root: Path, label: str | None) -> None:
    root.mkdir()
    for words in ("init --quiet", "config user.name Ada", "config user.email ada@example.org"):
        subprocess.run(["git", *words.split()], cwd=root, check=True)
    subprocess.run(["git", "commit", "--quiet", "--allow-empty", "--message=first"], cwd=root, check=True)
    repository = opened(root)
    path = write_flowers(root.parent / "flowers.csv")
    wish = Wish(path=path, source="flowers.csv", name="flowers", label=label, describe=False)
    add_dataset(repository, wish, identity=ADA, at=AT)
    fractions = SplitWish(fractions={"train": 0.6, "test": 0.4})
    make_split(repository, open_dataset(repository, "flowers"), "default", fractions, identity=ADA, at=AT)
