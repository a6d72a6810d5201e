"""Looks at blobs and trees, each once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from ...errors import BlobMissing, Damaged, GitreproError
from .. import pruned, reach
from ..gc import Trashed, trash
from ..objects import BlobStore
from .proof import DAMAGED, FAST, NOT_AVAILABLE, OK, Proof, worst

Told = Callable[[int], None]
_EMPTY_FOLDER: Final = 0o040000
_SHOWN_AT_MOST: Final = 3
FETCH: Final = "copy it from the store of a clone that has it, as the one that recorded it"
AGAIN: Final = "put it again or pull it; the wrong bytes are kept in quarantine/"


@dataclass(frozen=True, slots=True)
class Looked:
    """How one blob is."""

    state: str
    size_bytes: int | None = None
    why: str = ""


@final
class Checker:
    """Looks at blobs of one store.

    Args:
        level: FAST or HASH.
        told: is told how many bytes were looked at.
    """

    def __init__(self, store: BlobStore, *, level: str, told: Told = lambda _: None) -> None:
        self.store = store
        self.level = level
        self.mended: list[str] = []
        """What was found wrong and is right again, in words."""
        self._told = told
        self._sound: dict[bytes, int] = {}
        self._bad: dict[str, Looked] = {}
        self._trash: dict[bytes, Trashed] | None = None
        self._aside: set[bytes] | None = None
        if mend_index(store):
            self.mended.append("the index of the packs was damaged, and is made again")

    # -- one blob

    def blob(self, digest: str, size_bytes: int | None = None) -> Looked:
        """Look at a blob. A size other than `size_bytes` is damage."""
        name = bytes.fromhex(digest.removeprefix("b3:"))
        looked = Looked(OK, self._sound[name]) if name in self._sound else self._bad.get(digest)
        if looked is None:
            looked = self._looked(digest, name)
            self._remember(digest, name, looked)
        if looked.state == OK and size_bytes not in (None, looked.size_bytes):
            return Looked(DAMAGED, looked.size_bytes, f"it has {looked.size_bytes} bytes; on record are {size_bytes}")
        return looked

    def _remember(self, digest: str, name: bytes, looked: Looked) -> None:
        if looked.state == OK:
            self._sound[name] = looked.size_bytes or 0
            self._told(looked.size_bytes or 0)
        else:
            self._bad[digest] = looked

    def _looked(self, digest: str, name: bytes) -> Looked:
        try:
            return Looked(OK, self._size(digest))
        except BlobMissing as error:
            return self._from_trash(digest, name) or self._absent(digest, name, error)
        except Damaged as error:
            return self._second_look(digest, error)
        except (GitreproError, OSError) as error:
            return Looked(DAMAGED, None, str(error))

    def _absent(self, digest: str, name: bytes, error: BlobMissing) -> Looked:
        note = pruned.told(self.store, digest)
        if note is not None:
            return Looked(NOT_AVAILABLE, None, pruned.in_words(note))
        if self._aside is None:
            self._aside = reach.set_aside(self.store)[0]
        if name in self._aside:
            return Looked(DAMAGED, None, f"{digest[:15]} had wrong bytes here, which were set aside")
        return Looked(NOT_AVAILABLE, None, error.what)

    def _size(self, digest: str) -> int:
        if self.level != FAST:
            return self.store.verify(digest)
        size_bytes = self.store.size(digest)
        self._check_pieces(digest)
        return size_bytes

    def _check_pieces(self, digest: str) -> None:
        path = self.store.recipe_path(bytes.fromhex(digest[3:]))
        if not path.is_file() or self.store.path(digest).is_file():
            return
        for piece in reach.load(path).segments:
            if (found := self.store.size(piece.digest)) != piece.size_bytes:
                raise Damaged(f"piece {piece.digest[:15]} has {found} bytes, not {piece.size_bytes}")

    def _second_look(self, digest: str, first: Damaged) -> Looked:
        """The store sets wrong bytes aside. It may have had right ones too, or a wrong index that is made again."""
        try:
            size_bytes = self._size(digest)
        except GitreproError:
            return Looked(DAMAGED, None, str(first))
        self.mended.append(f"{digest[:15]} was damaged, and is whole again: {first.what}")
        return Looked(OK, size_bytes)

    def _from_trash(self, digest: str, name: bytes) -> Looked | None:
        if self._trash is None:
            self._trash = trash.contents(self.store)
        found = self._trash.get(name)
        if found is None or not trash.put_back(found):
            return None
        self.store.index.refresh()
        self.mended.append(f"{digest[:15]} was in the trash, and is back in its place")
        return self._looked(digest, name)

    # -- one tree

    def tree(self, what: str, digest: str) -> Proof:
        """Look at a tree and all its files, as one thing."""
        from ..trees import entries

        top = self.blob(digest)
        if top.state != OK:
            return self.proof(what, digest, top)
        tally = _Tally()
        try:
            for entry in entries(self.store, digest):
                if entry.mode != _EMPTY_FOLDER:
                    tally.take(entry.path, entry.size_bytes, self.blob(entry.digest, entry.size_bytes))
        except (GitreproError, OSError) as error:
            state = NOT_AVAILABLE if isinstance(error, BlobMissing) else DAMAGED
            return self.proof(what, digest, Looked(state, None, f"its list of files: {error}"))
        return self.proof(what, digest, tally.looked())

    def proof(self, what: str, digest: str, looked: Looked) -> Proof:
        do = {OK: "", NOT_AVAILABLE: FETCH, DAMAGED: AGAIN}[looked.state]
        return Proof(what=what, digest=digest, size_bytes=looked.size_bytes, state=looked.state, why=looked.why, do=do)


@final
class _Tally:
    """The files of a tree, counted by how they are."""

    def __init__(self) -> None:
        self._files = 0
        self._size_bytes = 0
        self._bad: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def take(self, path: bytes, size_bytes: int, looked: Looked) -> None:
        self._files += 1
        self._size_bytes += size_bytes
        if looked.state != OK:
            self._counts[looked.state] = self._counts.get(looked.state, 0) + 1
            named = self._bad.setdefault(looked.state, [])
            if len(named) < _SHOWN_AT_MOST:
                named.append(path.decode(errors="replace"))

    def looked(self) -> Looked:
        return Looked(worst(self._counts), self._size_bytes, "; ".join(self._words()))

    def _words(self) -> Iterator[str]:
        for state, count in self._counts.items():
            more = ", ..." if count > len(self._bad[state]) else ""
            yield f"{count:,} of {self._files:,} files {state}: {', '.join(self._bad[state])}{more}"


def mend_index(store: BlobStore, *, thorough: bool = False) -> bool:
    """Delete the index of a store when it cannot be read; whether that was so. The next question makes it again."""
    path = Path(store.index.path)
    if not path.exists():
        return False
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30.0)
        try:
            question = "PRAGMA quick_check(1)" if thorough else "SELECT count(*) FROM packs"
            fine = db.execute(question).fetchone()[0] in ("ok",) if thorough else bool(db.execute(question).fetchone())
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        # Locked, or without rights: that is no damage. A table that is not there is.
        fine = "no such table" not in str(error)
    except sqlite3.DatabaseError:
        fine = False
    if not fine:
        store.index.forget()
        store.index.refresh()
    return not fine
