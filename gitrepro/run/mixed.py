"""Rows that hold more than plain numbers: written now, when a device has them, or not at all and told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from ..errors import GitreproError
from ..store.journal import Number
from .recording import Recording
from .values import detached, number, on_device
from .warning import warn

_REJECTED_NAMES_AT_MOST: Final = 100


@final
class MixedRows:
    """The rows of one run in this process that needed a closer look.

    Args:
        tell: takes an event for the journal.
        check_name: raises where a metric may not have that name.
    """

    def __init__(self, *, tell: Callable[..., None], check_name: Callable[[str], None]) -> None:
        self._tell = tell
        self._check_name = check_name
        self._rejected: dict[str, list[Any]] = {}
        self._late: list[tuple[int, str, Any]] = []
        self._lock = threading.Lock()

    def sort(self, values: Mapping[str, Any]) -> tuple[dict[str, Number], dict[str, Any]]:
        """Numbers to write now, and device values to write when they can be had without stopping the device."""
        kept: dict[str, Number] = {}
        waiting: dict[str, Any] = {}
        for name, value in values.items():
            try:
                self._check_name(name)
                if on_device(value):
                    waiting[name] = detached(value)
                else:
                    kept[name] = number(value)
            except Exception as error:  # noqa: BLE001 - a stranger's `item()` or `__float__` may raise anything
                self._reject(name, value, error)
        return kept, waiting

    def wait(self, row: int, values: Mapping[str, Any]) -> None:
        """Write device values into a row that stands already, within about a second."""
        with self._lock:
            self._late += [(row, name, value) for name, value in values.items()]

    def resolve(self) -> None:
        """Read device values, in the background thread: the training thread never waits for the device."""
        with self._lock:
            late, self._late = self._late, []
        for row, name, value in late:
            try:
                self._tell("late", row=row, values={name: number(value)})
            except Exception as error:  # noqa: BLE001 - a device may fail in ways of its own
                self._reject(name, value, error)

    def _reject(self, name: object, value: object, error: Exception) -> None:
        key = _printable(name)
        known = self._rejected.get(key)
        if known:
            known[0] += 1
        elif len(self._rejected) < _REJECTED_NAMES_AT_MOST:
            why = error.what if isinstance(error, GitreproError) else f"{type(error).__name__}: {error!s:.200}"
            self._rejected[key] = [1, why]
            warn(f"metric {key!r} of type {type(value).__name__} is not recorded: {why}; the other metrics are")
        else:
            self._rejected.setdefault("(others)", [0, f"of over {_REJECTED_NAMES_AT_MOST} names"])[0] += 1

    def tell_rejected(self, recording: Recording) -> None:
        """Put on record how many values of each name were not kept, and why."""
        for name, (count, why) in self._rejected.items():
            many = "1 value" if count == 1 else f"{count} values"
            recording.event("lost", kind="rejected", what=f"metric {name}: {many}", why=why)


def _printable(name: object) -> str:
    return name[:256] if isinstance(name, str) else f"({type(name).__name__})"
