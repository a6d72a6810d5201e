"""SIGTERM: the scheduler wants the machine. The run ends as `preempted`, and the program unwinds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, final


class Preempted(SystemExit):
    """SIGTERM arrived. An ordinary exit with code 143, so that `finally` and `with` blocks run."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@final
class Handler:
    """Our SIGTERM handler, in place until `restore`; a handler the program had set before is called, not ours.

    Attributes:
        arrived: whether SIGTERM came while it was in place.
    """

    def __init__(self) -> None:
        self.arrived = False
        self._over = False
        self._before = signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.arrived = True
        before: Callable[..., Any] | int | None = self._before
        if callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            if not self._over:
                raise Preempted
            # The run is over and the handler could not be taken out, from another thread: do as Python would.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def restore(self) -> None:
        """Put back what was there, unless the program has set a handler since."""
        self._over = True
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._before)


def preemptable() -> Handler | None:
    """Let SIGTERM end the run; None where signals cannot be handled: outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return Handler()
