"""One line on a terminal that says how far a long act has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .present import fitted, size

if TYPE_CHECKING:
    from ..store.progress import Progress

_PATIENCE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.1


def progress(what: str) -> Callable[[int, int], None]:
    """A callback for `done, total`. It shows nothing in the first second, and nothing where stderr is no terminal."""
    begun = shown = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if not sys.stderr.isatty() or now - begun < _PATIENCE_SECONDS:
            return
        if done >= total:
            sys.stderr.write("\r\x1b[K")
        elif now - shown >= _PAUSE_SECONDS:
            sys.stderr.write(f"\r\x1b[K{what}: {done:,} of {total:,}")
            shown = now
        sys.stderr.flush()

    return tell


def following(what: str, things: str = "files", *, rate: bool = False) -> Callable[[Progress], None]:
    """A callback that tells how many things and bytes are done, until `cleared`; it shows as little as `progress`.

    Args:
        rate: also how many bytes a second.
    """
    begun = shown = time.monotonic()

    def tell(done: Progress) -> None:
        nonlocal shown
        now = time.monotonic()
        if not sys.stderr.isatty() or now - begun < _PATIENCE_SECONDS or now - shown < _PAUSE_SECONDS:
            return
        shown = now
        of = f" of {done.files:,}" if done.files is not None else ""
        of_bytes = f" of {size(done.bytes)}" if done.bytes is not None else ""
        speed = f", {size(done.done_bytes / max(now - begun, 0.001))}/s" if rate else ""
        text = f"{what}: {done.done_files:,}{of} {things}, {size(done.done_bytes)}{of_bytes}{speed}"
        sys.stderr.write(f"\r\x1b[K{fitted(text)}")
        sys.stderr.flush()

    return tell


def cleared() -> None:
    """Take the line that told of progress off the terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
