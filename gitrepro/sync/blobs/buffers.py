"""Memory for files of up to 64 MiB, used again and again: to get it anew costs more than to hash what it takes."""

from __future__ import annotations

import threading
from typing import final

from . import layout


@final
class Buffers:
    """At most `count` buffers of 64 MiB. What is never touched of one takes no room."""

    def __init__(self, count: int) -> None:
        self._room = threading.Semaphore(count)
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """A buffer; it waits until one is free."""
        self._room.acquire()
        try:
            return self._free.pop()  # the one that was used last, of which the most was touched
        except IndexError:
            return memoryview(bytearray(layout.OBJECT_BYTES_AT_MOST))

    def give_back(self, buffer: memoryview) -> None:
        """Let others have it."""
        self._free.append(buffer)
        self._room.release()
