"""What is needed of a store: every blob that a record names, and what those blobs name in turn.

A record's roots are all `b3:` tokens in its bytes, whatever field they stand in, so that a field of tomorrow is kept
alive by the gitrepro of today. More than is needed may be kept; nothing that is needed may be missed. Whatever cannot
be read is therefore an error, not an absence.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, final

from ..errors import ChildFailed, Damaged, GitreproError
from ..records import yaml
from . import bulk, git, pins
from .fold import queued
from .gitrefs import list_refs
from .live import ERRORS, OUTPUT
from .objects import BlobStore
from .place import is_shared, store_of
from .repository import Repository

_TOKEN: Final = re.compile(rb"b3:([0-9a-f]{64})")
_TOKEN_BYTES: Final = 67
# The kind of an event stands before what it names; in what a person wrote the quotes have a backslash before them.
_SAID: Final = re.compile(rb'"op":"([a-z_]{1,40})"|b3:([0-9a-f]{64})')
_SAVED: Final = b"checkpoint"
_DROPPED: Final = b"checkpoint_dropped"
_LISTED: Final = re.compile(rb"[0-9]{6} blob ([0-9a-f]{40})\t([^\0]*)\0")
_REFS: Final = ("refs/gitrepro/", "refs/gitrepro-remotes/")
_PRINTED: Final = (OUTPUT, ERRORS)
# Closing a file drops the locks that this process holds on it: those of a run are not touched.
_LOCKS: Final = re.compile(r"lease[.].*|rank-[0-9]+|.*[.]lock")
_CHUNK_BYTES: Final = 1 << 20
_OBJECTS_AT_ONCE: Final = 20_000

Told = Callable[[int, int], None]


def own_roots(repository: Repository, *, spools: Iterable[Path] = (), progress: Told = lambda *_: None) -> set[bytes]:
    """The hashes (32 bytes each) of all that the records of this clone name.

    A run goes from a spool to `live/`, into the queue, onto the run ref, and its folder to `done/`. They are looked at
    in that order, so that one on its way is met at least once.

    Args:
        spools: folders that hold runs of other hosts.
        progress: is told how many Git objects of how many were read.

    Raises:
        Damaged: a record cannot be read, and so it is not known what it names.
    """
    found: set[bytes] = set()
    for spool in spools:
        _take_folders(found, spool / "live")
    _take_folders(found, repository.home / "live")
    trees = _take_queue(found, repository)
    tips = {oid for prefix in _REFS for oid in list_refs(repository.common_dir, prefix).values()}
    listed = [oid for tree in [*sorted(tips), *trees] for oid in _listed(repository, tree)]
    _take_objects(found, repository, list(dict.fromkeys(listed)), progress)
    _take_folders(found, repository.home / "done")
    return found


def all_roots(store: BlobStore, own: set[bytes], *, clone: str) -> set[bytes]:
    """`own`, and what all clones have pinned in a store that they share, this one (`clone`) included.

    Raises:
        Damaged: the pins of a clone cannot be read.
    """
    found = set(own)
    for each in dict.fromkeys([clone, *pins.clones(store.root)]):
        found.update(pins.read(store.root, each))
    return found


def under_way(repository: Repository) -> set[bytes]:
    """What runs name that are on no ref yet. Raises Damaged where that cannot be read."""
    found: set[bytes] = set()
    _take_folders(found, repository.home / "live")
    _take_queue(found, repository)
    return found


def pin(repository: Repository, digests: Iterable[str]) -> None:
    """Say in a shared store that this clone is about to refer to blobs. Nothing to do where the store is its own.

    To be called before the record that names them is queued. Durable once this returns.

    Raises:
        StorageError: the disk refuses.
        Damaged: this clone pins for the first time, and a record of it cannot be read.
    """
    if not is_shared(repository):
        return
    names = [bytes.fromhex(digest.removeprefix("b3:")) for digest in digests]
    root = store_of(repository).root
    if not pins.path_of(root, pins.clone_id(repository)).exists():
        pin_all(repository, root, also=names)
    elif names:
        pins.append(repository, root, names, now=time.time())


def pin_text(repository: Repository, texts: Iterable[bytes]) -> None:
    """As `pin`, with all blobs that the bytes of some records name."""
    if is_shared(repository):
        pin(repository, [f"b3:{found[1].decode()}" for text in texts for found in _TOKEN.finditer(text)])


def pin_all(
    repository: Repository,
    root: Path,
    *,
    own: set[bytes] | None = None,
    also: Iterable[bytes] = (),
    since: float = 0.0,
) -> None:
    """Pin what this clone refers to, and nothing else that was pinned before `since`. Raises as `pin` does."""
    known = own_roots(repository) if own is None else own
    pins.rewrite(repository, root, [*known, *also], now=time.time(), since=since)


# -- folders of runs


def _take_folders(found: set[bytes], place: Path) -> None:
    """All that the files of runs under way name. What the programs printed names nothing."""
    for folder, _, names in os.walk(place, onerror=_refuse):
        written = _Written()
        for name in sorted(names, key=_in_line):
            if name not in _PRINTED and not _LOCKS.fullmatch(name):
                written.take(name.rpartition(".")[0], _chunks(Path(folder, name)))
        found |= written.names()


def _in_line(name: str) -> tuple[str, int]:
    """The files of one journal in the order in which they were written."""
    stem, _, number = name.rpartition(".")
    return (stem, int(number)) if number.isdecimal() else (name, 0)


def _refuse(error: OSError) -> None:
    # A folder that is gone has gone where we look next.
    if not isinstance(error, FileNotFoundError):
        raise _unreadable(str(error.filename), error.strerror or str(error)) from error


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as reader:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                yield from iter(lambda: reader.read(_CHUNK_BYTES), b"")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(str(path), error.strerror or str(error)) from error


@final
class _Written:
    """What the journals of one run name. A checkpoint that was dropped after it was last saved is not needed."""

    def __init__(self) -> None:
        self._found: set[bytes] = set()
        self._saved: dict[str, set[bytes]] = {}

    def take(self, journal: str, chunks: Iterable[bytes]) -> None:
        """One file of a journal, after those that were written before it."""
        saved = self._saved.setdefault(journal, set())
        op, before = b"", b""
        for chunk in chunks:
            data = before + chunk
            for match in _SAID.finditer(data):
                if match[1] is not None:
                    op = match[1]
                elif op == _SAVED:
                    saved.add(match[2])
                elif op == _DROPPED:
                    saved.discard(match[2])
                else:
                    self._found.add(match[2])
            # A word may be cut in two between chunks; one that is met twice is met.
            before = data[-(_TOKEN_BYTES - 1) :]

    def names(self) -> set[bytes]:
        return {bytes.fromhex(name.decode()) for name in self._found.union(*self._saved.values())}


# -- the queue


def _take_queue(found: set[bytes], repository: Repository) -> list[str]:
    """What the entries of the queue name; the trees of runs that no ref names yet."""
    trees: list[str] = []
    for name in queued(repository):
        path = repository.home / "queue" / name
        try:
            data = path.read_bytes()
            entry = yaml.load(data, source=str(path))
        except FileNotFoundError:
            continue
        except (OSError, GitreproError) as error:
            raise _unreadable(str(path), str(error)) from error
        found.update(_tokens(data))
        there = (repository.home / "live" / str(entry.get("subject"))).is_dir()
        trees += [str(oid) for oid in (entry.get("trees") or {}).values() if not there or _is_whole(repository, oid)]
    return trees


def _is_whole(repository: Repository, tree: object) -> bool:
    """Whether Git can list a tree. A run whose objects were pruned is composed anew from its folder, which was read."""
    try:
        return bool(list(_listed(repository, str(tree))))
    except Damaged:
        return False


# -- Git


def _take_objects(found: set[bytes], repository: Repository, oids: list[str], progress: Told) -> None:
    for begin in range(0, len(oids), _OBJECTS_AT_ONCE):
        some = oids[begin : begin + _OBJECTS_AT_ONCE]
        for at, (oid, data) in enumerate(zip(some, bulk.blobs(repository.common_dir, some), strict=True), begin):
            if isinstance(data, GitreproError):
                raise _unreadable(f"the Git object {oid} of a record", str(data))
            found.update(_tokens(data))
            if at % 1000 == 0:
                progress(at, len(oids))
    progress(len(oids), len(oids))


def _listed(repository: Repository, tree: str) -> Iterator[str]:
    """The files below a commit or a tree that may name a blob: all but tables of numbers."""
    args = ["--git-dir=.", "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", tree]
    try:
        listed = git.run(args, cwd=repository.common_dir)
    except ChildFailed as error:
        raise _unreadable(f"the Git tree {tree}", str(error)) from error
    for entry in _LISTED.finditer(listed):
        if not entry[2].endswith(b".parquet"):
            yield entry[1].decode()


def _tokens(data: bytes) -> Iterator[bytes]:
    return (bytes.fromhex(token[1].decode()) for token in _TOKEN.finditer(data))


def _unreadable(what: str, why: str) -> Damaged:
    return Damaged(
        f"{what} cannot be read, so it is not known which blobs it names",
        why=why,
        do="`gitrepro doctor` says how to mend it; until then nothing is collected",
    )
