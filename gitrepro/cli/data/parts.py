"""What the pages on data sets have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...errors import UsageError
from ...records.dataset import DatasetRecord, parse_ref
from ..present import fitted, size

if TYPE_CHECKING:
    from ...store.progress import Progress

SCHEMA: Final = 1
_PATIENCE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.1


def document(record: DatasetRecord) -> dict[str, Any]:
    """A version as `--json` gives it. Its names are a promise."""
    return {name: value for name, value in record.document().items() if name != "format" and name not in record.unknown}


def named(text: str) -> tuple[str, str | None]:
    """NAME[@VERSION] of something new, taken apart.

    Raises:
        UsageError: it is no name.
    """
    ref = parse_ref(text)
    if ref.name is None or ref.digest is not None:
        raise UsageError(f"{text!r:.120} is no name for a version", do="write NAME or NAME@VERSION, as in `digits@v1`")
    return ref.name, ref.version


def counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def short(digest: str) -> str:
    return digest[:15]


def following(what: str) -> Callable[[Progress], None]:
    """A line on a terminal that says how many files and bytes are done; nothing in the first second."""
    begun = shown = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal shown
        now = time.monotonic()
        if not sys.stderr.isatty() or now - begun < _PATIENCE_SECONDS or now - shown < _PAUSE_SECONDS:
            return
        shown = now
        of = f" of {progress.files:,}" if progress.files is not None else ""
        of_bytes = f" of {size(progress.bytes)}" if progress.bytes is not None else ""
        text = f"{what}: {progress.done_files:,}{of} files, {size(progress.done_bytes)}{of_bytes}"
        sys.stderr.write(f"\r\x1b[K{fitted(text)}")
        sys.stderr.flush()

    return tell


def cleared() -> None:
    """Take the line of `following` off the terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
