"""SIGTERM: the scheduler wants the machine. The run ends as `preempted`, and the program unwinds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    def __init__(self, arrive: Callable[[], None], end: Callable[[], None] | None) -> None:
        self.arrived = False
        self._arrive = arrive
        self._end = end
        self._over = False
        self._closing = False
        self._waits = False
        self._before = signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._closing and not self._waits:
            # The run is being put on record, for which a moment is enough; a second signal does not wait.
            self._waits = True
            return
        if not self.arrived and not self._over:
            self._arrive()
        self.arrived = True
        before: Callable[..., Any] | int | None = self._before
        if callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            if not self._over and self._end is None:
                raise Preempted
            if not self._over and self._end:
                self._end()
            # The run is over and the handler could not be taken out, from another thread: do as Python would.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep back the first SIGTERM of this block until its end, and put back what was there before us."""
        self._closing = True
        try:
            yield
        finally:
            self._closing = False
            self.restore()
            if self._waits:
                os.kill(os.getpid(), signal.SIGTERM)

    def restore(self) -> None:
        """Put back what was there, unless the program has set a handler since."""
        self._over = True
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._before)


def preemptable(arrive: Callable[[], None], *, end: Callable[[], None] | None = None) -> Handler | None:
    """Let SIGTERM end the run; None where signals cannot be handled: outside the main thread.

    Args:
        arrive: is called once, when it comes.
        end: ends the run at once, where an exception would not unwind the program.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    return Handler(arrive, end)
