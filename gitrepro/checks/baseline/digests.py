"""Digests of parts: what a check looked at, and whether somebody changed it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...training.fingerprints import weights_digest
from ..task import Data, Part


def digests_of(data: Data) -> Mapping[str, str]:
    """By part, `b3:` and 64 hex digits of its ids, inputs, labels, groups and times."""
    return {name: digest_of(part) for name, part in data.parts.items()}


def digest_of(part: Part) -> str:
    """The digest of one part: equal where all its examples are, in their order."""
    fields = ("ids", "inputs", "labels", "groups", "times")
    return weights_digest({name: _plain(found) for name in fields if (found := getattr(part, name)) is not None})


def _plain(values: Any) -> np.ndarray:
    """Numbers as they are, anything else as the bytes of its items, each behind its length."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind in "US" and values.size:
        return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    every = bytearray()
    for item in values:
        found = _bytes(item)
        every += len(found).to_bytes(8, "little") + found
    return np.frombuffer(bytes(every), dtype=np.uint8)


def _bytes(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    if hasattr(item, "shape") or hasattr(item, "__array_interface__"):
        array = np.asarray(item)
        if not array.dtype.hasobject:
            return f"{array.dtype.str}{array.shape}".encode() + array.tobytes()
    return repr(item).encode("utf-8", "surrogatepass")
