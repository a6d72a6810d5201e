"""What each clone needs of a store that several share: `pins/<clone>.roots`, which a collection by another one reads.

A line of 76 bytes for each blob, `<64 hex> <seconds since 1970>`, appended and synced before anything in the clone
refers to it. `pins/<clone>.yaml` beside it tells people whose it is. FORMAT.md shows both.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..errors import Damaged, GitreproError
from ..records import yaml
from . import fs
from .place import PINS
from .repository import Repository

FORMAT: Final = 1
_SUFFIX: Final = ".roots"
_LINE: Final = re.compile(rb"([0-9a-f]{64}) ([0-9]{10})\n")
_LINE_BYTES: Final = 76
_LINES_AT_ONCE: Final = 10_000
_ID: Final = re.compile(r"[0-9a-f]{32}")
_MODE: Final = 0o664
_apart = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The clone behind a pin file, as far as it says: who, where, and when it last wrote."""

    clone: str
    git_dir: str = ""
    host: str = ""
    updated_at: str = ""


def clone_id(repository: Repository) -> str:
    """The name of this clone, 32 hex digits; drawn when it is first asked for.

    Raises:
        StorageError: the disk refuses.
    """
    path = repository.home / "clone-id"
    with fs.explained(f"cannot name this clone in {path}"):
        for _ in range(2):
            try:
                found = path.read_text(encoding="ascii", errors="replace").strip()
            except FileNotFoundError:
                fs.make_directories(path.parent)
                _draw(path)
                continue
            if _ID.fullmatch(found):
                return found
            break
    raise Damaged(f"{path} holds no name of a clone", do="delete it; the next command draws another one")


def _draw(path: Path) -> None:
    temporary = fs.temporary_name(path)
    fs.write_file(temporary, f"{os.urandom(16).hex()}\n".encode())
    try:
        # Of two that draw at once, the first name stands.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        fs.remove_quietly(temporary)
    fs.sync_directory(path.parent)


def path_of(root: Path, clone: str) -> Path:
    return root / PINS / f"{clone}{_SUFFIX}"


def clones(root: Path) -> list[str]:
    """Every clone that has told what it needs."""
    try:
        names = os.listdir(root / PINS)
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and name[:1] != ".")


def owner(root: Path, clone: str) -> Owner:
    """Whose pins these are. What cannot be read is left empty: it is for people only."""
    try:
        told = yaml.load((root / PINS / f"{clone}.yaml").read_bytes(), source="pins")
    except (OSError, GitreproError):
        return Owner(clone=clone)
    return Owner(clone=clone, **{name: str(told.get(name) or "") for name in ("git_dir", "host", "updated_at")})


def read(root: Path, clone: str, *, since: float = 0.0) -> Iterator[bytes]:
    """The hashes of what a clone needs, those pinned at or after `since`, in small memory.

    Raises:
        Damaged: its pins cannot be read.
    """
    path = path_of(root, clone)
    try:
        for name, at in _lines(path):
            if at >= since:
                yield name
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(root, clone, error.strerror or str(error)) from error
    except ValueError as error:
        raise _unreadable(root, clone, str(error)) from error


def _lines(path: Path) -> Iterator[tuple[bytes, int]]:
    with open(path, "rb") as reader:
        at = 0
        while lines := reader.read(_LINE_BYTES * _LINES_AT_ONCE):
            whole = len(lines) - len(lines) % _LINE_BYTES
            for begin in range(0, whole, _LINE_BYTES):
                found = _LINE.fullmatch(lines, begin, begin + _LINE_BYTES)
                if found is None:
                    raise ValueError(f"byte {at + begin} begins no line of it")
                yield bytes.fromhex(found[1].decode()), int(found[2])
            # What is left is the line of a write that was cut: nothing was promised by it.
            at += whole
            if whole < len(lines):
                return


def _unreadable(root: Path, clone: str, why: str) -> Damaged:
    whose = owner(root, clone)
    where = f"{whose.git_dir} on {whose.host}" if whose.git_dir else "a clone that does not say where it is"
    return Damaged(
        f"what {where} needs of the store cannot be read",
        why=f"{path_of(root, clone)}: {why}",
        do="run `gitrepro gc --dry-run` in that clone, which writes it again; if it is gone for good, delete the file",
    )


def append(repository: Repository, root: Path, names: Iterable[bytes], *, now: float) -> None:
    """Pin blobs, by their 32 bytes. Durable once this returns.

    Raises:
        StorageError: the disk refuses.
    """
    path = path_of(root, clone_id(repository))
    with fs.explained(f"cannot pin blobs in {path}"), fs.locked(_lock(repository)):
        _append(path, b"".join(_line(name, now) for name in names))


def _append(path: Path, lines: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        # A write that was cut would push all lines after it out of step.
        size_bytes = os.fstat(fd).st_size
        end = size_bytes - size_bytes % _LINE_BYTES
        os.ftruncate(fd, end)
        os.lseek(fd, end, os.SEEK_SET)
        fs.write_all(fd, lines)
        os.fsync(fd)
    finally:
        os.close(fd)


def append_apart(repository: Repository, root: Path, run_id: str, rank: int, digests: Iterable[str]) -> None:
    """Pin blobs for a run that is kept outside its repository, which may be read-only here. Durable once this returns.

    They lie in a file of that run and rank, which one process writes, until the run is on record: `withdraw_apart`.

    Raises:
        StorageError: the disk refuses.
    """
    now = time.time()
    name = f"{run_id}-{rank}"
    path = path_of(root, name)
    with fs.explained(f"cannot pin blobs in {path}"), _apart:
        if not path.exists():
            fs.make_directories(path.parent)
            _replace(path.with_suffix(".yaml"), [yaml.dump(_card(repository, name, now))])
            _replace(path, [])
        _append(path, b"".join(_line(bytes.fromhex(digest.removeprefix("b3:")), now) for digest in digests))


def withdraw_apart(root: Path, run_id: str) -> None:
    """The clone of a run has pinned what its record names. Raises nothing: what stays keeps more than is needed."""
    try:
        for name in clones(root):
            if re.fullmatch(rf"{re.escape(run_id)}-[0-9]+", name):
                withdraw(root, name)
    except OSError:
        return


def rewrite(repository: Repository, root: Path, names: Iterable[bytes], *, now: float, since: float) -> None:
    """Pin `names`, and of what was pinned only what was so at or after `since`. Durable once this returns.

    Args:
        names: all that this clone refers to. What was pinned a moment ago may be in no record yet.
        since: seconds since 1970.

    Raises:
        StorageError: the disk refuses.
    """
    clone = clone_id(repository)
    path = path_of(root, clone)
    with fs.explained(f"cannot pin blobs in {path}"):
        fs.make_directories(path.parent)
        with fs.locked(_lock(repository)):
            kept = dict.fromkeys(names, int(now))
            try:
                kept.update((name, at) for name, at in _lines(path) if at >= since)
            except (FileNotFoundError, ValueError):
                pass  # what stands in records is pinned all the same
            _replace(path, (_line(name, at) for name, at in sorted(kept.items())))
            _replace(path.with_suffix(".yaml"), [yaml.dump(_card(repository, clone, now))])


def withdraw(root: Path, clone: str) -> None:
    """A clone needs nothing of a store any more. Raises OSError."""
    for path in (path_of(root, clone), path_of(root, clone).with_suffix(".yaml")):
        fs.remove_quietly(path)


def _replace(path: Path, parts: Iterable[bytes]) -> None:
    temporary = fs.temporary_name(path)
    try:
        with open(temporary, "xb") as writer:
            writer.writelines(parts)
            writer.flush()
            # Others read it, whatever the mask of this user is.
            os.fchmod(writer.fileno(), _MODE)
            os.fsync(writer.fileno())
        os.replace(temporary, path)
    finally:
        fs.remove_quietly(temporary)
    fs.sync_directory(path.parent)


def _line(name: bytes, at: float) -> bytes:
    return f"{name.hex()} {int(at):010d}\n".encode()


def _lock(repository: Repository) -> Path:
    return repository.home / "pins.lock"


def _card(repository: Repository, clone: str, now: float) -> dict[str, object]:
    return {
        "clone": clone,
        "format": FORMAT,
        "git_dir": str(repository.common_dir),
        "host": socket.gethostname(),
        "updated_at": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
