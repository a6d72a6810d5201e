"""The end of the process, watched: runs that nobody finished are ended with what ended the program."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import weakref
from types import TracebackType
from typing import Any, NoReturn, Protocol


class Open(Protocol):
    """A run under way."""

    id: str

    def ended_by(self, error: BaseException | None) -> None: ...

    def process_ended(self, error: BaseException | None) -> None: ...

    def after_fork(self) -> None: ...


_open: weakref.WeakSet[Any] = weakref.WeakSet()
_watching = False
_exit: SystemExit | None = None
_masks: list[set[int | signal.Signals]] = []


def opened(run: Open) -> None:
    """Remember a run, and watch for the end of the process from the first one on."""
    _open.add(run)
    _watch()


def closed(run: Open) -> None:
    _open.discard(run)


def open_runs() -> list[Any]:
    """The runs of this process that go on."""
    return list(_open)


def _watch() -> None:
    global _watching
    if _watching:
        return
    _watching = True
    atexit.register(_at_exit)
    os.register_at_fork(before=_hold_sigterm, after_in_parent=_let_sigterm, after_in_child=_in_child)
    _watch_exceptions()
    _watch_exits()


def _watch_exceptions() -> None:
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _end_all(error)
        before(kind, error, trace)

    sys.excepthook = hook


def _watch_exits() -> None:
    # An exit code is told to nobody: not to excepthook, not to atexit. The last one asked for is the one that counts,
    # for an earlier one was caught.
    before = sys.exit

    def exit(code: Any = None, /) -> NoReturn:
        global _exit
        _exit = SystemExit(code)
        before(code)

    sys.exit = exit


def _at_exit() -> None:
    for run in open_runs():
        run.process_ended(_exit)


def _end_all(error: BaseException | None) -> None:
    for run in open_runs():
        run.ended_by(error)


def _hold_sigterm() -> None:
    # Sent to a child that still has our handler, it would be forgotten: Python clears what came before its own set-up.
    _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}))


def _let_sigterm() -> None:
    if _masks:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


def _in_child() -> None:
    for run in open_runs():
        run.after_fork()
    _let_sigterm()
