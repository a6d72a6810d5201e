"""Canonical YAML: one way to write a record, and a reader that accepts no other.

The same content gives the same bytes, so equal records are one object in Git. `FORMAT.md` has the grammar.
PyYAML reads the same values; it is not used here, because it takes milliseconds to import and to read, takes anchors,
tags and repeated keys for granted, and can be brought down by deep nesting. Nothing here recurses over what it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeAlias

from ..errors import Damaged, UsageError

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
# PyYAML looks no further than 1,024 characters for the colon after a key.
MAX_KEY_CHARACTERS = 1000
MAX_DIGITS = 4300

_WORDS = frozenset(("yes", "no", "on", "off", "true", "false", "null", "y", "n"))
_PLAIN_KEY = re.compile("[A-Za-z_][A-Za-z0-9_./-]*")
# What YAML calls unprintable or a line break, the byte order mark, and the two characters a JSON string escapes.
_SPECIAL = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')
_ORDINARY = "[^" + _SPECIAL.pattern[1:]
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|([\"\\bfnrt]))")
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {escape[1]: character for character, escape in _SHORT.items()}
# Groups: spaces, dashes, key, plain string, other value. No part can end in two places and the last one takes whatever
# is left, so a line is read once. Not written with possessive quantifiers: Python has them wrong up to 3.11.4.
_LINE = re.compile(
    r"( *)((?:- )*)"
    r'(?:([A-Za-z_][A-Za-z0-9_./-]{0,999}|"[^"\\]*(?:\\.[^"\\]*)*"):(?: (?=.)|$))?'
    rf'(?:"({_ORDINARY}*)"|(.+))?'
)
_INTEGER = re.compile("0|-?[1-9][0-9]{0,4299}")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(?:e[+-][0-9]+)?")
_Line: TypeAlias = "tuple[int, str, str | None, Any]"
_BLOCK: Final = object()
"""The value of a line that has none: a block follows."""
_REMEMBERED_LINES: Final = 8192
_REMEMBERED_CHARACTERS: Final = 100
_understood: dict[str, _Line] = {}
_NAMED: dict[str, Value] = {
    "null": None,
    "true": True,
    "false": False,
    ".nan": float("nan"),
    ".inf": float("inf"),
    "-.inf": float("-inf"),
}


def dump(document: Mapping[str, object]) -> bytes:
    """The one canonical form of a record.

    Args:
        document: a mapping of `Value`; tuples are written as lists.

    Raises:
        UsageError: something in it is not a `Value` (NumPy scalars are not), nests deeper than 32, or is too large;
            the message names the place, like `config.model.lr`.
    """
    if not isinstance(document, Mapping):
        raise UsageError(f"a record is a mapping, not {type(document).__name__}")
    if not document:
        return b"{}\n"
    writer = _Writer()
    writer.write_map(document, lead="", indent="", path="")
    data = "".join(writer.lines).encode()
    if len(data) > MAX_BYTES:
        raise _too_large()
    return data


class _Writer:
    """The lines so far, and the room that is left for more.

    Room is counted while writing: a list that holds itself ten times, ten times over, ends here and not in memory.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.room = MAX_BYTES

    def write_map(self, mapping: Mapping[str, object], *, lead: str, indent: str, path: str) -> None:
        for key in _sorted_keys(mapping, path):
            text = _key(key)
            where = f"{path}.{text}" if path else text
            if len(text) > MAX_KEY_CHARACTERS:
                raise UsageError(f"the key {where[:80]}… is too long", why=f"a key has at most {MAX_KEY_CHARACTERS}")
            self.write(f"{lead}{text}:", mapping[key], indent=indent, path=where, inline=False)
            lead = indent

    def write_list(self, items: list[object] | tuple[object, ...], *, lead: str, indent: str, path: str) -> None:
        for index, item in enumerate(items):
            self.write(f"{lead}-", item, indent=indent, path=f"{path}[{index}]", inline=True)
            lead = indent

    def write(self, head: str, value: object, *, indent: str, path: str, inline: bool) -> None:
        encode = _ENCODERS.get(type(value))
        if encode is None:
            return self.nest(head, value, indent=indent, path=path, inline=inline)
        try:
            return self.line(f"{head} {encode(value)}\n")
        except _Unwritable as error:
            raise UsageError(f"{path} cannot be written", why=str(error)) from None

    def nest(self, head: str, value: object, *, indent: str, path: str, inline: bool) -> None:
        is_map = isinstance(value, Mapping)
        if not is_map and not isinstance(value, (list, tuple)):
            raise _unwritable_type(value, path)
        if len(indent) // 2 + 2 > MAX_DEPTH:
            raise UsageError(f"{path[:200]} nests deeper than {MAX_DEPTH} levels", why="or it contains itself")
        if not value:
            return self.line(f"{head} {{}}\n" if is_map else f"{head} []\n")
        indent += "  "
        if not inline:
            self.line(f"{head}\n")
        write: Callable[..., None] = self.write_map if is_map else self.write_list
        return write(value, lead=f"{head} " if inline else indent, indent=indent, path=path)

    def line(self, text: str) -> None:
        self.room -= len(text)
        if self.room < 0:
            raise _too_large()
        self.lines.append(text)


class _Unwritable(Exception):
    """Why a scalar has no canonical form; the writer adds where it stands."""


def _too_large() -> UsageError:
    return UsageError(f"the record is larger than {MAX_BYTES:,} bytes", do="keep large values in an artifact")


def _unwritable_type(value: object, path: str) -> UsageError:
    kind = type(value)
    return UsageError(
        f"{path} is of type {kind.__module__}.{kind.__qualname__}",
        why="a record holds None, bool, int, float, str, lists and mappings",
        do="convert it first, for example with float(), .item() or .tolist()",
    )


def _sorted_keys(mapping: Mapping[str, object], path: str) -> list[str]:
    for key in mapping:
        if type(key) is not str:
            raise UsageError(f"the key {key!r} in {path or 'the record'} is not a string", why="every key is a str")
    return sorted(mapping)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS else _string(key)


def _string(text: str) -> str:
    if len(text) > MAX_BYTES:
        raise _Unwritable(f"a string of {len(text):,} characters does not fit in a record")
    return f'"{text}"' if _SPECIAL.search(text) is None else f'"{_SPECIAL.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def _integer(value: int) -> str:
    # Bits first: the decimal form of a giant takes quadratic time.
    if value.bit_length() > 14_285:
        raise _Unwritable(f"the integer has more than {MAX_DIGITS} digits")
    try:
        text = str(value)
    except ValueError as error:  # the process has set a lower limit of its own
        raise _Unwritable(str(error)) from None
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise _Unwritable(f"the integer has more than {MAX_DIGITS} digits")
    return text


def _float(value: float) -> str:
    text = repr(value)
    if "e" in text:
        # Without the point PyYAML would read 1e-05 as a string.
        return text if "." in text else text.replace("e", ".0e")
    return _NON_FINITE.get(text, text)


_NON_FINITE = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}
# Exact types: numpy.float64 is a float by birth, and comes back as another type.
_ENCODERS: dict[type, Callable[[Any], str]] = {
    str: _string,
    int: _integer,
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
}


def load(data: bytes, *, source: str = "record") -> dict[str, Any]:
    """Read a record; exactly what `dump` writes and nothing else.

    Args:
        data: the whole file.
        source: what the error message calls it.

    Raises:
        Damaged: the bytes are not canonical; the message names `source`, the line and what was expected there.
    """
    try:
        lines = _lines(data)
        return {} if lines == ["{}"] else _parse(lines)
    except _Unexpected as error:
        raise Damaged(
            f"{source} is damaged at line {error.line}",
            why=f"expected {error.expected}",
            do="fetch it again from a remote that has it",
        ) from None


class _Unexpected(Exception):
    """What should have stood there."""

    def __init__(self, expected: str, *, line: int = 0) -> None:
        super().__init__(expected)
        self.expected = expected
        self.line = line


def _lines(data: bytes) -> list[str]:
    if len(data) > MAX_BYTES:
        raise _Unexpected(f"at most {MAX_BYTES:,} bytes, found {len(data):,}", line=1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _Unexpected("UTF-8", line=data.count(b"\n", 0, error.start) + 1) from None
    lines = text.split("\n")
    if lines.pop():
        raise _Unexpected("a line end after the last line", line=len(lines) + 1)
    if not lines:
        raise _Unexpected("a record, found an empty file", line=1)
    return lines


def _parse(lines: list[str]) -> dict[str, Value]:
    """The document. `levels[n]` is the open container whose entries stand in column 2n; one pass, no recursion.

    The common line, one more `key: value`, is handled here in full: a call costs as much as the rest of it.
    """
    root: dict[str, Value] = {}
    levels: list[Any] = [root]
    pending = False  # the line before was a key alone: its block has to open on this one
    number = 0
    understood = _understood.get
    try:
        for number, line in enumerate(lines, 1):  # noqa: B007 - the handler below reports it
            width, dashes, key, value = understood(line) or _understand(line)
            level = width >> 1
            if pending:
                _open_block(levels, width, dashes)
            elif level >= len(levels) or width & 1:
                raise _Unexpected(f"an even number of spaces up to {2 * len(levels) - 2}, found {width}")
            else:
                del levels[level + 1 :]
            if dashes:
                level = _open_items(levels, dashes, level, key is not None)
            elif key is None or levels[level].__class__ is list:
                raise _Unexpected("'- value'" if levels[level].__class__ is list else "'key: value'")
            container = levels[level]
            pending = value is _BLOCK
            if value.__class__ is type:
                value = _empty(value, levels)
            if key is None:
                if pending:
                    raise _Unexpected("a value after '- '")
                container.append(value)
                continue
            if container and key <= next(reversed(container)):
                raise _Unexpected("keys in order, each of them once")
            container[key] = value
        if pending:
            number += 1
            raise _Unexpected("the block of the last key, found the end")
    except _Unexpected as error:
        error.line = number
        raise
    return root


def _understand(line: str) -> _Line:
    """What one line says by itself: columns before it, dashes, key, value.

    Records of one program have most of their lines in common; of those it is remembered.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise _Unexpected("'key: value' or '- value'")
    spaces, dashes, key, string, other = found.groups()
    if key is not None and (len(key) <= 5 or key[0] == '"'):
        key = _read_key(key)
    value = string if string is not None else _BLOCK if other is None else _value(other)
    if len(line) <= _REMEMBERED_CHARACTERS:
        if len(_understood) >= _REMEMBERED_LINES:
            _understood.clear()
        _understood[line] = len(spaces), dashes, key, value
    return len(spaces), dashes, key, value


def _empty(kind: type, levels: list[Any]) -> Value:
    if len(levels) >= MAX_DEPTH:
        raise _Unexpected(f"at most {MAX_DEPTH} levels")
    return kind()  # type: ignore[no-any-return]


def _open_block(levels: list[Any], width: int, dashes: str) -> None:
    """Open the map or the list that the key on the line before announced."""
    if width != 2 * len(levels):
        raise _Unexpected(f"{2 * len(levels)} spaces, found {width}")
    parent = levels[-1]
    child: Any = [] if dashes else {}
    parent[next(reversed(parent))] = child
    _push(levels, child)


def _open_items(levels: list[Any], dashes: str, level: int, is_map: bool) -> int:
    """Open the lists, and the map, that begin on one line: `- - key: value`. Return the level of the innermost."""
    if levels[level].__class__ is not list:
        raise _Unexpected("'key: value'")
    kinds = [list] * (len(dashes) // 2 - 1)
    for kind in [*kinds, dict] if is_map else kinds:
        child: Any = kind()
        levels[-1].append(child)
        _push(levels, child)
        level += 1
    return level


def _push(levels: list[Any], child: Any) -> None:
    if len(levels) >= MAX_DEPTH:
        raise _Unexpected(f"at most {MAX_DEPTH} levels")
    levels.append(child)


def _read_key(text: str) -> str:
    if len(text) > MAX_KEY_CHARACTERS:
        raise _Unexpected(f"a key of at most {MAX_KEY_CHARACTERS} characters")
    if text[0] != '"':
        if text.lower() in _WORDS:
            raise _Unexpected("the key in double quotes: YAML has a meaning for the word")
        return text
    key = _read_string(text)
    if _key(key) != text:
        raise _Unexpected("the key without quotes")
    return key


def _value(text: str) -> Value | type:
    if text[0] == '"':
        return _read_string(text)
    if text in ("{}", "[]"):
        return dict if text == "{}" else list  # made where it stands: no two may be one
    if text in _NAMED:
        return _NAMED[text]
    return _read_number(text)


def _read_string(text: str) -> str:
    if len(text) < 2 or text[-1] != '"':
        _no_value()
    inner = text[1:-1]
    if _SPECIAL.search(inner) is None:
        return inner
    # One escape is one character: \ud83d\ude00 stays two surrogates, here as in PyYAML, unlike in JSON.
    decoded = _ESCAPE.sub(_unescape, inner)
    if _string(decoded) != text:
        raise _Unexpected("a string in its canonical form")
    return decoded


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _LONG[match[2]]


def _read_number(text: str) -> Value:
    if _INTEGER.fullmatch(text):
        try:
            return int(text)
        except ValueError:  # the process has set a lower limit of its own
            raise _Unexpected("an integer that this process is allowed to read") from None
    if _FLOAT.fullmatch(text):
        value = float(text)
        if _float(value) == text:
            return value
        raise _Unexpected(f"the shortest form of the number, {_float(value)}")
    return _no_value()


def _no_value() -> NoReturn:
    raise _Unexpected("a quoted string, a number, true, false, null, {} or []")
