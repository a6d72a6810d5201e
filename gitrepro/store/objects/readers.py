"""Readers of part of a file."""

from __future__ import annotations

import io
import os
from typing import final


@final
class Window(io.RawIOBase):
    """`size_bytes` bytes of an open file from `offset` on, as a file of their own. Closes the file with itself."""

    def __init__(self, fd: int, offset: int, size_bytes: int) -> None:
        super().__init__()
        self._fd = fd
        self._offset = offset
        self._size_bytes = size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        view = memoryview(into).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), max(0, self._size_bytes - self._at))
        count = os.preadv(self._fd, [view[:wanted]], self._offset + self._at) if wanted else 0
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}[whence]
        if origin + offset < 0:
            raise ValueError("before the beginning")
        self._at = origin + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()
