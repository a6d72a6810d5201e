"""What a remote sent, judged before it is merged: nothing in it is run, and nothing that is wrong gets in.

A tree is walked no further than where it differs from one that is known, and what is named over and over is not opened
over and over, so that the work is bounded by the bytes that came. What is wrong is left out, with the run or result
that it belongs to, and named; the rest goes on. A record of a later format is no fault: it stays, and is named as one
that cannot be read here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from ..errors import GitreproError, TooNew
from ..records import filename
from ..store import bulk
from ..store.gitobjects import FILE_MODE, Entry, GitObjects, Tree, encode_tree, name_of
from . import grammar, schema
from .overlay import EMPTY_TREE, Made, Overlay, Path
from .union import base_of

BLOB_BYTES_AT_MOST: Final = 5 << 20
RECORD_BYTES_AT_MOST: Final = 1 << 20
_NAMED_AGAIN_AT_MOST: Final = 50_000
_AT_ONCE: Final = 20_000
# What a reader of ours meets when a field is of a shape that nobody has thought of.
_SURPRISES: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Something by its path below the run ref, and what is the matter with it."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """The tree without what is wrong, the objects to write before it is named, and what is to be told.

    `unreadable` names what stays in the tree and is of a later format.
    """

    tree: str
    made: Made
    rejected: tuple[Rejected, ...] = ()
    unreadable: tuple[Rejected, ...] = ()


def validate(objects: GitObjects, theirs: str, known: str | None, *, progress: Told = lambda *_: None) -> Validated:
    """Judge what the tree `theirs` has and the tree `known` has not. Nothing is written, and no content raises.

    Of everything the modes, names, places and sizes are checked; of records also that they parse and are those that
    belong at their path. Metric tables are not parsed.

    Args:
        progress: is told how many files of how many were read.
    """
    trees = Overlay(objects)
    found = _Walk(trees)
    found.walk(theirs, known)
    faults = _Faults(found.rejected)
    _read(objects, found.files, faults, progress)
    tree = _without(trees, theirs, faults.rejected)
    return Validated(
        tree=tree,
        made=trees.made_for(tree),
        rejected=_listed(faults.rejected),
        unreadable=_listed(faults.unreadable),
    )


def _without(trees: Overlay, tree: str, rejected: dict[Path, str]) -> str:
    if () in rejected:
        return EMPTY_TREE
    return trees.without(tree, rejected) if rejected else tree


def _listed(found: dict[Path, str]) -> tuple[Rejected, ...]:
    return tuple(Rejected(path=_shown(path) or "/", why=why) for path, why in sorted(found.items()))


def _shown(path: Path) -> str:
    return filename.escape("/".join(path).encode("utf-8", "surrogateescape"))


# -- names, modes and places


@final
class _Walk:
    """What is new in a tree: `files`, the paths of each blob by its name, and `rejected`, what is wrong by itself."""

    def __init__(self, trees: Overlay) -> None:
        self._trees = trees
        self.rejected: dict[Path, str] = {}
        self.files: dict[str, list[Path]] = {}
        self._seen: set[str] = set()
        self._again = 0

    def walk(self, oid: str, known: str | None, path: Path = ()) -> None:
        tree = self._opened(oid, path)
        before = self._known(known)
        for name, entry in tree.items():
            was = before.get(name)
            if was != entry:
                self._take(entry, was.oid if was and was.is_tree else None, (*path, name))

    def _take(self, entry: Entry, was: str | None, path: Path) -> None:
        if why := _fault(entry, path):
            self._reject(path, why)
        elif entry.is_tree:
            # A run that is not the one we know is looked at as a whole.
            self.walk(entry.oid, None if grammar.is_run(path) else was, path)
        else:
            self.files.setdefault(entry.oid, []).append(path)

    def _opened(self, oid: str, path: Path) -> Tree:
        try:
            tree = self._trees.tree(oid)
        except GitreproError as error:
            self._reject(path, f"cannot be read: {_words(error)}")
            return {}
        if why := self._fault_of_tree(oid, tree, path):
            self._reject(path, why)
            return {}
        return tree

    def _fault_of_tree(self, oid: str, tree: Tree, path: Path) -> str:
        if not tree and path:
            return "is an empty folder"
        if name_of("tree", encode_tree(tree)) != oid:
            return "is not how Git writes a folder: a name twice, names out of order, or a strange mode"
        if (head := grammar.head_of(path)) and head not in tree:
            return f"has no {head}"
        if oid not in self._seen:
            self._seen.add(oid)
            return ""
        # Ten folders in ten in ten: a few bytes can name more files than there are.
        self._again += len(tree)
        return "names the same folders over and over" if self._again > _NAMED_AGAIN_AT_MOST else ""

    def _known(self, oid: str | None) -> Tree:
        try:
            return self._trees.tree(oid) if oid else {}
        except GitreproError:
            return {}  # then all of it is looked at

    def _reject(self, path: Path, why: str) -> None:
        _note(self.rejected, path, why)


def _fault(entry: Entry, path: Path) -> str:
    if why := grammar.fault_of_name(path[-1]):
        return why
    if not entry.is_tree and entry.mode != FILE_MODE:
        return f"has mode {entry.mode:06o}, and a record is a plain file"
    plain = (*path[:-1], base_of(path[-1], entry.oid))
    return grammar.fault_of_folder(plain) if entry.is_tree else grammar.fault_of_file(plain)


def _note(found: dict[Path, str], path: Path, why: str) -> None:
    unit = grammar.unit_of(path)
    found.setdefault(unit, why if unit == path else f"{_shown(path[len(unit) :])} {why}")


# -- what the files hold


@final
class _Faults:
    """What is wrong, and what is of a later format. A run that says the latter is not judged by what it holds."""

    def __init__(self, rejected: dict[Path, str]) -> None:
        self.rejected = rejected
        self.unreadable: dict[Path, str] = {}
        self._content: dict[Path, str] = {}

    def size(self, path: Path, why: str) -> None:
        _note(self.rejected, path, why)

    def content(self, path: Path, why: str, *, later: bool) -> None:
        _note(self.unreadable if later else self._content, path, why)

    def settle(self) -> None:
        for path, why in self._content.items():
            if path not in self.unreadable:
                self.rejected.setdefault(path, why)
        for path in self.rejected:
            self.unreadable.pop(path, None)


def _read(objects: GitObjects, files: dict[str, list[Path]], faults: _Faults, progress: Told) -> None:
    oids = list(files)
    for start in range(0, len(oids), _AT_ONCE):
        some = oids[start : start + _AT_ONCE]
        wanted = [
            oid
            for oid, size in zip(some, bulk.sizes(objects.common_dir, some), strict=True)
            if _fits(files[oid], *size, faults)
        ]
        for oid, data in zip(wanted, bulk.blobs(objects.common_dir, wanted), strict=True):
            _judge(files[oid], data, faults)
        progress(start + len(some), len(oids))
    faults.settle()


def _fits(paths: list[Path], kind: str, size: int, faults: _Faults) -> bool:
    """Whether a blob is to be read: it is none that is too large, and there is something to read in it."""
    why = "" if kind == "blob" else f"is {'a ' + kind if kind else 'not there'}, and a record is a file"
    if size > BLOB_BYTES_AT_MOST:
        why = f"has {size:,} bytes, and a file of a record at most {BLOB_BYTES_AT_MOST:,}"
    wanted = False
    for path in paths:
        held = _kind(path)
        over = size > RECORD_BYTES_AT_MOST and held not in ("", "parquet")
        if why or over:
            faults.size(path, why or f"has {size:,} bytes, and a record at most {RECORD_BYTES_AT_MOST:,}")
        wanted |= bool(held)
    return wanted and not why


def _kind(path: Path) -> str:
    return schema.kind_of(_plain(path))


def _plain(path: Path) -> Path:
    # What is in the way of another stands under its name and some digits; what it is does not depend on that.
    return tuple(name.partition("~")[0] for name in path)


def _judge(paths: list[Path], data: bytes | GitreproError, faults: _Faults) -> None:
    said: dict[str, tuple[schema.Claim | None, str, bool]] = {}
    for path in paths:
        kind = _kind(path)
        if not kind:
            continue
        if kind not in said:
            said[kind] = _said(kind, data)
        claim, why, later = said[kind]
        if claim is None:
            faults.content(path, why, later=later)
        elif claim != schema.claim_of(kind, _plain(path)):
            faults.content(path, f"says that it is {' '.join(claim):.120}", later=False)


def _said(kind: str, data: bytes | GitreproError) -> tuple[schema.Claim | None, str, bool]:
    """Where a record says that it belongs; else why it cannot be read, and whether that is because it is of later."""
    if isinstance(data, GitreproError):
        return None, f"cannot be read: {_words(data)}", False
    try:
        return schema.READERS[kind](data), "", False
    except GitreproError as error:
        later = isinstance(error, TooNew) or (kind != "parquet" and schema.says_later_format(data))
        return None, f"cannot be read: {_words(error)}", later
    except _SURPRISES as error:
        return None, f"cannot be read: {type(error).__name__} {error!s:.100}", False


def _words(error: GitreproError) -> str:
    return "; ".join(part for part in (error.what, error.why) if part)
