"""One thread that does one job after another, with room for one that waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import final


@final
class Background:
    """Does jobs in a thread of its own, in the order they came. A job must raise nothing.

    One job may wait while another is done; who brings a third waits until the second is begun. Where no thread can be
    had, as at the end of the interpreter, a job is done at once by whoever brings it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Both re-entrant: a signal handler may bring a job while the code it interrupts is bringing one.
        self.entrance = threading.RLock()
        """To be held from `wait_for_room` to `hand_over`, by who wants to find room again."""
        self._turn = threading.Condition(threading.RLock())
        self._waiting: Callable[[], None] | None = None
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def wait_for_room(self) -> float:
        """Wait until no job waits; the seconds it took."""
        began = time.perf_counter()
        with self._turn:
            if self._waiting is None:
                return 0.0
            self._turn.wait_for(lambda: self._waiting is None)
        return time.perf_counter() - began

    def hand_over(self, job: Callable[[], None]) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._waiting is None)
            self._waiting = job
            self._turn.notify_all()
        if self._closed or not self._running():
            self._do_next()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until every job is done; whether it is. A job that waits for itself is not."""
        if threading.current_thread() is self._thread:
            return False
        with self._turn:
            return self._turn.wait_for(lambda: self._waiting is None and not self._busy, timeout_seconds)

    def close(self) -> None:
        """Let the thread end once nothing waits."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()

    def _running(self) -> bool:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending, or there are too many
                self._thread = None
        return self._thread is not None

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting is not None or self._closed)
                if self._waiting is None:
                    return
            self._do_next()

    def _do_next(self) -> None:
        with self._turn:
            job, self._waiting, self._busy = self._waiting, None, True
            self._turn.notify_all()
        try:
            if job:
                job()
        finally:
            # What a job holds may take as much memory as a model: it goes before the next one is waited for.
            del job
            with self._turn:
                self._busy = False
                self._turn.notify_all()
