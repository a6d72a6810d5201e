"""Reads, counted over the processes that read: a slot for each, so that none waits for another."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import MutableSequence
from typing import Any, Final, final

SLOTS: Final = 4096
_SLOT_BYTES: Final = 8

_slot = os.getpid() % SLOTS


def _renumber() -> None:
    global _slot
    _slot = os.getpid() % SLOTS


# Asking for the process id on every read would cost more than counting does.
os.register_at_fork(after_in_child=_renumber)


@final
class Reads:
    """How often the items of one part were read, by this process and by those it started.

    A forked process counts into the same memory. So does a spawned one that is handed a pickle of this by torch's
    `DataLoader`, once `share` was called. A slot belongs to the process id modulo 4,096: two processes of one slot that
    count in the same instant may lose a read, and the workers of one loader have ids near each other.
    """

    __slots__ = ("_cells", "_own", "_shared")

    def __init__(self) -> None:
        self._own: MutableSequence[int] = _of_forks()
        self._shared: Any = None
        self._cells = self._own

    def add(self, count: int) -> None:
        self._cells[_slot] += count

    @property
    def total(self) -> int:
        shared = 0 if self._shared is None else int(self._shared.sum())
        return sum(self._own) + shared

    def share(self) -> None:
        """Count from here on in memory that spawned processes see too."""
        if self._shared is not None:
            return
        import torch

        self._use(torch.zeros(SLOTS, dtype=torch.int64).share_memory_())  # type: ignore[no-untyped-call]

    def _use(self, shared: Any) -> None:
        self._shared = shared
        # A memory view: adding through the tensor takes fifty times as long.
        self._cells = _cells_of(shared.numpy())

    def __getstate__(self) -> dict[str, Any]:
        if "torch" in sys.modules:
            self.share()
        return {"shared": self._shared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._own = _of_forks()
        self._shared, self._cells = None, self._own
        if state["shared"] is not None:
            self._use(state["shared"])


def _of_forks() -> MutableSequence[int]:
    return _cells_of(mmap.mmap(-1, SLOTS * _SLOT_BYTES))


def _cells_of(memory: Any) -> MutableSequence[int]:
    cells: Any = memoryview(memory).cast("B").cast("q")
    return cells  # type: ignore[no-any-return]
