"""The recipe: a file as the concatenation of blobs. FORMAT.md shows the bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import Damaged, TooNew, UsageError

FORMAT: Final = 1
SEGMENT_BYTES_AT_MOST: Final = 64 << 20
SEGMENTS_AT_MOST: Final = 1 << 20

_NAME = re.compile(r"b3:[0-9a-f]{64}")
_FIRST = re.compile(rb"gitrepro recipe ([1-9][0-9]{0,8})")
_SIZE = re.compile(rb"size ([1-9][0-9]{0,14})")
_WHOLE = re.compile(rb"b3 ([0-9a-f]{64})")
_SEGMENT = re.compile(rb"([0-9a-f]{64}) ([1-9][0-9]{0,7})")
_CHECK = re.compile(rb"check ([0-9a-f]{64})\n")
_CHECK_BYTES: Final = len("check ") + 64 + 1
_LINES_BESIDE: Final = 4  # the first line, the size, the name, the check
RECIPE_BYTES_AT_MOST: Final = 256 + SEGMENTS_AT_MOST * (64 + 1 + 8 + 1)


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a file: a blob, and how many bytes it has, 1 to 64 MiB."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Of which blobs, in this order, the file `digest` of `size_bytes` is the concatenation."""

    size_bytes: int
    digest: str
    segments: tuple[Segment, ...]

    def dump(self) -> bytes:
        """The bytes that `load_recipe` reads.

        Raises:
            UsageError: a limit is broken, or the sizes do not add up.
        """
        if why := _wrong(self):
            raise UsageError(f"no recipe for {self.digest[:15]}", why=why)
        lines = [f"gitrepro recipe {FORMAT}", f"size {self.size_bytes}", f"b3 {self.digest[3:]}"]
        lines += [f"{segment.digest[3:]} {segment.size_bytes}" for segment in self.segments]
        text = "".join(f"{line}\n" for line in lines).encode()
        return text + _check_line(text)


def load_recipe(data: bytes, *, source: str = "a recipe") -> Recipe:
    """Read a recipe, trusting none of it. The bytes are those that `dump` makes, or it is refused.

    Args:
        source: where the bytes are from, for the message.

    Raises:
        Damaged: it is cut short, changed, or says what cannot be.
        TooNew: a newer gitrepro wrote it.
    """
    if len(data) > RECIPE_BYTES_AT_MOST or data.count(b"\n") > SEGMENTS_AT_MOST + _LINES_BESIDE:
        raise _damaged(source, f"it has more than {SEGMENTS_AT_MOST} pieces")
    _check_version(data, source)
    text, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if not _CHECK.fullmatch(check) or not text.endswith(b"\n") or _check_line(text) != check:
        raise _damaged(source, "it was cut short or changed: its last line is not the hash of the lines before")
    lines = _lines(text)
    next(lines, b"")
    size, whole = _SIZE.fullmatch(next(lines, b"")), _WHOLE.fullmatch(next(lines, b""))
    if size is None or whole is None:
        raise _damaged(source, "it does not say of which file it is")
    segments = tuple(_segment(line, source) for line in lines)
    recipe = Recipe(size_bytes=int(size[1]), digest=f"b3:{whole[1].decode()}", segments=segments)
    if why := _wrong(recipe):
        raise _damaged(source, why)
    return recipe


def _check_version(data: bytes, source: str) -> None:
    first = _FIRST.fullmatch(data[: data.find(b"\n", 0, 64)])
    if first is None:
        raise _damaged(source, "it does not begin as a recipe does")
    if int(first[1]) != FORMAT:
        raise TooNew(
            f"{source} has the format {int(first[1])}", why=f"this gitrepro reads {FORMAT}", do="update gitrepro"
        )


def _check_line(text: bytes) -> bytes:
    import blake3

    return f"check {blake3.blake3(text).hexdigest()}\n".encode()


def _lines(text: bytes) -> Iterator[bytes]:
    # One by one: a list of them would take as much memory again.
    begin = 0
    while (end := text.find(b"\n", begin)) >= 0:
        yield text[begin:end]
        begin = end + 1


def _segment(line: bytes, source: str) -> Segment:
    found = _SEGMENT.fullmatch(line)
    if found is None:
        raise _damaged(source, f"{line[:80]!r} is no piece of a file")
    return Segment(f"b3:{found[1].decode()}", int(found[2]))


def _wrong(recipe: Recipe) -> str | None:
    """Why no file has this recipe; None when one may."""
    if not 1 <= len(recipe.segments) <= SEGMENTS_AT_MOST:
        return f"it has {len(recipe.segments)} pieces; 1 to {SEGMENTS_AT_MOST} are allowed"
    for segment in recipe.segments:
        if not 1 <= segment.size_bytes <= SEGMENT_BYTES_AT_MOST:
            return f"a piece has {segment.size_bytes} bytes; 1 to {SEGMENT_BYTES_AT_MOST} are allowed"
        if segment.digest == recipe.digest:
            return "it names itself as a piece"
    if not all(_NAME.fullmatch(name) for name in (recipe.digest, *(each.digest for each in recipe.segments))):
        return "a name in it is not b3: and 64 hex digits"
    total = sum(segment.size_bytes for segment in recipe.segments)
    return None if total == recipe.size_bytes else f"its pieces have {total} bytes, the file {recipe.size_bytes}"


def _damaged(source: str, why: str) -> Damaged:
    return Damaged(f"{source} is damaged", why=why, do="put the file again, or pull it")
