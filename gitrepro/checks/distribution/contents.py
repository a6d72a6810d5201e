"""Digests of what a check has looked at, so that whoever has the data can tell that they are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...store.objects.names import digest_of
from ..task import Data, Part


def digests_of(data: Data) -> dict[str, str]:
    """By `part/what`, the digest of ids, inputs, labels, groups and times of each part."""
    return {
        f"{name}/{what}": digest for name, part in sorted(data.parts.items()) for what, digest in _of_part(part).items()
    }


def _of_part(part: Part) -> dict[str, str]:
    there = {name: getattr(part, name) for name in ("ids", "inputs", "labels", "groups", "times")}
    return {name: digest_of(_bytes(value)) for name, value in there.items() if value is not None}


def _bytes(value: Any) -> Iterator[bytes]:
    """Element type, shape and bytes of an array; the same of each item of a sequence, or its text."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        yield f"{value.dtype.str} {value.shape}\n".encode()
        yield np.ascontiguousarray(value).tobytes()
        return
    for each in value:
        if isinstance(each, np.ndarray) or hasattr(each, "getbands"):
            yield from _bytes(np.asarray(each))
        else:
            raw = each if isinstance(each, bytes) else repr(each).encode("utf-8", "surrogatepass")
            yield f"{len(raw)}\n".encode() + raw
