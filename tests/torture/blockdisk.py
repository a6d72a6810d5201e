"""A disk that remembers every write and flush: one file in a FUSE mount, for a loop device to lie on.

    python -m tests.torture.blockdisk MOUNTPOINT IMAGE LOG

The log is a row of entries: kind (`W` write, `F` flush), offset, length, time on the monotonic clock, then the bytes.
What a power cut leaves is the image, the writes before the last flush, and any of those after it.
"""

from __future__ import annotations

import errno
import os
import random
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .nursery import ROOT

_ENTRY = struct.Struct("<cQId")
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Write:
    offset: int
    data: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Flush:
    at: float


def entries(log: Path) -> list[Write | Flush]:
    found: list[Write | Flush] = []
    with log.open("rb") as file:
        while len(head := file.read(_ENTRY.size)) == _ENTRY.size:
            kind, offset, length, at = _ENTRY.unpack(head)
            data = file.read(length)
            if len(data) == length:
                found.append(Write(offset, data, at) if kind == b"W" else Flush(at))
    return found


def cut(image: bytes, log: list[Write | Flush], at: int, *, keep: random.Random | None = None) -> bytearray:
    """The disk after a power cut before entry `at`.

    Args:
        keep: without it the writes reach the disk in their order; with it those after the last flush are kept or not
            as it draws, and some of them only by their first sectors.
    """
    disk = bytearray(image)
    last = max((place for place in range(at) if isinstance(log[place], Flush)), default=0)
    for place, entry in enumerate(log[:at]):
        if isinstance(entry, Write):
            data = entry.data if keep is None or place < last else _kept(entry.data, keep)
            disk[entry.offset : entry.offset + len(data)] = data
    return disk


def _kept(data: bytes, rng: random.Random) -> bytes:
    draw = rng.random()
    if draw < 0.45:
        return data
    return data[: SECTOR * rng.randrange(len(data) // SECTOR + 1)] if draw < 0.6 else b""


# -- mounting, as root


@contextmanager
def recording(image: Path, log: Path, scratch: Path) -> Iterator[Path]:
    """The file system in `image`, mounted; whatever reaches the disk is in `log`. The value is the mount point."""
    fuse, inner = scratch / "fuse", scratch / "mounted"
    fuse.mkdir(parents=True)
    argv = [sys.executable, "-m", "tests.torture.blockdisk", str(fuse), str(image), str(log)]
    serving = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        _until(lambda: (fuse / "disk").exists())
        with mounted(fuse / "disk", inner, direct=True):
            yield inner
    finally:
        subprocess.run(["umount", "-l", str(fuse)], capture_output=True)
        serving.wait(timeout=20)


@contextmanager
def mounted(image: Path, at: Path, *, direct: bool = False) -> Iterator[Path]:
    at.mkdir(parents=True, exist_ok=True)
    argv = ["losetup", "--find", "--show", *(["--direct-io=on"] if direct else []), str(image)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        # A copy of an XFS has the same identity as the one before; the option is XFS's alone.
        kind = subprocess.run(["blkid", "-o", "value", "-s", "TYPE", device], capture_output=True, text=True).stdout
        options = ["-o", "nouuid"] if kind.strip() == "xfs" else []
        subprocess.run(["mount", *options, device, str(at)], check=True, capture_output=True)
        try:
            yield at
        finally:
            subprocess.run(["umount", str(at)], check=False)
    finally:
        subprocess.run(["losetup", "--detach", device], check=False)


def _until(happened: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise RuntimeError("the recording disk did not come up")
        time.sleep(0.01)


# -- the process that serves the file


def _serve(mountpoint: str, image: str, log: str) -> None:
    import mfusepy  # type: ignore[import-untyped]

    class Disk(mfusepy.Operations):  # type: ignore[misc]
        """`/disk`: reads from memory, writes to memory and to the log."""

        use_ns = True

        def __init__(self) -> None:
            self._bytes = bytearray(Path(image).read_bytes())
            self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def getattr(self, path: str, fh: Any = None) -> dict[str, int]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path == "/disk":
                return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self._bytes)}
            raise mfusepy.FuseOSError(errno.ENOENT)

        def readdir(self, path: str, fh: Any) -> list[str]:
            return [".", "..", "disk"]

        def open(self, path: str, flags: int) -> int:
            return 1

        def read(self, path: str, size: int, offset: int, fh: Any) -> bytes:
            return bytes(self._bytes[offset : offset + size])

        def write(self, path: str, data: bytes, offset: int, fh: Any) -> int:
            self._bytes[offset : offset + len(data)] = data
            os.write(self._log, _ENTRY.pack(b"W", offset, len(data), time.monotonic()) + data)
            return len(data)

        def fsync(self, path: str, datasync: int, fh: Any) -> int:
            os.write(self._log, _ENTRY.pack(b"F", 0, 0, time.monotonic()))
            return 0

        def truncate(self, path: str, length: int, fh: Any = None) -> int:
            return 0

    mfusepy.FUSE(Disk(), mountpoint, foreground=True, nothreads=True, direct_io=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
