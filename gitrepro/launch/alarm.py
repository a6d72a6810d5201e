"""Sleep that a signal always ends, whichever thread the kernel gave it to and however early it came."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final


@final
class Alarm:
    """Rung by each signal that has a handler, also by one that came before the sleep."""

    def __init__(self) -> None:
        self._reader = -1

    @contextmanager
    def rung_by_signals(self) -> Iterator[None]:
        """Only in the main thread."""
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            os.close(self._reader)
            os.close(writer)
            self._reader = -1

    def wait(self, seconds: float) -> None:
        """Sleep until a signal has come since the last `wait` ended, or for `seconds`."""
        waiting = select.poll()
        if self._reader >= 0:
            waiting.register(self._reader, select.POLLIN)
        if waiting.poll(1000 * seconds):
            os.read(self._reader, 4096)
