"""The numbers that a paper prints with a word on where they are from, in LaTeX, Markdown or CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from ...errors import NotFound, StorageError, UsageError

SIZE_AT_MOST: Final = 16 << 20
_FILES_AT_MOST: Final = 500
_MACRO: Final = re.compile(r"\\gitrepro\s*(?=\{)")
_COMMENT: Final = re.compile(r"<!--\s*gitrepro\s+([^<>]+?)\s*-->")
_INCLUDED: Final = re.compile(r"\\(?:input|include|subfile)\s*\{([^{}]+)\}")
_TEX_COMMENT: Final = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A number as it is printed.

    Attributes:
        path, line: where it stands.
        reference: what is said of where it is from; nobody has read it yet.
        text: what is printed.
    """

    path: Path
    line: int
    reference: str
    text: str


def printed_in(path: Path) -> list[Printed]:
    """The numbers of a file, and of the files that a LaTeX file takes in.

    Raises:
        NotFound: there is no such file.
        StorageError: it cannot be read.
        UsageError: it is too large, or no text.
    """
    seen: set[Path] = set()
    waiting = [path]
    found: list[Printed] = []
    while waiting and len(seen) < _FILES_AT_MOST:
        each = waiting.pop(0)
        if each.resolve() in seen:
            continue
        seen.add(each.resolve())
        text = _read(each)
        if each.suffix.lower() == ".csv":
            found += _in_csv(each, text)
        elif each.suffix.lower() in (".md", ".markdown", ".html"):
            found += _in_markdown(each, text)
        else:
            bare = _TEX_COMMENT.sub(r"\1", text)
            found += _in_latex(each, bare)
            waiting[:0] = list(_taken_in(each, path.parent, bare))
    return found


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > SIZE_AT_MOST:
            raise UsageError(f"{path} is larger than {SIZE_AT_MOST >> 20} MiB", do="name the source of the paper")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8", why=str(error), do="name the source of the paper") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read", why=error.strerror or str(error)) from error


def _taken_in(path: Path, root: Path, text: str) -> Iterator[Path]:
    """The files that are there; LaTeX looks from the folder of the paper, and people at times from that of the file."""
    for name in _INCLUDED.findall(text):
        for folder in (root, path.parent):
            candidates = [folder / name.strip(), folder / f"{name.strip()}.tex"]
            there = next((each for each in candidates if each.is_file()), None)
            if there is not None:
                yield there
                break


def _in_latex(path: Path, text: str) -> Iterator[Printed]:
    for found in _MACRO.finditer(text):
        first = _argument(text, found.end())
        second = _argument(text, first[1]) if first else None
        line = text.count("\n", 0, found.start()) + 1
        if first and second:
            yield Printed(path=path, line=line, reference=first[0], text=second[0])


def _argument(text: str, start: int) -> tuple[str, int] | None:
    """What stands in the braces that come next, and where they end; None where none come."""
    begin = re.compile(r"\s*\{").match(text, start)
    if begin is None:
        return None
    depth, place = 1, begin.end()
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin.end() : place], place + 1
        place += 1
    return None


def _in_markdown(path: Path, text: str) -> Iterator[Printed]:
    for found in _COMMENT.finditer(text):
        # From the last border, comment or line break on; its end is what the comment speaks of.
        before = text[: found.start()].rstrip(" ")
        begin = max(before.rfind("\n"), before.rfind("|"), before.rfind("-->") + 2) + 1
        yield Printed(path=path, line=text.count("\n", 0, found.start()) + 1, reference=found[1], text=before[begin:])


def _in_csv(path: Path, text: str) -> Iterator[Printed]:
    reader = csv.DictReader(io.StringIO(text))
    if not {"mean", "reference"} <= set(reader.fieldnames or ()):
        return
    for row in reader:
        if row.get("reference"):
            std = f" ± {row['std']}" if row.get("std") else ""
            count = f" (n={row['n']})" if row.get("n") else ""
            yield Printed(
                path=path, line=reader.line_num, reference=row["reference"] or "", text=f"{row['mean']}{std}{count}"
            )
