"""Loaders of a Lightning training: their examples, and loaders again of examples that a check has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from ...checks.functions import Given as GivenData
from ...checks.task import Data, Kind
from ...errors import UsageError
from .examples import Items, Key, read

Loaders = tuple[Any, Any]
"""For training and for validation."""
Given = Callable[[], Data]
Making = Callable[[Data], Loaders]


def read_loaders(source: Any, kind: Kind | None, label: Key | None) -> tuple[Given, Making]:
    """The examples of a pair of loaders, and what makes loaders of items of the same form.

    Args:
        source: as for `loaders_of`, or a function that makes one.

    Raises:
        UsageError: a loader is none of torch's, or its examples cannot be read.
    """
    train, val = loaders_of(source() if callable(source) and not isinstance(source, torch.nn.Module) else source)
    for each in (train, val):
        if not isinstance(each, DataLoader):
            raise UsageError(f"a loader is a {type(each).__name__}", do="give a torch DataLoader, or data=")
    data, form = read(train.dataset, val.dataset, kind=kind, label=label)

    def loaders(changed: Data) -> Loaders:
        return _like(train, Items(changed.train, form)), _like(val, Items(changed.judged, form), ordered=True)

    return lambda: data, loaders


def _like(loader: Any, items: Items, *, ordered: bool = False) -> Any:
    """A loader of other items; its order is random where that of the first is anything but their own."""
    size = loader.batch_size or len(items)
    shuffled = not ordered and not isinstance(loader.sampler, SequentialSampler)
    # Of fewer examples than a batch holds, dropping the last batch would leave none.
    dropped = bool(loader.drop_last) and len(items) >= size and not ordered
    return DataLoader(items, batch_size=size, shuffle=shuffled, collate_fn=loader.collate_fn, drop_last=dropped)


def handed_loaders(data: Any, datamodule: Any) -> tuple[Given, Making]:
    """The examples that were handed over, and what makes loaders of them by the user's function.

    Raises:
        UsageError: it is no function. Later, from what makes loaders: the one for validation is shuffled.
    """
    if not callable(datamodule):
        raise UsageError("data= is given, and datamodule is no function", do="give a function of the data")
    function = data if callable(data) else lambda: data
    return GivenData(function), lambda changed: _ordered(loaders_of(datamodule(changed)))


def loaders_of(source: Any) -> Loaders:
    """The loaders for training and for validation.

    Args:
        source: a pair of them, or what has `train_dataloader` and `val_dataloader`.

    Raises:
        UsageError: there is none of them, or several for validation.
    """
    if callable(getattr(source, "train_dataloader", None)) and callable(getattr(source, "val_dataloader", None)):
        if isinstance(source, pl.LightningDataModule):
            source.prepare_data()
            source.setup("fit")
        source = (source.train_dataloader(), source.val_dataloader())
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise UsageError(
            f"{type(source).__name__} has no loaders", do="give a LightningDataModule, or a pair of DataLoaders"
        )
    train, val = source
    val = val[0] if isinstance(val, tuple | list) and len(val) == 1 else val
    if val is None or isinstance(val, tuple | list | Mapping):
        count = "no" if not val else f"{len(val)}"
        raise UsageError(f"there are {count} loaders for validation", why="one part is scored", do="give one of them")
    return train, val


def _ordered(loaders: Loaders) -> Loaders:
    if isinstance(getattr(loaders[1], "sampler", None), RandomSampler):
        raise UsageError("the validation loader shuffles", why="predictions are matched by their order",
                         do="set shuffle=False")  # fmt: skip
    return loaders
