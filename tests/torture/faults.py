"""Faults at one system call: where a program touches our files, and a kill or an error at exactly that call."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .nursery import Nursery

MUTATING = (
    "openat,write,pwrite64,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "fsync,fdatasync,syncfs,ftruncate,chmod,fchmod,fchmodat,utimensat"
)
_CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)")
_CREATES = re.compile(r"O_CREAT|O_WRONLY|O_RDWR")


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """The `number`-th call of `call` by one thread of the program; `place` says what it touched."""

    call: str
    number: int
    place: str


def points(trace: str, *, within: Path) -> list[Point]:
    """The mutating calls on our own files in a trace, by the count that strace's injection uses: per thread."""
    counts: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, int], Point] = {}
    for line in trace.splitlines():
        if not (match := _CALL.match(line)):
            continue
        thread, call, rest = match.groups()
        counts[thread, call] = number = counts.get((thread, call), 0) + 1
        place = _place(rest, within)
        if place and not (call == "openat" and not _CREATES.search(rest)):
            found.setdefault((call, number), Point(call, number, place))
    return sorted(found.values())


def _place(rest: str, within: Path) -> str:
    match = re.search(rf"{re.escape(str(within))}/((?:\.git/(?:gitrepro|objects|refs/gitrepro)|state)[^\">]*)", rest)
    return (
        re.sub(r"[0-9a-f]{38}|[0-9a-z]{26}|(?<=objects/)[0-9a-f]{2}|\d{2,}|-[0-9a-f]{12}", "*", match[1])
        if match
        else ""
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """How the program ended, and whether the fault came to pass."""

    code: int | None
    trace: str
    hit: bool


def strike(
    nursery: Nursery,
    pid: int,
    *,
    strace: str,
    log: Path,
    inject: str = "",
    seconds: float = 60,
    paths: bool = False,
    more: str = "",
) -> Struck:
    """Let the held child `pid` run under strace, with the fault `inject`, until it ends."""
    _until(lambda: _state(pid) in "Tt")
    argv = [strace, "-f", "-qq", "-o", str(log), "-e", f"trace={MUTATING}{more}", *(["-y"] if paths else ["-s0"])]
    argv += ["-e", f"inject={inject}"] if inject else []
    tracer = subprocess.Popen([*argv, "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(lambda: tracer.poll() is not None or _tracer(pid) != "0")
    os.kill(pid, signal.SIGCONT)
    code = nursery.wait(pid, seconds=seconds)
    tracer.wait(timeout=20)
    trace = log.read_text(errors="replace")
    return Struck(code=code, trace=trace, hit="INJECTED" in trace or "killed by SIGKILL" in trace)


def _until(happened: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise RuntimeError("strace did not take hold of the program")
        time.sleep(0.001)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _tracer(pid: int) -> str:
    try:
        match = re.search(r"TracerPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except FileNotFoundError:
        return "gone"
    return match[1] if match else "0"
