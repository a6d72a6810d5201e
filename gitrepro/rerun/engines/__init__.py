"""Where jobs run. An engine takes a job, carries out its command somewhere, and says when it is over.

An engine is a small adapter: the job lays out its own code, records its own run and cleans up after itself. A new
engine is a file beside this one; `tests/rerun/test_engines.py` holds what every one of them must do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..job import JobSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A job that was submitted: its id and its folder, where the result will lie."""

    id: str
    folder: Path


class Engine(Protocol):
    """Runs jobs. Used by one thread."""

    def submit(self, job: JobSpec) -> Handle:
        """Take a job; it starts when there is room."""
        ...

    def as_completed(self, handles: Iterable[Handle]) -> Iterator[Handle]:
        """Each of the jobs once, when it is over: done, failed, cancelled or killed."""
        ...

    def cancel(self, handle: Handle) -> None:
        """Have a job end soon, as Ctrl-C would: what it recorded stays. One that is over is left alone."""
        ...

    def close(self) -> None:
        """Cancel what is under way, wait for it, and leave nothing behind but folders of jobs."""
        ...
