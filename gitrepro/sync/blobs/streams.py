"""Bytes out of packs in a store remote, held in memory until their hash is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, final

from ...store.objects import copying
from ...store.objects.packfile import Entry
from . import layout
from .driver import Driver

_GAP_BYTES: Final = 256 << 10
"""What lies between two wanted blobs is read along when it is no more: another request costs as much."""


def spans(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Blobs of a pack in the order of their places, those together that one request brings."""
    span, end = list[Entry](), 0
    for entry in sorted(entries, key=lambda each: (each.offset, each.size_bytes)):
        if span and not end <= entry.offset <= end + _GAP_BYTES:
            yield span
            span = []
        span.append(entry)
        end = entry.offset + entry.size_bytes
    if span:
        yield span


def blobs(driver: Driver, pack: str, span: Sequence[Entry]) -> Iterator[tuple[Entry, bytes | None]]:
    """The blobs of one span, verified each; None for wrong bytes, and for what lies beyond the end of the pack.

    Raises KeyMissing: the pack is not there.
    """
    begin = span[0].offset
    window = _Window(driver.read(layout.pack_key(pack), start=begin, length=_end(span[-1]) - begin), begin)
    for entry in span:
        data = window.take(entry)
        yield entry, data if copying.hasher().update(data).digest() == entry.hash else None


def _end(entry: Entry) -> int:
    return entry.offset + entry.size_bytes


@final
class _Window:
    """What comes in parts, as far as it is needed at once."""

    def __init__(self, parts: Iterator[bytes | memoryview], at: int) -> None:
        self._parts = parts
        self._data = b""
        self._at = at

    def take(self, entry: Entry) -> bytes:
        """The bytes of a blob that begins where the one before ended, or later."""
        while self._at + len(self._data) < _end(entry) and (part := next(self._parts, b"")):
            begin = max(0, entry.offset - self._at)
            self._at += min(begin, len(self._data))
            self._data = self._data[begin:] + part
        begin = entry.offset - self._at
        return self._data[begin : begin + entry.size_bytes]
