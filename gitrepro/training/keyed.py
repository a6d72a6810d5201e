"""Samples whose randomness hangs on which sample it is, and on nothing else.

Before a sample is read, the global generators that its data set draws from are seeded from the run seed, the epoch and
the sample's index. So augmentation is the same with any number of workers and ranks, and after a resume. A generator
that nobody draws from is not seeded, which costs a thousandth of it; that nobody did is looked at after each batch, and
a batch in which somebody did for the first time is read once more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, final

from ..errors import UsageError
from . import generators
from .streams import as_seed, derive

Kind = Literal["python", "numpy", "torch"]


@final
class Batch(list[Any]):
    """The indices of one batch, and what else its samples' seeds hang on.

    Attributes:
        epoch: from 0.
        repeats: for each index how often it came earlier in this epoch; None where none comes twice.
    """

    epoch: int = 0
    repeats: tuple[int, ...] | None = None


@final
class _Sample:
    """The sample that is being read, for `sample_generator`."""

    def __init__(self) -> None:
        self.digest: Callable[[], bytes] | None = None
        self.made: dict[str, Any] = {}
        self.whole_batch = False
        self.asked = False

    def begin(self, digest: Callable[[], bytes] | None, *, whole_batch: bool = False) -> None:
        self.digest, self.made = digest, {}
        self.whole_batch, self.asked = whole_batch, False


_sample = _Sample()


def sample_generator(kind: Kind = "numpy") -> Any:
    """A generator for the sample that is being read, the same one each time the sample is read in this epoch.

        class Noisy(torch.utils.data.Dataset):
            def __getitem__(self, index):
                return self.images[index] + gitrepro.sample_generator().normal(0, 0.1, self.images[index].shape)

    To be called where a loader of `run.loader` reads a sample, in any worker. A second call for one sample gives the
    same object, which goes on from where it was.

    Args:
        kind: `numpy` for a `numpy.random.Generator`, `torch` for a `torch.Generator`, `python` for a `random.Random`.

    Raises:
        UsageError: there is no such kind, or no sample is being read.
    """
    if kind not in _GENERATORS:
        raise UsageError(f"there is no kind of generator {kind!r:.40}", do=f"give one of {', '.join(_GENERATORS)}")
    if _sample.digest is None and not _sample.whole_batch:
        raise UsageError(
            "no sample is being read",
            why="sample_generator() is for code that a loader of run.loader(...) calls for each sample",
            do="iterate the loader; elsewhere use run.generator(...)",
        )
    if kind not in _sample.made:
        _sample.asked = True
        digest = _sample.digest() if _sample.digest else bytes(32)
        _sample.made[kind] = _GENERATORS[kind](as_seed(digest[8:]))
    return _sample.made[kind]


def _python(seed: int) -> Any:
    import random

    return random.Random(seed)


def _numpy(seed: int) -> Any:
    import numpy

    return numpy.random.default_rng(numpy.random.PCG64(seed))


def _torch(seed: int) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)


_GENERATORS: dict[str, Callable[[int], Any]] = {"numpy": _numpy, "torch": _torch, "python": _python}


@final
class Keyed:
    """A data set that reads whole batches, each sample of it with generators of its own, and collates them.

    Args:
        dataset: with `__len__` and `__getitem__`.
        run_seed: of the run.
        collate: makes a batch of a list of samples.
    """

    def __init__(self, dataset: Any, *, run_seed: int, collate: Callable[[list[Any]], Any]) -> None:
        self.dataset = dataset
        self._collate = collate
        self._key = derive(run_seed, "augmentation")
        self._drawn: set[str] = set()
        self._asks = False

    def reseed(self, run_seed: int) -> None:
        """Take the seed of another run, which this one goes on with."""
        self._key = derive(run_seed, "augmentation")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "dataset":  # else a copy that is still empty would ask itself for ever
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitems__(self, batch: Batch) -> Any:
        marks = {name: each.mark() for name, each in generators.present().items()}
        untouched = False
        try:
            while True:
                made = self._read(batch)
                if not self._learnt(marks):
                    untouched = not self._drawn
                    return made
        finally:
            _sample.begin(None)
            if not untouched:
                _put_back(marks, self._drawn)

    def _learnt(self, marks: dict[str, Any]) -> bool:
        """Whether somebody drew whom nobody had expected: then what was read hangs on who read it."""
        new = [
            name
            for name, each in generators.present().items()
            if name not in self._drawn and (name not in marks or each.moved(marks[name]))
        ]
        self._drawn.update(new)
        asked = _sample.whole_batch and _sample.asked
        self._asks = self._asks or asked
        return bool(new) or asked

    def _read(self, batch: Batch) -> Any:
        if not self._drawn and not self._asks:
            _sample.begin(None, whole_batch=True)
            return self._collate(self._unkeyed(batch))
        found = generators.present()
        drawn = [found[name] for name in self._drawn]
        return self._collate(self._samples(batch, drawn))

    def _unkeyed(self, batch: Batch) -> Any:
        dataset = self.dataset
        if callable(getattr(dataset, "__getitems__", None)):
            return dataset.__getitems__(list(batch))
        return [dataset[index] for index in batch]

    def _samples(self, batch: Batch, drawn: Sequence[generators.Shared]) -> list[Any]:
        samples = []
        epoch, repeats, dataset = batch.epoch, batch.repeats, self.dataset
        for place, index in enumerate(batch):
            said = f"{epoch}\0{index}\0{repeats[place] if repeats else 0}"

            def digest(said: str = said) -> bytes:
                return _keyed(said, self._key)

            _sample.begin(digest)
            if drawn:
                seed = as_seed(digest())
                for each in drawn:
                    each.seed(seed)
            samples.append(dataset[index])
        return samples


def _keyed(said: str, key: bytes) -> bytes:
    from blake3 import blake3

    return blake3(said.encode(), key=key).digest()


def _put_back(marks: dict[str, Any], drawn: set[str]) -> None:
    if _in_worker():
        return  # nobody else draws there
    found = generators.present()
    for name, mark in marks.items():
        if name in drawn or found[name].moved(mark):
            found[name].restore(mark)


def _in_worker() -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and torch.utils.data.get_worker_info() is not None
