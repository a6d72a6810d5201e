"""The digest of a model's weights: equal where, and only where, names, types, shapes and every bit are equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..store.objects import digest_of
from .arrays import piece
from .capture import Captured
from .tensorfile import Piece

PREFIX = "model/"


def weights_of(captured: Captured) -> str | None:
    """The digest of the model in a state; None where there is none, or its tensors have no plain bytes."""
    if not captured.plain:
        return None
    return weights_digest({name: piece(value) for name, value in captured.arrays.items() if name.startswith(PREFIX)})


def weights_digest(pieces: Mapping[str, Piece]) -> str | None:
    """`b3:<64 hex>` over the pieces in the order of their names: a line of name, type and shape, then the bytes."""
    return digest_of(_told(pieces)) if pieces else None


def _told(pieces: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
    for name in sorted(pieces):
        found = pieces[name]
        shape = ",".join(map(str, found.shape))
        yield f"{name.removeprefix(PREFIX)}\0{found.dtype}\0{shape}\n".encode()
        yield found.data
