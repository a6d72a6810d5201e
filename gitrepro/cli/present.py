"""How things look: tables for people, TSV for pipes, JSON for programs; colour never alone."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..errors import GitreproError

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
_STATUS: Final = {
    "finished": "green",
    "running": "bold",
    "failed": "red",
    "crashed": "red",
    "out_of_memory": "red",
    "interrupted": "yellow",
    "preempted": "yellow",
    "incomplete": "yellow",
}
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
    return "".join(character if character.isprintable() else "?" for character in str(text))


def coloured(text: str, colour: str, *, stream: Any = None) -> str:
    """`text` in a colour where the stream is a terminal that wants it."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


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


def table(rows: Iterable[Sequence[object]], header: Sequence[str], *, right: Iterable[int] = ()) -> None:
    """Rows on stdout: aligned under a header on a terminal, TSV in a pipe. `right` names right-aligned columns."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(header), *cells]:
            line("\t".join(row))
        return
    widths = [max(_width(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    aligned = set(right)
    line(coloured(_aligned([name.upper() for name in header], widths, aligned), "dim"))
    for row in cells:
        line(_aligned(row, widths, aligned))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return number(value)
    # Colour is ours; all else in a cell comes from a record.
    text = str(value)
    return text if text.startswith("\x1b[") else clean(text)


def _width(text: str) -> int:
    if text.startswith("\x1b["):
        text = text.split("m", 1)[1].removesuffix("\x1b[0m")
    return len(text)


def _aligned(row: Sequence[str], widths: Sequence[int], right: set[int]) -> str:
    parts = []
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        gap = " " * (width - _width(text))
        parts.append(gap + text if column in right else text + gap)
    return "  ".join(parts).rstrip()


def number(value: object) -> str:
    """A number as people read it: four significant digits."""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return clean(value)


def duration(seconds: float | None) -> str:
    """Seconds as people read them: `0.8 s`, `4 m 12 s`, `3 h 5 m`."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} m {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} m"


def size(size_bytes: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024 or unit == "GiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return ""
