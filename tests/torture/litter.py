"""Data sets to be added, and what a collection finds in a store: made by what FORMAT.md says, with nothing of ours."""

from __future__ import annotations

import os
import random
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

import blake3

SMALL_FILES = 30
ALONE = 20
"""So many of the small files lie in the store as files of their own: enough to be put into a pack."""
DEAD = 40
DAY_SECONDS = 86_400
PAST = "20200101T000000Z"
NOBODY = 999_999_999
"""No process has this number."""


def small_file(number: int) -> bytes:
    return b"%d " % number * (100 + number)


def dead_blob(number: int) -> bytes:
    return b"dead %d " % number * (200 + number)


def large_blob(number: int) -> bytes:
    return random.Random(number).randbytes(300 << 10)


def middle_file() -> bytes:
    return random.Random("middle").randbytes(300 << 10)


def tensor() -> bytes:
    """One record of the zip file, which lies in the store as a blob of its own."""
    return random.Random("tensor").randbytes(600 << 10)


def make_folder(folder: Path) -> None:
    """Small files in two classes, two large ones, and one as `torch.save` writes it."""
    for number in range(SMALL_FILES):
        path = folder / "ab"[number % 2] / f"{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(small_file(number))
    (folder / "large.bin").write_bytes(random.Random(1).randbytes(1200 << 10))
    (folder / "middle.bin").write_bytes(middle_file())
    with zipfile.ZipFile(folder / "weights.pt", "w") as archive:
        for name, data in (("data.pkl", b"state" * 60), ("data/0", tensor()), ("data/1", tensor()[: 500 << 10])):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data)


def leave(root: Path, *, back: Path) -> None:
    """Let everything in a store be old, and leave there what writers and collections leave that were killed.

    `back` is told the blob that a record needs and that lies in the trash.
    """
    left = root / "incoming" / f".tmp-batch-{NOBODY}-0123456789ab"
    left.mkdir(parents=True)
    (left / "1").write_bytes(b"half")
    left.with_name(f".tmp-blob-{NOBODY}-0123456789ab").write_bytes(b"half")
    _discarded(root, large_blob(77), PAST)
    needed = blake3.blake3(middle_file()).hexdigest()
    _to_trash(root, needed, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 60)))
    back.write_text(f"b3:{needed}\n")
    age(path for path in root.rglob("*") if path.name != "index.sqlite")


def _discarded(root: Path, data: bytes, stamp: str) -> None:
    """A blob that a collection took long ago."""
    name = blake3.blake3(data).hexdigest()
    path = root / "objects" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    _to_trash(root, name, stamp)


def _to_trash(root: Path, name: str, stamp: str) -> None:
    place = root / "trash" / stamp / "objects"
    place.mkdir(parents=True)
    (root / "objects" / name[:2] / name[2:]).rename(place / f"{name[:2]}.{name[2:]}.01234567")


def age(paths: Iterable[Path], *, days: float = 30) -> None:
    """Let files be as old as if nobody had wanted them for so long; folders last, since what is in them is newer."""
    then = time.time() - days * DAY_SECONDS
    for path in sorted(paths, reverse=True):
        os.utime(path, (then, then))
