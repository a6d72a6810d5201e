"""Torch data sets that a spawned worker can import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Dataset, IterableDataset


class OneByOne(Dataset[int]):
    """Item i is i."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> int:
        assert type(place) is int
        if not 0 <= place < self.count:
            raise IndexError(place)
        return place


class InBatches(OneByOne):
    """As `OneByOne`, and it counts the batches that it was asked for as a whole."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.batches = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __getitem__(self, place: int) -> int:
        raise AssertionError("asked for one item")

    def __getitems__(self, places: list[int]) -> list[int]:
        assert all(type(place) is int for place in places)
        self.batches += 1
        return places


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


def read_all(_rank: int, part: Sequence[str]) -> None:
    """What a spawned process does with a part."""
    assert len(list(part)) == len(part)
