"""Files in pieces, hashed as their pieces come: at the end little is left to be read."""

from __future__ import annotations

import threading
from typing import Final, final

from ...errors import BlobMissing
from ...records.recipe import Recipe, Segment
from ...store.objects import BlobStore, copying

_AT_ONCE_BYTES: Final = 1 << 20


@final
class Whole:
    """The hash of a file whose pieces are on their way into the store."""

    def __init__(self, store: BlobStore, recipe: Recipe) -> None:
        self.recipe = recipe
        self._store = store
        self._sums = copying.hasher(on_all_cores=True)
        self._next = 0
        self._fits = True
        self._lock = threading.Lock()

    def advance(self) -> None:
        """Hash on as far as the pieces are here; at once back, where another thread does."""
        if self._lock.acquire(blocking=False):
            try:
                self._advance()
            except BlobMissing:
                pass
            finally:
                self._lock.release()

    def is_sound(self) -> bool:
        """Whether the pieces, all of which are here, make up the file. Raises BlobMissing: one is not."""
        with self._lock:
            self._advance()
            return self._fits and f"b3:{self._sums.hexdigest()}" == self.recipe.digest

    def _advance(self) -> None:
        while self._fits and self._next < len(self.recipe.segments):
            self._fits = self._hash(self.recipe.segments[self._next])
            self._next += 1

    def _hash(self, segment: Segment) -> bool:
        """Whether the piece has the length that the recipe says."""
        view, left = memoryview(bytearray(min(segment.size_bytes, _AT_ONCE_BYTES))), segment.size_bytes
        with self._store.open(segment.digest) as reader:
            while count := reader.readinto(view):  # type: ignore[attr-defined]
                self._sums.update(view[:count])
                left -= count
        return left == 0
