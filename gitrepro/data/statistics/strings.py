"""Summaries of text columns: lengths, distinct values, the most frequent ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, final

from .numbers import Stream, rate

if TYPE_CHECKING:
    import pyarrow as pa

    from .types import Words

_DISTINCT_IN_ALL: Final = 1 << 20
_DISTINCT_OF_ONE: Final = 1 << 17
_LEAST_DISTINCT: Final = 1 << 10
CATEGORIES_AT_MOST: Final = 100
_TOP: Final = 10
_CHARACTERS: Final = 80
_NUMBER: Final = r"^\s*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\s*$"


def distinct_of_each(columns: int) -> int:
    """How many different values each of so many columns remembers."""
    return max(_LEAST_DISTINCT, min(_DISTINCT_OF_ONE, _DISTINCT_IN_ALL // max(1, columns)))


def clipped(text: str) -> str:
    """A short form of a value, still one of its own: a long one ends in 8 digits of its hash."""
    if len(text) <= _CHARACTERS:
        return text
    from hashlib import blake2b

    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{text[: _CHARACTERS - 9]}…{digest}"


@final
class Strings:
    """Text that passes by.

    Args:
        held: values kept for the quantiles of the lengths.
        distinct: different values remembered; beyond, new ones are only known to be there.
    """

    def __init__(self, *, held: int, distinct: int, is_category: bool = False) -> None:
        self._lengths = Stream(held=held, whole=True)
        self._counts: Counter[str] = Counter()
        self._bound = distinct
        self._is_category = is_category
        self._full = False
        self._count = self._missing = self._numbers = 0

    def add(self, column: pa.Array, priority: Words) -> None:
        import pyarrow.compute as pc

        there = column.is_valid().to_numpy(zero_copy_only=False)
        present = column.drop_null() if column.null_count else column
        self._missing += column.null_count
        self._count += len(present)
        lengths = pc.utf8_length(present).to_numpy(zero_copy_only=False)
        self._lengths.add(lengths, priority[there] if column.null_count else priority)
        self._count_values(present)

    def _count_values(self, present: pa.Array) -> None:
        import pyarrow.compute as pc

        found = pc.value_counts(present)
        values, counts = found.field(0), found.field(1)
        numeric = pc.match_substring_regex(values, _NUMBER)
        self._numbers += pc.sum(pc.if_else(numeric, counts, 0)).as_py() or 0
        for value, count in zip(values.to_pylist(), counts.to_pylist(), strict=True):
            key = clipped(value)
            if key in self._counts or len(self._counts) < self._bound:
                self._counts[key] += count
            else:
                self._full = True

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": self._type,
            "count": self._count,
            "missing": self._missing,
            "missing_rate": rate(self._missing, self._count),
            "distinct": len(self._counts),
            "distinct_exact": not self._full,
            "lengths": brief(self._lengths.document()),
        }
        if self._type == "mixed":
            found["numbers"] = self._numbers
        name, most = ("values", CATEGORIES_AT_MOST) if self._type == "category" else ("top", _TOP)
        return found | {name: ranked(self._counts, most)}

    @property
    def _type(self) -> str:
        if 0 < self._numbers < self._count:
            return "mixed"
        few = not self._full and len(self._counts) <= CATEGORIES_AT_MOST and 2 * len(self._counts) <= self._count
        return "category" if few or (self._is_category and not self._full) else "string"


def brief(document: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of numbers that are not a feature of their own, without what is said beside them."""
    return {name: value for name, value in document.items() if name not in ("missing", "missing_rate")}


def ranked(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """The `most` frequent values and how often each is there; of equally frequent ones the first by name."""
    order: Iterable[tuple[str, int]] = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return dict(list(order)[:most])
