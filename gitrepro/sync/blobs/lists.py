"""Lists of what may leave a store remote: keys, and how each lay there when it was seen."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ...errors import Damaged, TooNew
from ...store.objects import digest_of
from . import layout
from .claims import GC
from .driver import Listed

LIST_BYTES_AT_MOST: Final = 256 << 20
_HEADER: Final = b"gitrepro candidates 1\n"
_HEADER_OF_ANY: Final = re.compile(rb"gitrepro candidates ([1-9][0-9]{0,8})\n")
_LINE: Final = re.compile(rb"([0-9]{1,19}) ([0-9]{1,16}) ([\x21-\x7e]{1,400})\n")
_CHECK_BYTES: Final = len("check ") + 64 + 1
_KEY: Final = re.compile(r"gc/[0-9a-f]{32}\.candidates")
_MARK: Final = re.compile(r"gc/[0-9a-f]{32}\.(sweep|clock)")


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a list names, by key: bytes, and microseconds since 1970 by the clock of the place."""

    modified_at: float
    seen: Mapping[str, tuple[int, int]]

    def has(self, each: Listed) -> bool:
        """Whether this is in the list, and lies there as it did then."""
        return self.seen.get(each.key) == (each.size_bytes, _microseconds(each))


def new_key() -> str:
    """The key of a new list."""
    return f"{GC}{os.urandom(16).hex()}.candidates"


def is_list(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def is_mark(key: str) -> bool:
    """Whether this is a file by which a collection under way says so, or asks for the time."""
    return _MARK.fullmatch(key) is not None


def dump(found: Iterable[Listed]) -> bytes:
    """The text of a list."""
    lines = sorted(f"{each.size_bytes} {_microseconds(each)} {each.key}\n" for each in found)
    text = _HEADER + "".join(lines).encode()
    return text + _check(text)


def load(data: bytes, *, modified_at: float, source: str) -> Candidates:
    """Read a list, trusting none of it: what is no key of a blob, a pack, a table or a root is not in it.

    Raises:
        Damaged: it was cut or changed. TooNew: a newer gitrepro wrote it.
    """
    header = _HEADER_OF_ANY.match(data)
    if header and header[0] != _HEADER:
        raise TooNew(f"{source} has the format {int(header[1])}", why="this gitrepro reads 1", do="upgrade gitrepro")
    text, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if not header or _check(text) != check:
        raise Damaged(f"{source} is damaged", why="it was cut or changed")
    seen = {found[3].decode(): (int(found[1]), int(found[2])) for found in _LINE.finditer(text, len(_HEADER))}
    return Candidates(modified_at, {key: lay for key, lay in seen.items() if layout.kind_of(key)})


def _microseconds(each: Listed) -> int:
    return max(0, round(each.modified_at * 1e6))


def _check(text: bytes) -> bytes:
    return f"check {digest_of([text])[3:]}\n".encode()
