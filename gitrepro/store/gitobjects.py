"""Git objects: read and verified by name, written so that neither a kill nor a power cut leaves half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from ..errors import Damaged, GitreproError, NotFound
from . import fs, git

if TYPE_CHECKING:
    from dulwich.object_store import DiskObjectStore

FILE_MODE: Final = 0o100644
TREE_MODE: Final = 0o040000
_KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
MAX_RECORD_BYTES: Final = 64 << 20
REMEMBERED_BYTES: Final = 64 << 20
_TRIES: Final = 100
_TREES_AT_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a Git tree: its mode and the object it names, as 40 hex digits."""

    mode: int
    oid: str

    @property
    def is_tree(self) -> bool:
        return self.mode == TREE_MODE


Tree = dict[str, Entry]
Restore = Callable[[str], tuple[str, bytes] | None]


def name_of(kind: str, data: bytes) -> str:
    """The object name Git gives to these bytes."""
    return hashlib.sha1(_header(kind, data) + data, usedforsecurity=False).hexdigest()


def _header(kind: str, data: bytes) -> bytes:
    return f"{kind} {len(data)}\0".encode()


def encode_tree(tree: Mapping[str, Entry]) -> bytes:
    """The bytes of a Git tree: names in Git's own order, in which a folder sorts as if it ended in a slash."""
    ordered = sorted(
        ((name.encode("utf-8", "surrogateescape"), entry) for name, entry in tree.items()),
        key=lambda item: item[0] + b"/" if item[1].is_tree else item[0],
    )
    return b"".join(b"%o %s\0%s" % (entry.mode, name, bytes.fromhex(entry.oid)) for name, entry in ordered)


def decode_tree(data: bytes, *, oid: str = "") -> Tree:
    """The names in a Git tree.

    Raises:
        Damaged: the bytes are not a tree.
    """
    tree: Tree = {}
    position = 0
    try:
        while position < len(data):
            space = data.index(b" ", position)
            end = data.index(b"\0", space)
            name = data[space + 1 : end].decode("utf-8", "surrogateescape")
            digest = data[end + 1 : end + 21]
            if len(digest) != 20:
                raise ValueError("cut short")
            tree[name] = Entry(int(data[position:space], 8), digest.hex())
            position = end + 21
    except ValueError as error:
        raise Damaged(
            f"Git tree {oid[:12]} does not parse", why=str(error), do="`git fsck` shows how far it goes"
        ) from error
    return tree


@final
class GitObjects:
    """The objects of one repository.

    Reading hashes what it returns, so a swapped or flipped object is reported and never shown. Objects that a
    partial clone has not fetched yet are asked of `git`. Not for use by several threads at once.
    """

    def __init__(self, common_dir: Path, *, restore: Restore | None = None, incoming: Path | None = None) -> None:
        """
        Args:
            restore: is asked for an object that is nowhere.
            incoming: the folder of the objects of a push that Git has not taken yet; they are read too.
        """
        self._common_dir = common_dir
        self._restore = restore
        self._folders = [os.path.join(common_dir, "objects"), *([os.fspath(incoming)] if incoming else [])]
        self._stores: list[DiskObjectStore] = []
        self.written: dict[str, tuple[str, bytes]] = {}
        """What `write` was given, by name, up to `REMEMBERED_BYTES`: a `git gc` beside us may take it again."""
        self._written_bytes = 0
        self._trees: dict[str, Tree] = {}

    @property
    def common_dir(self) -> Path:
        return self._common_dir

    def read(self, oid: str, kind: str) -> bytes:
        """The content of the object `oid`, which must be of `kind`.

        Raises:
            NotFound: it is not here.
            Damaged: it is here with other bytes, or of another kind.
        """
        found, data = self._raw(oid)
        if found != kind or name_of(found, data) != oid:
            raise _wrong(oid, f"it is no {kind}" if found != kind else "its bytes hash to another name")
        return data

    def read_any(self, oid: str) -> tuple[str, bytes]:
        """The kind and the content of the object `oid`. Raises as `read` does."""
        found, data = self._raw(oid)
        if name_of(found, data) != oid:
            raise _wrong(oid, "its bytes hash to another name")
        return found, data

    def tree(self, oid: str) -> Tree:
        """The names in a tree; not to be changed: the same one is given out again."""
        known = self._trees.get(oid)
        if known is None:
            if len(self._trees) >= _TREES_AT_MOST:
                self._trees.clear()
            known = self._trees[oid] = decode_tree(self.read(oid, "tree"), oid=oid)
        return known

    def has(self, oid: str) -> bool:
        return os.path.exists(self.loose_path(oid)) or (
            self._has_packs() and any(store.contains_packed(oid.encode()) for store in self._dulwich())  # type: ignore[arg-type]
        )

    def restored(self, oid: str) -> tuple[str, bytes] | None:
        """The kind and content of an object that is nowhere, if it was kept elsewhere."""
        return self._restore(oid) if self._restore else None

    def _has_packs(self) -> bool:
        try:
            return bool(self._stores) or bool(os.listdir(os.path.join(self._common_dir, "objects", "pack")))
        except FileNotFoundError:
            return False

    def entry(self, root: str, path: str) -> Entry | None:
        """What stands at `path` below the tree `root`, or None."""
        *folders, name = path.split("/")
        for folder in folders:
            below = self.tree(root).get(folder)
            if below is None or not below.is_tree:
                return None
            root = below.oid
        return self.tree(root).get(name)

    def files(self, root: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
        """Every file below the tree `root`, as path and entry, in Git's order."""
        for name, entry in self.tree(root).items():
            path = f"{prefix}{name}"
            if entry.is_tree:
                yield from self.files(entry.oid, path + "/")
            else:
                yield path, entry

    def closure(self, root: str) -> Iterator[tuple[str, bytes]]:
        """Every object of the tree `root`, itself last, as kind and content: what `write` takes."""
        data = self.read(root, "tree")
        for entry in decode_tree(data, oid=root).values():
            if entry.is_tree:
                yield from self.closure(entry.oid)
            else:
                yield "blob", self.read(entry.oid, "blob")
        yield "tree", data

    def _raw(self, oid: str) -> tuple[str, bytes]:
        # A loose object needs no library, and what was recorded lately is loose.
        return self._loose(oid) or self._packed(oid)

    def _loose(self, oid: str) -> tuple[str, bytes] | None:
        stored = self._file(oid)
        if stored is None:
            return None
        try:
            inflater = zlib.decompressobj()
            content = inflater.decompress(stored, MAX_RECORD_BYTES)
            head, end, data = content.partition(b"\0")
            kind, size = head.decode("ascii").split(" ")
            whole = inflater.eof and bool(end) and int(size) == len(data)
        except (zlib.error, ValueError) as error:
            raise _wrong(oid, f"its file does not parse: {error}") from error
        if not whole:
            raise _wrong(oid, "its file is cut short, or larger than a record may be")
        return kind, data

    def _file(self, oid: str) -> bytes | None:
        for folder in self._folders:
            try:
                with open(os.path.join(folder, oid[:2], oid[2:]), "rb") as reader:
                    return reader.read(MAX_RECORD_BYTES)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _wrong(oid, error.strerror or str(error)) from error
        return None

    def _packed(self, oid: str) -> tuple[str, bytes]:
        from dulwich.errors import ChecksumMismatch, FileFormatException

        for store in self._dulwich():
            try:
                number, data = store.get_raw(oid.encode())  # type: ignore[arg-type]
            except KeyError:
                continue
            except (ChecksumMismatch, FileFormatException, zlib.error, ValueError, EOFError, TypeError) as error:
                # dulwich meets an object of one byte with a TypeError.
                raise _wrong(oid, str(error) or type(error).__name__) from error
            return _KINDS[number], data
        return self._ask_git(oid)

    def _ask_git(self, oid: str) -> tuple[str, bytes]:
        request = (oid + "\n").encode()
        answer = git.attempt(["cat-file", "--batch"], cwd=self._common_dir, input=request).stdout
        head, _, rest = answer.partition(b"\n")
        words = head.decode(errors="replace").split()
        if len(words) == 3:
            return words[1], rest[: int(words[2])]
        if found := self.restored(oid):
            return found
        raise NotFound(
            f"Git object {oid[:12]} is not in {self._common_dir}",
            why="it was pruned, or never came here",
            do="`gitrepro recover` writes again what is kept; `git fsck` names what is missing then",
        )

    def _dulwich(self) -> list[DiskObjectStore]:
        if not self._stores:
            from dulwich.object_store import DiskObjectStore

            self._stores = [
                DiskObjectStore(folder, loose_object_size_limit=MAX_RECORD_BYTES) for folder in self._folders
            ]
        return self._stores

    def close(self) -> None:
        for store in self._stores:
            store.close()
        self._stores = []

    def loose_path(self, oid: str) -> str:
        """Where the object lies as long as it is in no pack."""
        return os.path.join(self._common_dir, "objects", oid[:2], oid[2:])

    def __enter__(self) -> GitObjects:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- writing

    def write(self, objects: Iterable[tuple[str, bytes]]) -> list[str]:
        """Keep objects, given as kind and content; return their names. Durable once this returns.

        Each is written under a name of its own, synced, and renamed: two writers of one object do not meet, and a
        killed one leaves nothing in the way.
        """
        names, folders = [], set()
        with fs.explained(f"cannot write objects into {self._common_dir}"):
            for kind, data in objects:
                oid = name_of(kind, data)
                names.append(oid)
                self._remember(oid, kind, data)
                if not self.has(oid):
                    folders.add(self._write_loose(oid, _header(kind, data) + data))
            for folder in sorted(folders):
                _sync_if_there(folder)
            if folders:
                # Folders that we made, and those that a writer beside us made and has not synced yet.
                fs.sync_directory(os.path.join(self._common_dir, "objects"))
        return names

    def _remember(self, oid: str, kind: str, data: bytes) -> None:
        if oid not in self.written and self._written_bytes + len(data) <= REMEMBERED_BYTES:
            self.written[oid] = (kind, data)
            self._written_bytes += len(data)

    def _write_loose(self, oid: str, content: bytes) -> str:
        path = self.loose_path(oid)
        for _ in range(_TRIES):
            try:
                return _written(path, content)
            except FileNotFoundError:
                continue  # a `git prune --expire=now` beside us takes unfinished files, however young
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def graft(self, root: str | None, changes: Mapping[str, Entry]) -> tuple[str, list[tuple[str, bytes]]]:
        """The tree `root` with the entries of `changes` (path to entry) put in.

        Returns the name of the new tree and the trees to write; nothing is written here.
        """
        made: list[tuple[str, bytes]] = []
        top = self._graft(root, [(path.split("/"), entry) for path, entry in changes.items()], made)
        return top, made

    def _graft(self, root: str | None, changes: list[tuple[list[str], Entry]], made: list[tuple[str, bytes]]) -> str:
        tree = dict(self.tree(root)) if root else {}
        below: dict[str, list[tuple[list[str], Entry]]] = {}
        for (name, *rest), entry in changes:
            if rest:
                below.setdefault(name, []).append((rest, entry))
            else:
                tree[name] = entry
        for name, inner in below.items():
            old = tree.get(name)
            tree[name] = Entry(TREE_MODE, self._graft(old.oid if old and old.is_tree else None, inner, made))
        data = encode_tree(tree)
        made.append(("tree", data))
        return name_of("tree", data)

    def changed(
        self,
        old: str | None,
        new: str,
        prefix: str = "",
        *,
        unreadable: Callable[[str, GitreproError], None] | None = None,
    ) -> Iterator[tuple[str, Entry]]:
        """Files below the tree `new` that are not the same below the tree `old`. Equal subtrees are not opened.

        With `unreadable`, a subtree that cannot be read is handed to it with its path, and the rest goes on.
        """
        if old == new:
            return
        try:
            before, after = self.tree(old) if old else {}, self.tree(new)
        except GitreproError as error:
            if unreadable is None:
                raise
            unreadable(prefix.rstrip("/"), error)
            return
        for name, entry in after.items():
            was = before.get(name)
            if was == entry:
                continue
            path = f"{prefix}{name}"
            if entry.is_tree:
                inner = was.oid if was and was.is_tree else None
                yield from self.changed(inner, entry.oid, path + "/", unreadable=unreadable)
            else:
                yield path, entry


def _written(path: str, content: bytes) -> str:
    """Write the file of an object; return its folder."""
    folder = os.path.dirname(path)
    # Git's own prune removes what carries this prefix once it is old.
    temporary = os.path.join(folder, f"tmp_obj_gitrepro_{os.getpid()}_{os.urandom(6).hex()}")
    fd = _create(temporary, folder)
    try:
        try:
            fs.write_all(fd, zlib.compress(content, 1))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        fs.remove_quietly(temporary)
        raise
    return folder


def _create(path: str, folder: str) -> int:
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            os.mkdir(folder)
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        except FileNotFoundError:
            continue  # a `git gc` beside us removed the folder in between: it was empty
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)


def _sync_if_there(folder: str) -> None:
    try:
        fs.sync_directory(folder)
    except FileNotFoundError:
        pass  # a `git gc` beside us has packed what was in it, and synced that


def _wrong(oid: str, why: str) -> Damaged:
    return Damaged(
        f"Git object {oid[:12]} is damaged",
        why=why,
        do="`git fsck` shows how far it goes; a clone or a remote may have a good copy",
    )
