"""The words that searches for duplicates share: what is searched, what is found, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, final

import numpy as np

from ...errors import UsageError

Kind: TypeAlias = Literal["exact", "image", "text", "passage", "vector"]
Tell: TypeAlias = Callable[[str, int, int], None]
"""Is told the name of the step, how many examples it has done, and how many there are."""
KEPT_PER_PART: Final = 4
"""Candidates that are kept of an example in a part before they are confirmed: the best one may fail, hardly four."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """The examples of one part.

    Attributes:
        ids: n of them; each is reported as text.
        contents: n of them: an array whose first axis is n, or a sequence of texts, images or arrays.
    """

    ids: Sequence[Any] | np.ndarray
    contents: Any

    def __len__(self) -> int:
        return len(self.ids)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two examples that are equal or nearly so; `b` is the later one, or the one of the later part.

    Attributes:
        kind: `exact`; `image`, `text` or `vector` for near ones; `passage` for a text that contains a good share of
            another.
        distance: 0 for exact ones. Bits of 64 that differ, for images; 1 - Jaccard similarity of the sets of shingles,
            for texts; the share of the scored text's passages that are not in the other, for passages; 1 - cosine,
            for vectors.
    """

    a: str
    b: str
    part_a: str
    part_b: str
    kind: Kind
    distance: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What a search found.

    Attributes:
        pairs: in the order of parts, and of examples in them.
        examples: how many were compared.
        left_out: how many were not, by reason, such as `low texture` or `empty`.
        numbers: other things worth knowing, by name: how many candidates there were, quantiles of similarities.
    """

    pairs: tuple[Pair, ...] = ()
    examples: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


@final
class Rows:
    """All examples of all parts as rows with one number each, 0 to n - 1, in the order of the parts."""

    def __init__(self, parts: Mapping[str, Items]) -> None:
        for name, items in parts.items():
            if len(items.contents) != len(items):
                raise UsageError(f"part {name!r} has {len(items)} ids and {len(items.contents)} contents")
        self.parts = parts
        self.names = tuple(parts)
        self.starts = np.concatenate([[0], np.cumsum([len(each) for each in parts.values()])]).astype(np.int64)
        self.part = np.repeat(np.arange(len(parts), dtype=np.int32), np.diff(self.starts))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def content(self, row: int) -> Any:
        name, place = self.place(row)
        return self.parts[name].contents[place]

    def place(self, row: int) -> tuple[str, int]:
        """The part of a row, and its place in it."""
        which = int(self.part[row])
        return self.names[which], row - int(self.starts[which])

    def blocks(self, size: int) -> Iterator[tuple[int, Any]]:
        """Contents, `size` of them at most at a time and of one part, each with the row of the first."""
        for which, items in enumerate(self.parts.values()):
            for start in range(0, len(items), size):
                yield int(self.starts[which]) + start, items.contents[start : start + size]

    def pair(self, a: int, b: int, kind: Kind, distance: float) -> Pair:
        """The pair of two rows, the earlier one first."""
        (part_a, place_a), (part_b, place_b) = self.place(min(a, b)), self.place(max(a, b))
        one, other = self.parts[part_a].ids[place_a], self.parts[part_b].ids[place_b]
        return Pair(a=str(one), b=str(other), part_a=part_a, part_b=part_b, kind=kind, distance=distance)


def silent(step: str, done: int, of: int) -> None:
    """Tells nobody."""


@final
class Candidates:
    """Pairs of rows that may be near, the best few for each later row and part; the rest is forgotten as it comes.

    At most `KEPT_PER_PART` for each row and part are kept, so memory grows with the rows and not with the pairs.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._new: list[np.ndarray] = []
        self._waiting = 0
        self._kept = np.zeros((0, 4), np.int64)
        self.seen = 0

    def add(self, one: np.ndarray, other: np.ndarray, distance: np.ndarray, what: int = 0) -> None:
        """Rows, rows, whole-numbered distances, each shape (m,), and a number that is handed on with them."""
        if not len(one):
            return
        a, b = np.minimum(one, other), np.maximum(one, other)
        self._new.append(np.stack([b, a, distance.astype(np.int64), np.full(len(a), what)], axis=1))
        self.seen += len(a)
        self._waiting += len(a)
        if self._waiting > max(1_000_000, len(self._kept)):
            self._prune()

    def best(self) -> np.ndarray:
        """Shape (m, 4), int64: later row, earlier row, distance and what, the nearest first for each row and part."""
        self._prune()
        return self._kept

    def _prune(self) -> None:
        every = np.concatenate([self._kept, *self._new])
        self._new, self._waiting = [], 0
        part = self._rows.part[every[:, 1]]
        # The same two rows come by several ways: the nearest way first, and only that one.
        every = every[np.lexsort((every[:, 3], every[:, 2], every[:, 1], every[:, 0]))]
        first = np.ones(len(every), bool)
        first[1:] = (every[1:, :2] != every[:-1, :2]).any(axis=1)
        every = every[first]
        part = self._rows.part[every[:, 1]]
        order = np.lexsort((every[:, 1], every[:, 2], part, every[:, 0]))
        every, part = every[order], part[order]
        self._kept = every[_place_in_group(every[:, 0], part) < KEPT_PER_PART]


def _place_in_group(rows: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """How many before each have the same row and part; both sorted."""
    starts = np.ones(len(rows), bool)
    starts[1:] = (rows[1:] != rows[:-1]) | (parts[1:] != parts[:-1])
    places = np.arange(len(rows))
    found: np.ndarray = places - places[starts][np.cumsum(starts) - 1] if len(rows) else places
    return found
