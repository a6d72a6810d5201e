"""One line on a terminal that says how far a long act has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

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
