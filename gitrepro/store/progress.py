"""How far something has come that takes its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """What is done, and of how much; None where that is not known beforehand."""

    done_files: int
    files: int | None
    done_bytes: int
    bytes: int | None


@final
class Teller:
    """Tells somebody of progress, ten times a second at most. Any thread may count."""

    def __init__(
        self, told: Callable[[Progress], None] | None, *, files: int | None = None, size_bytes: int | None = None
    ) -> None:
        self._told = told
        self._of = files, size_bytes
        self._files = 0
        self._bytes = 0
        self._next = 0.0
        self._lock = threading.Lock()

    def count(self, files: int, size_bytes: int) -> None:
        """So much more is done."""
        if self._told is None:
            return
        with self._lock:
            self._files += files
            self._bytes += size_bytes
            if time.monotonic() >= self._next:
                self._tell(self._told)

    def end(self) -> None:
        """Tell of the last of it."""
        if self._told is not None:
            with self._lock:
                self._tell(self._told)

    def _tell(self, told: Callable[[Progress], None]) -> None:
        told(Progress(self._files, self._of[0], self._bytes, self._of[1]))
        self._next = time.monotonic() + _PAUSE_SECONDS
