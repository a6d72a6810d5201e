"""What a `git prune` beside us took comes back: it takes what no ref named when it looked, although one does by now.

Git itself has this gap, and a commit that falls into it is gone. Nothing announces a bare prune, so every object of
ours is copied as a ref begins to name it, into one file for each minute. A file is let go of a quarter of an hour
later, and only once all that it holds has been seen where it belongs. The copies are not synced: they outlive a prune,
not a power cut.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..errors import GitreproError
from . import fs
from .gitobjects import GitObjects, Restore
from .repository import Repository

KEPT_MINUTES: Final = 15
PATIENCE_SECONDS: Final = 3.0
_MAGIC: Final = b"gRo1"
_OID: Final = re.compile("[0-9a-f]{40}")
_HEAD_BYTES: Final = len(_MAGIC) + 20 + 4


def keep(repository: Repository, objects: Mapping[str, tuple[str, bytes]], *, now: float | None = None) -> None:
    """Copy objects, given by name as kind and content, before a ref names them."""
    now = time.time() if now is None else now
    copies = b"".join(_frame(oid, kind, data) for oid, (kind, data) in objects.items())
    folder = repository.home / "rescue"
    # By user too: in a repository that several share, none may write another's file.
    path = folder / f"{int(now // 60)}-{os.getuid()}"
    try:
        fs.make_directories(folder)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            # Appended in one call, so that writers do not meet. A torn end costs its own object alone.
            os.write(fd, copies)
        finally:
            os.close(fd)
    except OSError:
        pass  # without a guard a commit is as safe as any of Git's, and a disk that refuses is told by the commit


@contextmanager
def guarded(repository: Repository, objects: GitObjects, names: Iterable[str]) -> Iterator[None]:
    """Move a ref inside: of what `objects` wrote, what is called `names` outlives a prune that looked before."""
    written = {oid: objects.written[oid] for oid in names if oid in objects.written}
    before = running_gc(repository)
    keep(repository, written)
    yield
    running = running_gc(repository)
    if running is None and before is None:
        return
    # A gc that begins from here on sees the ref. Only the one that is running may have looked before.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while running is not None and running_gc(repository) == running and time.monotonic() < deadline:
        time.sleep(0.02)
    _write_missing(repository, written.values())


def bring_back(repository: Repository) -> int:
    """Write again whatever is gone of what is kept here; return how many objects that are.

    Raises:
        StorageError: the disk refuses.
    """
    return sum(_bring_back(repository, path) for path in _files(repository))


def restorer(repository: Repository) -> Restore:
    """What `GitObjects` asks for an object that is nowhere: if it is kept here, all that is gone is written again."""

    def restore(oid: str) -> tuple[str, bytes] | None:
        copy = _find(repository, oid)
        if copy:
            # Who may only read reads the copy; so does who is faster than a prune that goes on.
            with suppress(GitreproError):
                bring_back(repository)
        return copy

    return restore


def _find(repository: Repository, oid: str) -> tuple[str, bytes] | None:
    if not _OID.fullmatch(oid):
        return None  # from a damaged record: nothing was kept under it
    wanted = _MAGIC + bytes.fromhex(oid)
    for path in _files(repository):
        data = _bytes(path)
        at = data.find(wanted)
        if at >= 0 and (copy := _copy(data, at)):
            return copy
    return None


def let_go(repository: Repository, *, now: float | None = None) -> None:
    """Drop the copies that are old, after a last look whether anything of them is gone."""
    now = time.time() if now is None else now
    old = [path for path in _files(repository) if abs(now // 60 - _minute(path)) > KEPT_MINUTES]
    if not old or running_gc(repository):
        return
    for path in old:
        try:
            _bring_back(repository, path)
            fs.remove_quietly(path)
        except OSError:
            continue  # another user's, or a disk that refuses: the next fold tries again


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


def _files(repository: Repository) -> list[Path]:
    """The files of copies, oldest first."""
    folder = repository.home / "rescue"
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((folder / name for name in names if name.partition("-")[0].isdecimal()), key=_minute)


def _minute(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _bring_back(repository: Repository, path: Path) -> int:
    data = _bytes(path)
    # Through fresh eyes: an open pack is still readable after it was deleted.
    with GitObjects(repository.common_dir) as objects:
        gone = [at for oid, at in _heads(data) if not objects.has(oid)]
    return _write_missing(repository, [copy for at in gone if (copy := _copy(data, at))])


def _write_missing(repository: Repository, objects: Iterable[tuple[str, bytes]]) -> int:
    with GitObjects(repository.common_dir) as now:
        return len(now.write(objects))


# -- the bytes


def _frame(oid: str, kind: str, data: bytes) -> bytes:
    content = b"%s %d\0%s" % (kind.encode(), len(data), data)
    return b"%s%s%s%s" % (_MAGIC, bytes.fromhex(oid), len(content).to_bytes(4, "little"), content)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # let go of meanwhile


def _heads(data: bytes) -> Iterator[tuple[str, int]]:
    """The objects in a file of copies: the name of each and where its frame begins. What is torn is passed over."""
    at = data.find(_MAGIC)
    while 0 <= at <= len(data) - _HEAD_BYTES:
        yield data[at + 4 : at + 24].hex(), at
        end = at + _HEAD_BYTES + int.from_bytes(data[at + 24 : at + 28], "little")
        # A frame that is whole ends where the next begins, or the file does.
        whole = end == len(data) or data.startswith(_MAGIC, end)
        at = end if whole else data.find(_MAGIC, at + 1)


def _copy(data: bytes, at: int) -> tuple[str, bytes] | None:
    """The kind and content of the copy at `at`; None where it is not what its name says."""
    start = at + _HEAD_BYTES
    content = data[start : start + int.from_bytes(data[at + 24 : start], "little")]
    if hashlib.sha1(content, usedforsecurity=False).digest() != data[at + 4 : at + 24]:
        return None
    head, _, rest = content.partition(b"\0")
    return head.split()[0].decode(), rest
