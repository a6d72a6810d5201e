"""One batch after the other, so that an addition that is stopped goes on where it was."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, final

from ..objects import Batch, BlobStore

_BYTES_A_BATCH: Final = 1 << 30
_FILES_A_BATCH: Final = 100_000


@final
class Rolling:
    """A batch that ends, and makes room for the next one, whenever `turn` is called."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._new_bytes = 0
        self._files = 0
        self._open()

    def _open(self) -> None:
        self._context: AbstractContextManager[Batch] = self._store.batch()
        self.batch = self._context.__enter__()

    @property
    def new_bytes(self) -> int:
        """How many bytes were not in the store before."""
        return self._new_bytes + self.batch.new_bytes

    def put(self, data: bytes) -> str:
        return self.batch.put(data)

    def count(self, files: int) -> None:
        """So many files more were looked at."""
        self._files += files

    @property
    def is_due(self) -> bool:
        return self.batch.new_bytes >= _BYTES_A_BATCH or self._files >= _FILES_A_BATCH

    def turn(self) -> None:
        """Make all of it durable."""
        self._close()
        self._open()

    def _close(self) -> None:
        self._new_bytes += self.batch.new_bytes
        self.batch.new_bytes = 0
        self._files = 0
        self._context.__exit__(None, None, None)

    def __enter__(self) -> Rolling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._close()
        else:
            self._context.__exit__(kind, error, trace)
