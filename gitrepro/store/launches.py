"""`live/by-launch/`: the run that the processes of one launch belong to. The first makes it, the others find it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from . import fs

# Every rank waits while the first one starts the run; on a large work tree its snapshot takes some seconds.
PATIENCE_SECONDS: Final = 30.0
_KEPT_SECONDS: Final = 7 * 86400
_LARGEST_BYTES: Final = 1 << 16


@contextmanager
def held(home: Path, key: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Be the one process of the launch `key` that joins or leaves its run.

    Raises:
        StorageError: another process holds it for too long, or the folder cannot be written.
    """
    folder = home / "live" / "by-launch"
    with fs.explained(f"cannot use {folder}"):
        fs.make_directories(folder)
    with fs.locked(folder / f"{key}.lock", timeout_seconds=timeout_seconds):
        yield


def known(home: Path, key: str) -> dict[str, Any]:
    """What was remembered of the launch `key`; empty when nothing was."""
    try:
        with (home / "live" / "by-launch" / f"{key}.json").open("rb") as file:
            found = json.loads(file.read(_LARGEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(home: Path, key: str, facts: Mapping[str, Any]) -> None:
    """Remember `facts` of the launch `key`. They may be lost in a power cut, as the processes are.

    Raises:
        OSError: the disk refuses.
    """
    folder = home / "live" / "by-launch"
    fs.make_directories(folder)
    fs.write_file(folder / f"{key}.json", json.dumps(facts).encode(), sync=False)


def forget(home: Path, key: str) -> None:
    fs.remove_quietly(home / "live" / "by-launch" / f"{key}.json")


def sweep(home: Path, *, now: float | None = None) -> None:
    """Drop what nobody has touched for a week."""
    now = time.time() if now is None else now
    for path in (home / "live" / "by-launch").glob("*"):
        try:
            if now - os.stat(path).st_mtime > _KEPT_SECONDS:
                path.unlink()
        except OSError:
            continue
