"""A fingerprint of 64 bits for each row, from the values of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..reading.table import fingerprints
from .sampling import mixed

if TYPE_CHECKING:
    import pyarrow as pa

    from .types import Numbers, Words


def prints_of_items(items: Numbers, place: int) -> Words:
    """One word for each item of an array, shape (n, …), the one at `place` among the arrays: uint64, shape (n,)."""
    import numpy as np

    items = items + items.dtype.type(0) if items.dtype.kind == "f" else items
    raw = np.ascontiguousarray(items).reshape(len(items), -1).view(np.uint8)
    raw = np.pad(raw, ((0, 0), (0, -raw.shape[1] % 8)))
    words = raw.view("<u8").astype(np.uint64)
    constants = mixed(np.arange(1, words.shape[1] + 1, dtype=np.uint64))
    return joined(np.zeros(len(items), np.uint64), mixed(words + constants).sum(axis=1, dtype=np.uint64), place)


def prints_of_rows(batch: pa.RecordBatch, names: Sequence[str]) -> Words:
    """One word for each row of a batch: uint64, shape (n_rows,). Rows with equal values have equal ones."""
    import numpy as np

    total = np.zeros(batch.num_rows, np.uint64)
    for place, name in enumerate(names):
        total = joined(total, _words(batch.column(name)), place)
    return total


def joined(total: Words, words: Words, place: int) -> Words:
    """The fingerprints with one more column, the one at `place`."""
    import numpy as np

    # The place enters, so that rows with the same values in other columns differ.
    with np.errstate(over="ignore"):
        return total + mixed(words + np.uint64((place + 1) * 0x9E3779B97F4A7C15 % (1 << 64)))


def words_of(values: Numbers) -> Words:
    """Numbers as words, shape (n,): equal numbers as equal words, -0.0 as 0.0, and every NaN as one."""
    import numpy as np

    if values.dtype.kind == "f":
        doubles = values.astype(np.float64) + 0.0
        doubles[np.isnan(doubles)] = np.nan
        return doubles.view(np.uint64)
    return values.astype(np.int64).view(np.uint64)


def _words(column: pa.Array) -> Words:
    import numpy as np
    import pyarrow as pa

    kind = column.type
    there = column.is_valid().to_numpy(zero_copy_only=False)
    words = np.full(len(column), np.uint64(0xA5A5A5A5A5A5A5A5))
    present = column.drop_null()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        words[there] = words_of(present.to_numpy(zero_copy_only=False))
    elif pa.types.is_boolean(kind):
        words[there] = words_of(present.to_numpy(zero_copy_only=False).astype(np.int64))
    elif pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        words[there] = words_of(present.cast(pa.int64()).to_numpy())
    else:
        words[there] = _words_of_texts(present)
    return words


def _words_of_texts(present: pa.Array) -> Words:
    import pyarrow as pa

    if pa.types.is_dictionary(present.type):
        present = present.dictionary_decode()
    if not (pa.types.is_string(present.type) or pa.types.is_binary(present.type)):
        return fingerprints(map(repr, present.to_pylist()))
    coded = present.dictionary_encode()
    found = fingerprints(value if isinstance(value, str) else value.hex() for value in coded.dictionary.to_pylist())
    words: Words = found[coded.indices.to_numpy()]
    return words
