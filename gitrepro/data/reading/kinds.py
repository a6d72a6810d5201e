"""Which kind of data lies at a path: told by suffixes and first bytes, never by running or unpickling anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...errors import NotFound, UsageError

KINDS: Final = ("folder", "file", "csv", "parquet", "npz", "jsonl", "images", "text")
FOLDERS: Final = ("folder", "images", "text")
TABLES: Final = ("csv", "parquet", "jsonl")

IMAGES: Final = frozenset(".png .jpg .jpeg .gif .bmp .tif .tiff .webp .ppm .pgm .pbm .pnm".split())
TEXTS: Final = frozenset(".txt .text .md .rst .tex .html .htm .xml .log .srt".split())
_OF_SUFFIX: Final = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".npz", ".npy"), "npz"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
}
_OF_FIRST_BYTES: Final = {b"PAR1": "parquet", b"\x93NUMPY": "npz"}
# Enough of a folder to see what most of it is.
_LOOKED_AT: Final = 100_000


def kind_of(path: Path) -> str:
    """The kind of the data at `path`: one of `KINDS`.

    A folder is `images` or `text` when more than half of its files are by their suffix, hidden ones aside. A file is
    what its suffix says; without a suffix that says anything, what its first bytes say. That a file really is what it
    looks like is found when it is opened.

    Raises:
        NotFound: there is nothing at `path`.
        UsageError: it is a device, a socket or a pipe, or it cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _kind_of_folder(path)
        if stat.S_ISREG(mode):
            return _OF_SUFFIX.get(path.suffix.lower()) or _kind_of_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is nothing at {path}", do="look at the path") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or str(error)) from None
    raise UsageError(f"{path} is neither a file nor a folder", why="devices, sockets and pipes hold no data set")


def _kind_of_bytes(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(6)
    return next((kind for magic, kind in _OF_FIRST_BYTES.items() if start.startswith(magic)), "file")


def _kind_of_folder(path: Path) -> str:
    seen = images = texts = 0
    for suffix in _suffixes(path):
        seen += 1
        images += suffix in IMAGES
        texts += suffix in TEXTS
        if seen == _LOOKED_AT:
            break
    return "images" if images * 2 > seen else "text" if texts * 2 > seen else "folder"


def _suffixes(path: Path) -> Iterator[str]:
    # Sorted, so that the files looked at do not depend on the file system.
    for _, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.splitext(name)[1].lower() for name in sorted(names) if not name.startswith("."))  # noqa: PTH122
