"""How long the pieces of a file are, so that they are the same ones again while its other tensors change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ...records.recipe import SEGMENT_BYTES_AT_MOST, SEGMENTS_AT_MOST

SMALL_BYTES: Final = 64 << 10
"""A smaller tensor is kept with its neighbours: alone it would cost more than it saves."""


def segment_lengths(parts: Iterable[int], size_bytes: int) -> list[int]:
    """How long the segments of a file of `size_bytes` are, given how long its parts are.

    The first part is a header and stays alone, and so does every part that is not small. A run of small ones makes one
    segment, and another whenever that has reached `SMALL_BYTES`. A part above 64 MiB is cut at every 64 MiB of its own.
    """
    found = list(_of_parts(length for length in parts if length))
    return found if len(found) <= SEGMENTS_AT_MOST else list(_cut(size_bytes))


def _of_parts(parts: Iterable[int]) -> Iterator[int]:
    run = 0
    for number, length in enumerate(parts):
        small = number > 0 and length < SMALL_BYTES
        run += length if small else 0
        # Ended as soon as it is no longer small: a change in a long run then costs this much.
        if run and (not small or run >= SMALL_BYTES):
            yield run
            run = 0
        if not small:
            yield from _cut(length)
    if run:
        yield run


def _cut(length: int) -> Iterator[int]:
    for begin in range(0, length, SEGMENT_BYTES_AT_MOST):
        yield min(SEGMENT_BYTES_AT_MOST, length - begin)
