"""What writers left behind that were killed: files in `incoming/` that will never get a name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .plan import DAY_SECONDS, Old

_TEMPORARY: Final = re.compile(r"[.]tmp-.*-([0-9]+)-[0-9a-f]{12}")
_ELSEWHERE_DAYS: Final = 7
"""Whether a writer on another machine lives cannot be asked; and a number may be another process by now."""


def stale(root: Path, *, began: float, shared: bool) -> Iterator[Old]:
    """Files and folders of `incoming/` that nothing was done with for a day, and whose writer is gone."""
    try:
        names = sorted(os.listdir(root / "incoming"))
    except FileNotFoundError:
        return
    for name in names:
        path = root / "incoming" / name
        touched, size_bytes = _state(path)
        days = _ELSEWHERE_DAYS if shared or _writer_lives(name) else 1
        if touched < began - days * DAY_SECONDS:
            yield Old(path, int(touched * 1e9), size_bytes)


def _state(path: Path) -> tuple[float, int]:
    """When something below `path` was last written, and how much lies there. What is gone is as young as can be."""
    try:
        found = os.lstat(path)
        touched, size_bytes = found.st_mtime, found.st_size
        for each in path.iterdir() if path.is_dir() and not path.is_symlink() else ():
            below = each.lstat()
            touched, size_bytes = max(touched, below.st_mtime), size_bytes + below.st_size
    except FileNotFoundError:
        return float("inf"), 0
    return touched, size_bytes


def _writer_lives(name: str) -> bool:
    """Whether a process runs here that has the number in a temporary name."""
    found = _TEMPORARY.fullmatch(name)
    return found is not None and Path(f"/proc/{found[1]}").exists()
