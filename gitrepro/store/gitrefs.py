"""Refs: read without Git, moved by compare-and-swap, durable, and never blocked by a dead writer's lock."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from ..errors import Damaged, StorageError
from . import fs

_OID = re.compile(r"[0-9a-f]{40}")


def read_ref(common_dir: Path, ref: str) -> str | None:
    """The object a ref names, as 40 hex digits, or None when there is no such ref.

    Raises:
        Damaged: the file of the ref holds something else.
    """
    try:
        text = (common_dir / ref).read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return _packed(common_dir).get(ref)
    if not _OID.fullmatch(text):
        raise Damaged(
            f"{ref} does not name an object",
            why=f"{common_dir / ref} holds {text[:60]!r}",
            do="`gitrepro doctor` tells what can be done",
        )
    return text


def list_refs(common_dir: Path, prefix: str) -> dict[str, str]:
    """Every ref below `prefix`, by name."""
    found = {name: oid for name, oid in _packed(common_dir).items() if name.startswith(prefix)}
    for path in sorted((common_dir / prefix).rglob("*")):
        name = path.relative_to(common_dir).as_posix()
        if path.is_file() and not name.endswith(".lock") and (oid := read_ref(common_dir, name)):
            found[name] = oid
    return found


def _packed(common_dir: Path) -> dict[str, str]:
    try:
        text = (common_dir / "packed-refs").read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return {}
    pairs = (line.split(" ", 1) for line in text.splitlines() if line[:1] not in ("#", "^", ""))
    return {name: oid for oid, name in (pair for pair in pairs if len(pair) == 2)}


def move_ref(common_dir: Path, ref: str, *, old: str | None, new: str) -> bool:
    """Let `ref` name `new` if it still names `old` (None: if it does not exist). Durable once this returns True.

    The caller holds gitrepro's own lock, so a `.lock` file that stays is one that a dead process left behind.

    Raises:
        StorageError: the disk refuses.
    """
    with fs.explained(f"cannot move {ref} in {common_dir}"):
        fs.make_directories((common_dir / ref).parent)
        for patience_seconds in (1.0, 0.2, 0.2):
            try:
                moved = _swap(common_dir, ref, old, new)
                fs.sync_directory((common_dir / ref).parent)
                return moved
            except FileExistsError:
                _clear_stale_lock(common_dir / (ref + ".lock"), patience_seconds)
    raise StorageError(
        f"{ref} is locked",
        why=f"{common_dir / ref}.lock comes back",
        do="end the Git command that holds it, then try again",
    )


def _swap(common_dir: Path, ref: str, old: str | None, new: str) -> bool:
    """Git's own way: make `<ref>.lock`, look again, write and sync it, and rename it into place.

    Raises:
        FileExistsError: another one holds the lock.
    """
    lock = f"{common_dir / ref}.lock"
    fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    ours = True
    try:
        try:
            unmoved = read_ref(common_dir, ref) == old
            if unmoved:
                fs.write_all(fd, new.encode("ascii") + b"\n")
                os.fsync(fd)
        finally:
            os.close(fd)
        if unmoved:
            os.replace(lock, common_dir / ref)
            ours = False
        return unmoved
    finally:
        # A lock that is there after the rename is somebody else's.
        if ours:
            fs.remove_quietly(lock)


def clear_stale_locks(common_dir: Path, prefix: str, *, patience_seconds: float = 0.5) -> None:
    """Remove what killed processes left in the way of refs below `prefix`, which ends with `/` and is gitrepro's own.

    The caller holds the lock under which alone these refs are moved.
    """
    with fs.explained(f"cannot clear the locks of {prefix} in {common_dir}"):
        for lock in sorted((common_dir / prefix).rglob("*.lock")):
            _clear_stale_lock(lock, patience_seconds)


def _clear_stale_lock(lock: Path, patience_seconds: float) -> None:
    """Wait for the owner of a ref lock, which holds it for milliseconds; a lock that stays unchanged has no owner."""
    try:
        before = lock.stat()
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            time.sleep(0.02)
            now = lock.stat()
            if (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
                return
        os.unlink(lock)
    except FileNotFoundError:
        return
