"""How things look: tables for people, TSV for pipes, JSON for programs; colour never alone."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ..errors import GitreproError

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
_STATUS: Final = {
    "finished": "green",
    "running": "bold",
    "failed": "red",
    "crashed": "red",
    "out_of_memory": "red",
    "aborted": "red",
    "interrupted": "yellow",
    "preempted": "yellow",
    "pruned": "yellow",
    "incomplete": "yellow",
}
_NAMES_AT_MOST: Final = 32
_LINES_AT_MOST: Final = 6
_TITLE_AT_MOST: Final = 24
_ELASTIC_AT_MOST: Final = 40
_ELASTIC_AT_LEAST: Final = 10
_MARKS: Final = {
    "PASS": ("ok", "green"),
    "WARN": ("!", "yellow"),
    "FAIL": ("x", "red"),
    "INCONCLUSIVE": ("?", "yellow"),
    "WAIVED": ("-", "dim"),
    "NOT_APPLICABLE": ("-", "dim"),
}


def clean(text: object) -> str:
    """Text from a record, harmless to a terminal: control characters become `?`."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(character if character.isprintable() else "?" for character in shown)


class Painted(str):
    """Text with colours of ours in it; all other text is taken for a stranger's."""

    __slots__ = ("colour", "plain", "width")
    colour: str
    plain: str
    width: int

    def __new__(cls, text: str, colour: str) -> Painted:
        painted = super().__new__(cls, f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m")
        painted.plain, painted.colour, painted.width = text, colour, _width(text)
        return painted


def coloured(text: str, colour: str, *, stream: Any = None) -> str:
    """`text`, made harmless, in a colour where the stream is a terminal that wants it."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return clean(text)
    return Painted(clean(text), colour)


def mark(verdict: str) -> str:
    """A verdict with its sign, as `ok PASS`."""
    sign, colour = _MARKS.get(verdict, ("?", "yellow"))
    return coloured(f"{sign:<2} {verdict}", colour)


def status(name: str) -> str:
    return coloured(name, _STATUS.get(name, "dim"))


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def line(text: str = "") -> None:
    """A line of data, on stdout."""
    sys.stdout.write(f"{text}\n")


def emit(data: object) -> None:
    """`data` as JSON on stdout: unrounded, non-finite numbers as the strings "NaN", "Infinity", "-Infinity"."""
    sys.stdout.write(json.dumps(_finite(data), indent=2, ensure_ascii=True) + "\n")


def emit_line(data: object) -> None:
    """`data` as one line of JSON, its numbers as `emit` has them."""
    sys.stdout.write(json.dumps(_finite(data), ensure_ascii=True) + "\n")


def _finite(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


def show_error(error: GitreproError, *, as_json: bool) -> None:
    """An error on stderr: what, why, and what to do."""
    if as_json:
        document = {"code": error.code, "what": error.what, "why": error.why, "do": error.do}
        sys.stderr.write(json.dumps({"error": document}) + "\n")
        return
    sys.stderr.write(f"{coloured('error:', 'red', stream=sys.stderr)} {_lines(error.what)}\n")
    for word, text in (("why:", error.why), ("do: ", error.do)):
        if text:
            sys.stderr.write(f"  {word} {_lines(text)}\n")


def _lines(text: str) -> str:
    return "\n       ".join(clean(part) for part in text.splitlines())


def table(
    rows: Iterable[Sequence[object]],
    header: Sequence[str],
    *,
    right: Iterable[int] = (),
    spare: Iterable[int] = (),
    elastic: int | None = 0,
) -> None:
    """Rows on stdout: aligned under a header on a terminal, TSV in a pipe.

    Args:
        right: columns that are right-aligned.
        spare: columns that a narrow terminal leaves out, the first one first.
        elastic: the column that is cut where that does not help. After it, or where there is none, the widest of those
            that are not right-aligned: a number is not cut.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(header), *cells]:
            line("\t".join(row))
        return
    title: list[str] = [coloured(name.upper(), "dim") for name in header]
    aligned = set(right)
    columns, widths = _fit([title, *cells], list(spare), elastic, aligned)
    for row in [title, *cells]:
        line(_aligned(row, columns, widths, aligned))


def _fit(
    rows: Sequence[Sequence[str]], spare: list[int], elastic: int | None, whole: set[int]
) -> tuple[list[int], list[int]]:
    """The columns that are shown, and the width of each; a title has its values' width, and some more."""
    widths = [
        max([min(_width(title), _TITLE_AT_MOST), *map(_width, values)]) for title, *values in zip(*rows, strict=True)
    ]
    columns = list(range(len(widths)))
    if elastic is not None:
        widths[elastic] = min(widths[elastic], _ELASTIC_AT_MOST)
    while (excess := sum(widths[column] + 2 for column in columns) - 2 - terminal_width()) > 0 and spare:
        columns.remove(spare.pop(0))
    for _ in range(excess):
        long = [column for column in columns if widths[column] > _ELASTIC_AT_LEAST and column not in whole]
        if not long:
            break
        widths[elastic if elastic in long else max(long, key=widths.__getitem__)] -= 1
    return columns, widths


def terminal_width() -> int:
    """Columns of the terminal; 80 where it does not say."""
    import shutil  # it loads every kind of compression, and a pipe has no width

    return shutil.get_terminal_size().columns or 80


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, Painted) else clean(value)


def _width(text: str) -> int:
    return text.width if isinstance(text, Painted) else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if character.isascii():
        return 1
    import unicodedata  # few names need it

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _aligned(row: Sequence[str], columns: Sequence[int], widths: Sequence[int], right: set[int]) -> str:
    parts = []
    for column in columns:
        text = _cut(row[column], widths[column])
        gap = " " * (widths[column] - _width(text))
        parts.append(f"{gap}{text}" if column in right else f"{text}{gap}")
    return "  ".join(parts).rstrip()


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    if isinstance(text, Painted):
        return Painted(_cut(text.plain, width), text.colour)
    while _width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def counted(count: int, thing: str) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def fitted(text: str, *, spare: int = 0) -> str:
    """`text`, made harmless and cut to one line of the terminal, `spare` columns less."""
    return _cut(clean(text), max(terminal_width() - 1 - spare, 1))


def pairs(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names and values beside each other. A terminal gets long values folded to its width, and cut after some lines."""
    names = max((_width(clean(name)) for name, _ in rows), default=0)
    indent = min(names, _NAMES_AT_MOST) + 4 if names else 2
    for name, value in rows:
        shown = f"  {clean(name)}"
        lines = [value] if isinstance(value, Painted) else _folded(value, indent)
        if _width(shown) > indent - 2 and names and sys.stdout.isatty():
            # Beside a name so long there is no room: the value stands below it.
            yield from (f"  {part}" for part in _folded(clean(name), 2))
            shown = ""
        for text in lines:
            yield f"{shown}{' ' * max(indent - _width(shown), 2 if shown.strip() else 0)}{text}".rstrip()
            shown = ""


def _folded(value: str, indent: int) -> list[str]:
    lines = [clean(part.expandtabs()) for part in value.splitlines()] or [""]
    if not sys.stdout.isatty():
        return lines
    import textwrap

    # It counts characters: one that takes two columns counts for two with a filler behind it, which may be cut off.
    room = max(terminal_width() - indent, 20) - (not value.isascii())
    filled = ["".join(each + "\0" * (_columns_of(each) - 1) for each in text) for text in lines]
    folded = [part for text in filled for part in textwrap.wrap(text, room, break_on_hyphens=False) or [""]]
    folded = [part.replace("\0", "") for part in folded]
    return folded if len(folded) <= _LINES_AT_MOST else [*folded[:_LINES_AT_MOST], "…"]


def number(value: object) -> str:
    """A number as people read it: four significant digits."""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return clean(value)


def duration(seconds: object) -> str:
    """Seconds as people read them: `0.8 s`, `4 m 12 s`, `3 h 5 m`; nothing for what is no number."""
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} m {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} m"


def size(size_bytes: object) -> str:
    """Bytes as people read them; nothing for what is no number."""
    if not isinstance(size_bytes, (int, float)) or not math.isfinite(size_bytes):
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024 or unit == "GiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return ""
