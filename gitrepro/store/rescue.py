"""`git gc` beside us: it may prune what no ref named when it looked, although a ref names it by now.

Git itself has this gap, and a commit that falls into it is gone. Ours comes back: while a gc runs, the objects of a
fold are kept in a file until that gc is over, and whatever it took is written again.
"""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from . import fs
from .gitobjects import GitObjects
from .repository import Repository

PATIENCE_SECONDS: Final = 3.0


@contextmanager
def guarded(repository: Repository, objects: GitObjects) -> Iterator[None]:
    """Move a ref inside: when a gc was at work then, everything `objects` wrote outlives it."""
    kept = _keep(repository, objects.written) if running_gc(repository) else None
    yield
    running = running_gc(repository)
    if running is None and kept is None:
        return
    # A gc that begins from here on sees the ref. Only the one that is running may have looked before.
    kept = kept or _keep(repository, objects.written)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while running is not None and running_gc(repository) == running and time.monotonic() < deadline:
        time.sleep(0.02)
    _write_missing(repository, objects.written.values())
    if running is None or running_gc(repository) != running:
        fs.remove_quietly(kept)


def waiting(repository: Repository) -> list[Path]:
    """What was kept because a gc outlasted our patience, or a kill came in between."""
    return sorted((repository.home / "rescue").glob("[!.]*"))


def bring_back(repository: Repository) -> None:
    """Write again what a gc took of the commits kept here; let go of them once no gc runs.

    Raises:
        StorageError: the disk refuses.
    """
    for path in waiting(repository):
        calm = running_gc(repository) is None
        _write_missing(repository, _read(path))
        if calm:
            fs.remove_quietly(path)


def running_gc(repository: Repository) -> tuple[int, int] | None:
    """Which `git gc` runs in this repository; None when none does."""
    path = repository.common_dir / "gc.pid"
    try:
        stat, words = path.stat(), path.read_text(errors="replace").split()
    except OSError:
        return None
    if len(words) == 2 and words[0].isdigit() and words[1] == socket.gethostname() and not _lives(int(words[0])):
        return None
    return stat.st_ino, stat.st_mtime_ns


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _write_missing(repository: Repository, objects: Iterable[tuple[str, bytes]]) -> None:
    # Through fresh eyes: an open pack is still readable after it was deleted.
    with GitObjects(repository.common_dir) as now:
        now.write(objects)


def _keep(repository: Repository, objects: Mapping[str, tuple[str, bytes]]) -> Path:
    folder = repository.home / "rescue"
    with fs.explained(f"cannot keep the objects of a commit in {folder}"):
        fs.make_directories(folder)
        path = folder / os.urandom(8).hex()
        parts = (b"%s %d\0%s" % (kind.encode(), len(data), data) for kind, data in objects.values())
        fs.write_file(path, zlib.compress(b"".join(parts), 1))
    return path


def _read(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        data = zlib.decompress(path.read_bytes())
    except (OSError, zlib.error):
        return  # damaged: nothing here can be trusted, and nothing here is the only copy of a run
    position = 0
    while position < len(data):
        end = data.index(b"\0", position)
        kind, length = data[position:end].split()
        yield kind.decode(), data[end + 1 : end + 1 + int(length)]
        position = end + 1 + int(length)
