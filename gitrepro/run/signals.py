"""SIGTERM: the scheduler wants the machine. The run ends as `preempted`, and the program unwinds."""

from __future__ import annotations

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
    """Our SIGTERM handler, in place until `restore`; a handler the program had set before is called, not ours."""

    def __init__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        before: Callable[..., Any] | int | None = self._before
        if callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            raise Preempted

    def restore(self) -> None:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == self._arrived:
            signal.signal(signal.SIGTERM, self._before)


def preemptable() -> Handler | None:
    """Let SIGTERM end the run; None where signals cannot be handled: outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return Handler()
