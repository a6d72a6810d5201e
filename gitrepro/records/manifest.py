"""A tree of files as text: a root, and shards that one changed file changes one of. FORMAT.md shows the bytes.

Nothing here trusts what it reads: limits come before parsing, and a name that could lead out of a folder, or into
`.git`, has no place in a manifest.
"""

from __future__ import annotations

import operator
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, final

from ..errors import Damaged, TooNew
from .filename import are_harmless, escape, fault_of, unescape

__all__ = [
    "EMPTY",
    "FILE",
    "FOLDER",
    "LINK",
    "PROGRAM",
    "FileEntry",
    "Root",
    "Sequenced",
    "ShardRef",
    "dump_shard",
    "escape",
    "load_root",
    "load_shard",
    "shard_length",
    "unescape",
]

FILE: Final = 0o100644
PROGRAM: Final = 0o100755
LINK: Final = 0o120000
"""The blob is the text that the link holds."""
FOLDER: Final = 0o040000
"""An empty one; its path ends with a slash."""
EMPTY: Final = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
"""The name of no bytes."""

SHARD_BYTES_AT_MOST: Final = 4 << 20
ROOT_BYTES_AT_MOST: Final = 64 << 20
ENTRIES_AT_MOST: Final = 4096
PATH_BYTES_A_SHARD: Final = 512 << 10
LINK_BYTES_AT_MOST: Final = 4095
_SIZE_AT_MOST: Final = 2**63 - 1

_ROOT: Final = "gitrepro tree 1\n"
_SHARD: Final = "gitrepro tree-shard 1\n"
_MODES: Final = {f"{mode:06o}": mode for mode in (FILE, PROGRAM, LINK, FOLDER)}
_NUMBER: Final = "(0|[1-9][0-9]{0,18})"
_ENTRY: Final = re.compile(rf"^([0-9a-f]{{64}}) {_NUMBER} (100644|100755|120000|040000) ([^\n]+)\n", re.MULTILINE)
_REF: Final = re.compile(rf"^([0-9a-f]{{64}}) {_NUMBER} {_NUMBER} ([^\n]+)\n", re.MULTILINE)
_TOTALS: Final = re.compile(rf"files {_NUMBER}\nsize {_NUMBER}\n")
_TO_ESCAPE: Final = re.compile(r"[\\\x00-\x09\x0b-\x1f\x7f]")


class FileEntry(NamedTuple):
    """One file of a tree. A tuple and no dataclass, which takes three times as long to make: trees have millions."""

    path: bytes  # as the system has it; `/` between the parts, and at the end of an empty folder
    digest: str
    size_bytes: int
    mode: int


class ShardRef(NamedTuple):
    """What a root says of one shard."""

    digest: str
    files: int
    size_bytes: int
    first: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A whole tree: how many entries and bytes it has, and its shards in the order of their paths."""

    files: int
    size_bytes: int
    shards: tuple[ShardRef, ...]

    def dump(self) -> bytes:
        """Its bytes; their hash is the name of the tree."""
        lines = [f"{_ROOT}files {self.files}\nsize {self.size_bytes}\n"]
        lines += (f"{ref.digest[3:]} {ref.files} {ref.size_bytes} {escape(ref.first)}\n" for ref in self.shards)
        return "".join(lines).encode()


def root_of(shards: Iterable[ShardRef]) -> Root:
    """The root above these shards."""
    found = tuple(shards)
    return Root(files=sum(ref.files for ref in found), size_bytes=sum(ref.size_bytes for ref in found), shards=found)


def shard_length(paths: Sequence[bytes]) -> int | None:
    """How many of these ascending paths the next shard takes; None when it ends with none of them.

    Where a shard ends depends on the paths in it alone, so a changed file leaves the other shards as they are.
    """
    path_bytes = 0
    for count, path in enumerate(islice(paths, ENTRIES_AT_MOST), start=1):
        path_bytes += len(path)
        if not zlib.crc32(path) & 1023 or path_bytes >= PATH_BYTES_A_SHARD:
            return count
    return ENTRIES_AT_MOST if len(paths) >= ENTRIES_AT_MOST else None


def dump_shard(entries: Iterable[FileEntry]) -> bytes:
    """The bytes of one shard."""
    lines = [f"{digest[3:]} {size} {mode:06o} {escape(path)}\n" for path, digest, size, mode in entries]
    return (_SHARD + "".join(lines)).encode()


def load_root(data: bytes, *, source: str) -> Root:
    """Read the bytes of a root.

    Args:
        source: what they are, for the message of an error.

    Raises:
        Damaged: they are not what `Root.dump` writes.
        TooNew: they are of a later format.
    """
    text = _text(data, ROOT_BYTES_AT_MOST, _ROOT, source)
    totals = _TOTALS.match(text, len(_ROOT))
    if totals is None:
        raise _damaged(source, "it does not say how much it holds")
    found = _REF.findall(text, totals.end())
    if len(found) != text.count("\n") - 3 or not text.endswith("\n"):
        raise _damaged(source, "a line of it is no shard")
    root = root_of(ShardRef(f"b3:{name}", int(n), int(size), _raw(first, source)) for name, n, size, first in found)
    _check_root(root, (int(totals[1]), int(totals[2])), source)
    return root


def _check_root(root: Root, totals: tuple[int, int], source: str) -> None:
    if totals != (root.files, root.size_bytes) or root.size_bytes > _SIZE_AT_MOST:
        raise _damaged(source, "its totals are not those of its shards")
    before = b""
    for ref in root.shards:
        if not 1 <= ref.files <= ENTRIES_AT_MOST:
            raise _damaged(source, f"it gives a shard {ref.files} entries")
        if ref.first <= before:
            raise _damaged(source, f"{escape(ref.first)} comes twice, or out of order")
        before = ref.first


def load_shard(data: bytes, *, source: str) -> list[FileEntry]:
    """Read the bytes of a shard; `Sequenced` judges the paths. Raises as `load_root` does."""
    text = _text(data, SHARD_BYTES_AT_MOST, _SHARD, source)
    found = _ENTRY.findall(text, len(_SHARD))
    if len(found) != text.count("\n") - 1 or not text.endswith("\n"):
        raise _damaged(source, "a line of it is no entry")
    # Nearly always there is nothing to unescape.
    paths = (each[3] for each in found)
    raw = [_raw(path, source) for path in paths] if _TO_ESCAPE.search(text) else [path.encode() for path in paths]
    return [
        FileEntry(path, "b3:" + name, int(size), _MODES[mode])
        for path, (name, size, mode, _) in zip(raw, found, strict=True)
    ]


def _text(data: bytes, limit_bytes: int, header: str, source: str) -> str:
    if len(data) > limit_bytes:
        raise _damaged(source, f"it has {len(data)} bytes, and at most {limit_bytes} are read")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _damaged(source, "it is no text") from error
    if not text.startswith(header):
        kind = header.rpartition(" ")[0]
        if re.match(rf"{kind} ([2-9]|[1-9]\d+)\n", text):
            raise TooNew(f"{source} is of a later format", do="update gitrepro: `pip install --upgrade gitrepro`")
        raise _damaged(source, f"it does not begin with {header.strip()!r}")
    return text


def _raw(text: str, source: str) -> bytes:
    try:
        return unescape(text)
    except ValueError as error:
        raise _damaged(source, f"{text!r:.100} is not how a path is written") from error


def _damaged(source: str, why: str) -> Damaged:
    return Damaged(f"the tree manifest {source} cannot be used", why=why, do="pull it again, or add the data again")


@final
class Sequenced:
    """Judges the entries of a tree, one shard after the other: their names, their order, and that they fit together."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._before = b""
        # The paths that the last one begins with: in byte order, what lies below one of them comes while it is here.
        self._open: list[bytes] = []

    def take(self, entries: Sequence[FileEntry], ref: ShardRef) -> None:
        """Judge the entries of the next shard.

        Raises:
            Damaged: they are not those that the root tells of, a name could do harm, two are the same or out of order,
                or a file has others below it.
        """
        counted = len(entries), sum(entry.size_bytes for entry in entries)
        if not entries or counted != (ref.files, ref.size_bytes) or entries[0].path != ref.first:
            raise _damaged(self._source, f"the shard at {escape(ref.first)} is not the one that the root tells of")
        paths = [entry.path for entry in entries]
        self._follow(paths[0])
        if len(self._open) == 1 and _all_plain(entries, paths):
            self._open, self._before = [paths[-1]], paths[-1]
            return
        for path in paths[1:]:
            self._follow(path)
        for entry in entries:
            fault = fault_of(entry.path.removesuffix(b"/")) or (_odd(entry) if _is_odd(entry) else "")
            if fault:
                raise _damaged(self._source, f"{escape(entry.path):.300} {fault}")

    def _follow(self, path: bytes) -> None:
        if path <= self._before:
            raise _damaged(self._source, f"{escape(path):.300} comes twice, or out of order")
        above = self._open
        while above and not path.startswith(above[-1]):
            above.pop()
        if above and (above[-1].endswith(b"/") or path.startswith(b"/", len(above[-1]))):
            raise _damaged(self._source, f"{escape(above[-1]):.300} is a file, and has {escape(path):.300} below it")
        above.append(path)
        self._before = path


def _all_plain(entries: Sequence[FileEntry], paths: list[bytes]) -> bool:
    """Whether these are harmless files in order, none of them below another: nearly always, and so found out fast."""
    return (
        {entry.mode for entry in entries} <= {FILE, PROGRAM}
        and are_harmless(paths)
        and all(map(operator.lt, paths, islice(paths, 1, None)))
        # In byte order, what begins with a path comes right behind it.
        and not any(map(bytes.startswith, islice(paths, 1, None), paths))
    )


def _is_odd(entry: FileEntry) -> bool:
    return entry.mode not in (FILE, PROGRAM) or entry.path.endswith(b"/")


def _odd(entry: FileEntry) -> str:
    if (entry.mode == FOLDER) != entry.path.endswith(b"/"):
        return "is no folder" if entry.mode != FOLDER else "is a folder without a slash"
    if entry.mode == FOLDER and (entry.digest, entry.size_bytes) != (EMPTY, 0):
        return "is a folder with content of its own"
    if entry.mode == LINK and not 0 < entry.size_bytes <= LINK_BYTES_AT_MOST:
        return f"is a link of {entry.size_bytes} bytes"
    return ""
