"""The blob of a split: which ids make up each part. Text, one way to write it; its digest is the split's identity."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import ge
from typing import Any, Final

from ..errors import Damaged, TooNew, UsageError
from .split import check_name

FIRST_LINE: Final = "gitrepro split 1"
MAX_BYTES: Final = 1 << 30
MAX_PARTS: Final = 10_000

_SPECIAL = re.compile(r"[\\\x00-\x1f\x7f]")
_SPECIAL_BUT_LINE_END = re.compile(r"[\\\x00-\x09\x0b-\x1f\x7f]")
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ROW = re.compile("0|[1-9][0-9]{0,17}")
_DATA = re.compile("data (b3:[0-9a-f]{64})")
_IDS = re.compile("ids (path|row|column:.+)")
_PART = re.compile("part ([A-Za-z0-9][A-Za-z0-9._-]{0,99}) (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The parts of one version of a data set.

    `data` is its digest; `ids` how its items are named: `path`, `row` or `column:<name>`; `rule` what the parts were
    made by; `parts` the ids of each, without a repetition in or among them.
    """

    data: str
    ids: str
    rule: Mapping[str, Any]
    parts: Mapping[str, Sequence[str]]

    def dump(self) -> bytes:
        """The one canonical form, whatever order the ids have here.

        Raises:
            UsageError: an id stands in two places, is no text or no row number, or a part cannot have its name.
        """
        names = [check_name(name, "a part") for name in sorted(self.parts)]
        ordered = {name: in_order(self.parts[name], rows=self.rows) for name in names}
        check_disjoint(ordered)
        head = f"{FIRST_LINE}\ndata {self.data}\nids {escape(self.ids)}\nrule {_json(self.rule)}\n"
        return "".join([head, *(f"part {name} {len(ids)}\n{id_lines(ids)}" for name, ids in ordered.items())]).encode()

    @property
    def rows(self) -> bool:
        return self.ids == "row"


def in_order(ids: Sequence[str], *, rows: bool) -> list[str]:
    """Ids as they stand in a blob: rows as ascending numbers, all others ascending by their UTF-8 bytes."""
    # Code points sort as their UTF-8 bytes do.
    return sorted(ids, key=_row_number) if rows else sorted(ids)


def _row_number(text: str) -> int:
    if not _ROW.fullmatch(text):
        raise UsageError(f"{text!r:.80} is not a row number", why="the items of this data set are its rows, from 0")
    return int(text)


def check_disjoint(parts: Mapping[str, Sequence[str]]) -> None:
    """See that no id stands twice.

    Raises:
        UsageError: one does; the first three are named.
    """
    total = sum(map(len, parts.values()))
    excess = total - len(set().union(*parts.values()))
    if excess:
        raise UsageError(
            f"{excess} {'id stands' if excess == 1 else 'ids stand'} twice",
            why="; ".join(islice(repeated(parts), 3)),
            do="give every id one part",
        )


def repeated(parts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Each id that stands again, with the part it stood in before and the one it stands in."""
    seen: dict[str, str] = {}
    for name, ids in parts.items():
        for each in ids:
            if each in seen:
                yield f"{each!r:.80} in {seen[each]} and " + ("again" if seen[each] == name else name)
            seen.setdefault(each, name)


def id_lines(ids: Sequence[str]) -> str:
    """Ids one a line, each line ended; backslash and control characters escaped.

    Raises:
        UsageError: an id holds half a character (a lone surrogate).
    """
    if not ids:
        return ""
    text = "\n".join(ids) + "\n"
    if _SURROGATE.search(text):
        bad = next(each for each in ids if _SURROGATE.search(each))
        raise UsageError(f"the id {bad!r:.80} is not text", why="it cannot be written as UTF-8")
    if _SPECIAL_BUT_LINE_END.search(text) is None and text.count("\n") == len(ids):
        return text
    return "\n".join(map(escape, ids)) + "\n"


def escape(text: str) -> str:
    """`text` on one line: backslash doubled, control characters as `\\xNN`."""
    return _SPECIAL.sub(lambda found: "\\\\" if found[0] == "\\" else f"\\x{ord(found[0]):02x}", text)


def unescape(line: str) -> str:
    """What `escape` was given; ValueError for what it does not write."""
    if _SPECIAL.search(line) is None:
        return line
    text = _ESCAPE.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), line)
    if escape(text) != line:
        raise ValueError(f"{line!r:.80} is not escaped as it should be")
    return text


def _json(rule: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(rule), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("the rule of the split cannot be written", why=str(error)) from None


def load_partition(data: bytes, *, source: str) -> Partition:
    """Read the blob of a split; exactly what `dump` writes and nothing else.

    Raises:
        Damaged: it is anything else; the message names `source` and the line.
        TooNew: its format is newer than this program.
    """
    try:
        return _Reader(data).partition()
    except _Unexpected as error:
        kind = TooNew if error.newer else Damaged
        raise kind(
            f"{source} is damaged at line {error.line}" if not error.newer else f"{source} has a newer format",
            why=f"expected {error.expected}",
            do="upgrade gitrepro to read it" if error.newer else "fetch it again from a remote that has it",
        ) from None


class _Unexpected(Exception):
    """What should have stood there, and on which line."""

    def __init__(self, expected: str, *, line: int, newer: bool = False) -> None:
        super().__init__(expected)
        self.expected, self.line, self.newer = expected, line, newer


class _Reader:
    """The lines of a blob, from the first to the last."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_BYTES:
            raise _Unexpected(f"at most {MAX_BYTES:,} bytes", line=1)
        try:
            self.lines = data.decode().split("\n")
        except UnicodeDecodeError as error:
            raise _Unexpected("UTF-8", line=data.count(b"\n", 0, error.start) + 1) from None
        if self.lines.pop():
            raise _Unexpected("a line end after the last line", line=len(self.lines) + 1)
        self.at = 0

    def partition(self) -> Partition:
        first = self.next("the first line of a split")
        if first != FIRST_LINE:
            newer = re.fullmatch("gitrepro split [0-9]{1,9}", first) is not None
            raise self.unexpected(f"'{FIRST_LINE}'", newer=newer)
        data = self.match(_DATA, "'data b3:<64 hex>'")[1]
        ids = self.raw(self.match(_IDS, "'ids path', 'ids row' or 'ids column:<name>'")[1])
        rule = self.rule()
        parts = dict(self.parts(rows=ids == "row"))
        self.check_disjoint(parts)
        return Partition(data=data, ids=ids, rule=rule, parts=parts)

    def next(self, expected: str) -> str:
        self.at += 1
        if self.at > len(self.lines):
            raise self.unexpected(f"{expected}, found the end")
        return self.lines[self.at - 1]

    def match(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = pattern.fullmatch(self.next(expected))
        if found is None:
            raise self.unexpected(expected)
        return found

    def raw(self, line: str) -> str:
        try:
            return unescape(line)
        except ValueError:
            raise self.unexpected("an id in its canonical form") from None

    def rule(self) -> dict[str, Any]:
        line = self.next("'rule <JSON>'")
        try:
            rule = json.loads(line.removeprefix("rule "))
            if line.startswith("rule ") and isinstance(rule, dict) and f"rule {_json(rule)}" == line:
                return rule
        except (ValueError, RecursionError):  # UsageError is a ValueError
            pass
        raise self.unexpected("'rule ' and canonical JSON")

    def parts(self, *, rows: bool) -> Iterator[tuple[str, list[str]]]:
        before = ""
        for _ in range(MAX_PARTS):
            if self.at == len(self.lines):
                return
            found = self.match(_PART, "'part <name> <number of ids>'")
            if found[1] <= before:
                raise self.unexpected("parts in order, each of them once")
            before = found[1]
            yield before, self.ids(int(found[2]), rows=rows)
        raise self.unexpected(f"at most {MAX_PARTS:,} parts")

    def ids(self, count: int, *, rows: bool) -> list[str]:
        lines = self.lines[self.at : self.at + count]
        if len(lines) < count:
            self.at = len(self.lines)
            raise self.unexpected(f"{count} ids in the last part, found {len(lines)}")
        if _SPECIAL.search("".join(lines)):
            ids = [self.raw(self.next("an id")) for _ in lines]
        else:
            ids, self.at = lines, self.at + count
        self.check_order(ids, rows=rows)
        return ids

    def check_order(self, ids: list[str], *, rows: bool) -> None:
        if rows and not all(map(_ROW.fullmatch, ids)):
            raise self.unexpected("row numbers above")
        keys: Sequence[Any] = list(map(int, ids)) if rows else ids
        if any(ge(left, right) for left, right in pairwise(keys)):
            raise self.unexpected("ids in order above, each of them once")

    def check_disjoint(self, parts: Mapping[str, Sequence[str]]) -> None:
        try:
            check_disjoint(parts)
        except UsageError:
            raise self.unexpected("each id in one part only") from None

    def unexpected(self, expected: str, *, newer: bool = False) -> _Unexpected:
        return _Unexpected(expected, line=self.at, newer=newer)
