"""Which examples must get one label: those of equal content, and those of one group."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import numpy as np

from ..task import Data, Part

_BYTES: Final = 16
_ROOM: Final = 10
"""A table in whose columns there is room for fewer than ten rows for each example repeats itself by nature: equal rows
are no copies then."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """What is drawn for once.

    Attributes:
        codes: by part, the number of the unit of each example, int64, shape (n,).
        keys: of each unit, bytes that its content alone decides (its id, where equal rows are no copies).
        keyed_by: `content`, or `id` where equal rows are no copies.
        grouped: whether groups were joined.
    """

    codes: Mapping[str, np.ndarray]
    keys: Sequence[bytes]
    keyed_by: Literal["content", "id"]
    grouped: bool


def units_of(data: Data) -> Units:
    """The units of all parts together."""
    names = list(data.parts)
    repeats = _repeats_itself(data)
    keys = [key for name in names for key in _keys(data.parts[name], by_id=repeats)]
    groups = [code for name in names for code in _groups(data.parts[name])]
    roots = _joined(keys, groups)
    _, codes = np.unique(roots, return_inverse=True)
    least: dict[int, bytes] = {}
    for code, key in zip(codes.tolist(), keys, strict=True):
        least[code] = min(key, least.get(code, key))
    ends = np.cumsum([len(data.parts[name]) for name in names])[:-1]
    return Units(
        codes=dict(zip(names, np.split(codes.astype(np.int64), ends), strict=True)),
        keys=[least[code] for code in range(len(least))],
        keyed_by="id" if repeats else "content",
        grouped=any(part.groups is not None for part in data.parts.values()),
    )


def _keys(part: Part, *, by_id: bool) -> Iterator[bytes]:
    for name, content in zip(part.ids, contents(part.inputs), strict=True):
        yield _digest(b"id", str(name).encode("utf-8", "surrogatepass")) if by_id or content is None else content


def contents(inputs: Any) -> Iterator[bytes | None]:
    """16 bytes for each example, equal where the content is; None where it cannot be told.

    Numbers are compared by value, with -0.0 as 0.0 and every NaN as one; texts without regard to case and white space,
    in Unicode's form NFC; images by their pixels.
    """
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "biuf":
        return (_of_array(row) for row in inputs)
    return (_of_item(item) for item in inputs)


def _of_item(item: Any) -> bytes | None:
    if isinstance(item, str):
        plain = " ".join(unicodedata.normalize("NFC", item).casefold().split())
        return _digest(b"text", plain.encode("utf-8", "surrogatepass"))
    if isinstance(item, bytes):
        return _digest(b"bytes", item)
    if hasattr(item, "__array__") or hasattr(item, "__array_interface__"):
        array = np.asarray(item)
        if array.dtype.kind in "biuf":
            return _of_array(array)
        return _digest(b"items", repr(array.tolist()).encode("utf-8", "surrogatepass"))
    said = repr(item)
    # The address of an object is in the text that Python makes where its class makes none: it tells no content.
    return None if " at 0x" in said else _digest(b"other", said.encode("utf-8", "surrogatepass"))


def _of_array(row: Any) -> bytes:
    array = np.asarray(row)
    if array.dtype.kind == "f":
        array = array.astype(np.float64) + 0.0
        array[np.isnan(array)] = np.nan
    return _digest(f"{array.dtype.str}{array.shape}".encode(), array.tobytes())


def _digest(kind: bytes, raw: bytes) -> bytes:
    return hashlib.blake2b(kind + b"\0" + raw, digest_size=_BYTES).digest()


def _groups(part: Part) -> list[str | None]:
    return [None] * len(part) if part.groups is None else [str(each) for each in part.groups]


def _joined(keys: Sequence[bytes], groups: Sequence[str | None]) -> list[int]:
    """Of each example the root of its tree: one tree for all that equal contents and common groups join."""
    number: dict[object, int] = {}
    parent: list[int] = []

    def node(name: object) -> int:
        if name not in number:
            number[name] = len(parent)
            parent.append(len(parent))
        return root(number[name])

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for key, group in zip(keys, groups, strict=True):
        one = node(key)
        if group is not None:
            parent[node(group)] = one
    return [root(number[key]) for key in keys]


def _repeats_itself(data: Data) -> bool:
    """Whether a table has so few values in its columns that rows are equal without being copies."""
    arrays = [part.inputs for part in data.parts.values()]
    if not all(isinstance(each, np.ndarray) and each.ndim <= 2 and each.dtype.kind in "biuf" for each in arrays):
        return False
    count, room = sum(map(len, arrays)), 1.0
    columns = [each.reshape(len(each), -1) for each in arrays]
    if len({each.shape[1] for each in columns}) != 1:
        return False
    for k in range(columns[0].shape[1]):
        room *= len(np.unique(np.concatenate([each[:, k] for each in columns])))
        if room > _ROOM * count:
            return False
    return True
