"""What is known of the file system of a folder: its kind, its room, its quota, and whether it clones files."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import fs
from .objects import copying

SMALL_BYTES: Final = 10 << 30
SMALL_SHARE: Final = 0.05
_MOUNTS: Final = "/proc/self/mountinfo"
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "9p", "lustre", "gpfs", "beegfs", "ceph", "afs")
_VOLATILE: Final = ("tmpfs", "ramfs")
# quotactl(2), and the one `struct dqblk` that all file systems of Linux fill in.
_GET_QUOTA: Final = 0x800007
_QUOTA: Final = struct.Struct("=8QI")
_KINDS_OF_QUOTA: Final = {"user": (0, os.getuid), "group": (1, os.getgid)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one may keep on a file system, and does; `whose` is `user` or `group`."""

    whose: str
    limit_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """Where a folder lies. `clones` is None where it could not be tried."""

    folder: Path
    kind: str
    mounted_at: str
    size_bytes: int
    free_bytes: int
    quotas: tuple[Quota, ...] = ()
    clones: bool | None = None

    @property
    def is_network(self) -> bool:
        return self.kind in _NETWORK

    @property
    def is_volatile(self) -> bool:
        return self.kind in _VOLATILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something a person should know of a place before much is kept there."""

    what: str
    do: str = ""


def look(folder: Path, *, probe: bool = False) -> FileSystem:
    """What is known of the place of a folder, or of the nearest one above it that is there.

    Args:
        probe: also try whether files can be cloned, by two small ones.

    Raises:
        OSError: it cannot be asked.
    """
    there = next(each for each in (folder.resolve(), *folder.resolve().parents) if each.is_dir())
    room = os.statvfs(there)
    device, mounted_at, kind = _mount(there)
    return FileSystem(
        folder=folder,
        kind=kind,
        mounted_at=mounted_at,
        size_bytes=room.f_blocks * room.f_frsize,
        free_bytes=room.f_bavail * room.f_frsize,
        quotas=tuple(_quotas(device)),
        clones=_clones(there) if probe else None,
    )


def remarks(found: FileSystem) -> list[Remark]:
    """What speaks against keeping much there."""
    return [*_of_room(found), *_of_quota(found), *_of_kind(found)]


def _of_room(found: FileSystem) -> Iterator[Remark]:
    little = found.free_bytes < SMALL_BYTES or found.free_bytes < SMALL_SHARE * found.size_bytes
    if little:
        yield Remark(
            what=f"{found.folder} has {_gib(found.free_bytes)} free of {_gib(found.size_bytes)}",
            do="`gitrepro init --store DIR` keeps data and checkpoints in another place",
        )


def _of_quota(found: FileSystem) -> Iterator[Remark]:
    for quota in found.quotas:
        left = max(0, quota.limit_bytes - quota.used_bytes)
        yield Remark(
            what=f"{found.mounted_at}: this {quota.whose} may keep {_gib(quota.limit_bytes)}; {_gib(left)} are left",
            do="`gitrepro init --store DIR` keeps data and checkpoints in a place without such a limit",
        )
    if found.is_network:
        yield Remark(what=f"whether a quota stands on {found.mounted_at} cannot be seen from here", do="`quota -s`")


def _of_kind(found: FileSystem) -> Iterator[Remark]:
    if found.is_volatile:
        yield Remark(
            what=f"{found.folder} lies in memory ({found.kind}): it is gone when the machine restarts",
            do="`gitrepro init --store DIR` keeps data and checkpoints on a disk",
        )
    elif found.kind == "overlay":
        yield Remark(
            what=f"{found.folder} lies in the upper layer of a container: it is gone with it",
            do="`gitrepro init --store DIR`, with a folder that is mounted into the container",
        )
    elif found.is_network:
        yield Remark(what=f"{found.folder} lies on {found.kind}: many small files are slow there, and none are cloned")
    elif found.kind.startswith("fuse"):
        yield Remark(
            what=f"{found.folder} lies on {found.kind}: whether it keeps what is synced is up to its program",
            do="`gitrepro init --store DIR` keeps data and checkpoints on a disk of this machine",
        )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"


# -- mounts


def _mount(folder: Path) -> tuple[str, str, str]:
    """The device, the mount point and the kind of the file system of an existing folder."""
    best = ("", "/", "unknown")
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                device, mounted_at, kind = _parsed(line)
                # Of two mounts at one place the later one lies on top.
                if _is_below(str(folder), mounted_at) and len(mounted_at) >= len(best[1]):
                    best = device, mounted_at, kind
    except (OSError, ValueError):
        pass
    return best


def _parsed(line: str) -> tuple[str, str, str]:
    before, _, after = line.rstrip("\n").partition(" - ")
    kind, device, *_ = after.split(" ")
    return _unescaped(device), _unescaped(before.split(" ")[4]), kind


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def _is_below(path: str, mounted_at: str) -> bool:
    return mounted_at == "/" or path == mounted_at or path.startswith(f"{mounted_at}/")


# -- quotas


def _quotas(device: str) -> Iterator[Quota]:
    """The quotas of who asks, where the kernel tells: those of local disks."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "quotactl", None)
    if call is None or not device.startswith("/"):
        return
    for whose, (kind, number) in _KINDS_OF_QUOTA.items():
        found = _asked(call, device, kind, number())
        if found is not None:
            yield Quota(whose=whose, limit_bytes=found[0], used_bytes=found[1])


def _asked(call: Any, device: str, kind: int, number: int) -> tuple[int, int] | None:
    answer = ctypes.create_string_buffer(_QUOTA.size + 4)
    command = ctypes.c_int(_GET_QUOTA << 8 | kind)
    if call(command, os.fsencode(device), ctypes.c_int(number), answer) != 0:
        return None
    hard_kib, soft_kib, used_bytes = _QUOTA.unpack_from(answer.raw)[:3]
    limit_kib = min((each for each in (hard_kib, soft_kib) if each), default=0)
    return (limit_kib << 10, used_bytes) if limit_kib else None


# -- cloning


def _clones(folder: Path) -> bool | None:
    """Whether two files can share their bytes here, tried with two of 4 KiB."""
    names = [fs.temporary_name(folder / "clone") for _ in range(2)]
    try:
        files = [os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600) for name in names]
        try:
            os.write(files[0], b"\0" * 4096)
            return copying.clone(*files)
        finally:
            for fd in files:
                os.close(fd)
    except OSError:
        return None
    finally:
        for name in names:
            fs.remove_quietly(name)
