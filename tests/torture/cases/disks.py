"""Disks that are full, small, read-only or lie: real file systems where this may mount them, else harm in a program."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import oracle
from ..case import ENDLESS, Case, Trial, scene, settle
from ..world import Place, World, make_repository

STEPS = 3_000
SLOW = 0.0008


def harmed(kind: str, amounts: Callable[[random.Random], float]) -> Callable[..., Trial]:
    """One run whose program is harmed on its way. What returned must be readable, and the program must go well."""

    def trial(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
        with scene(world, "clean") as place:
            options: dict[str, Any] = {
                "steps": STEPS,
                "pace_seconds": SLOW,
                "warned": str(place.root / "warned"),
                "mutant": mutant,
            }
            code = world.run(place, "life", str(place.acks), harmed=[kind, amounts(rng)], **options)
            return _went_well(place, code, settle(world, place, sent=ENDLESS))

    return trial


# -- a disk of its own


def needs_mount(_world: World) -> str:
    if os.geteuid():
        return "only root may mount"
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    return "" if tried.returncode == 0 else "no file system may be mounted here"


@contextmanager
def small_disk(world: World, options: str) -> Iterator[Place]:
    """A place whose repository lies on a tmpfs of its own."""
    place = world.bare_place()
    disk = place.root / "disk"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)
    try:
        make_repository(disk / "repo")
        (place.root / "repo").symlink_to("disk/repo")
        yield place
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        world.drop(place)


def _mend(place: Place, options: str) -> None:
    for ballast in (place.root / "disk").glob("ballast*"):
        ballast.unlink()
    subprocess.run(["mount", "-o", f"remount,{options}", str(place.root / "disk")], check=True)


def full_at_the_end(world: World, _number: int, rng: random.Random) -> Trial:
    """The disk fills while the program logs, at a random place; later there is room again."""
    with small_disk(world, "size=64m,nr_inodes=4096") as place:
        free = rng.choice((0, 4096, 8192, rng.randrange(1 << 17)))
        return _through(
            world, place, lambda: _fill(place, free), "size=128m,nr_inodes=9999", in_time=rng.random() < 0.5
        )


def no_names_left(world: World, _number: int, rng: random.Random) -> Trial:
    """No file can be made any more."""
    leave, in_time = rng.randrange(12), rng.random() < 0.5
    with small_disk(world, "size=64m,nr_inodes=4096") as place:
        return _through(world, place, lambda: _use_up_names(place, leave), "size=128m,nr_inodes=9999", in_time=in_time)


def read_only(world: World, _number: int, rng: random.Random) -> Trial:
    """The program begins on a read-only disk: the run is kept elsewhere, and adopted later."""
    with small_disk(world, "size=64m") as place:
        disk = str(place.root / "disk")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        options: dict[str, Any] = {"steps": rng.randrange(1, 50), "warned": str(place.root / "warned")}
        code = world.run(place, "life", str(place.acks), **options)
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        trial = settle(world, place, sent=ENDLESS)
        return _went_well(place, code, trial)


def _through(world: World, place: Place, harm: Callable[[], None], mended: str, *, in_time: bool) -> Trial:
    """A program logs; the disk is harmed, and mended before the program ends or after; one recovery makes all whole."""
    options: dict[str, Any] = {"steps": 250, "pace_seconds": 0.004, "warned": str(place.root / "warned")}
    pid = world.start(place, "life", str(place.acks), **options)
    _until_step(place, pid, 40)
    harm()
    if in_time:
        _until_step(place, pid, 120)
        _mend(place, mended)
    code = world.nursery.wait(pid)
    _mend(place, mended)
    trial = _went_well(place, code, settle(world, place, sent=ENDLESS))
    if in_time and "is not on disk" in place.warned:
        trial.problems.append("there was room again, and the end is not on disk")
    return trial


def _until_step(place: Place, pid: int, step: int) -> None:
    while Path(f"/proc/{pid}").exists():
        if step in next(iter(oracle.acknowledged(place.acks).steps.values()), []):
            return
        time.sleep(0.002)


def _went_well(place: Place, code: int | None, trial: Trial) -> Trial:
    if code != 0 or "Traceback" in place.said:
        trial.problems.append(f"the program ended with {code}: {place.said[-400:]}")
    return trial


def _fill(place: Place, leave_bytes: int) -> None:
    disk = place.root / "disk"
    room = os.statvfs(disk)
    with (disk / "ballast").open("wb") as ballast:
        try:
            os.posix_fallocate(ballast.fileno(), 0, max(1, room.f_bavail * room.f_bsize - leave_bytes))
        except OSError:
            pass


def _use_up_names(place: Place, leave: int) -> None:
    disk = place.root / "disk"
    for number in range(max(0, os.statvfs(disk).f_ffree - leave)):
        try:
            (disk / f"ballast-{number}").touch()
        except OSError:
            return


def control_short(world: World, rng: random.Random) -> list[str]:
    return harmed("short writes", lambda _: 1.0)(world, 0, rng, mutant="short writes ignored").problems


def control_sync(world: World, rng: random.Random) -> list[str]:
    return harmed("a sync loses", lambda _: 1.0)(world, 0, rng, mutant="same file after a failed sync").problems


def control_strict_limit(world: World, rng: random.Random) -> list[str]:
    return harmed("file limit", lambda _: 20_000.0)(world, 0, rng, mutant="strict journal").problems


RETURNED = "every log() that returned is readable; the training goes well"

CASES = (
    Case(
        name="one write in twenty cut short",
        promise=RETURNED,
        full=lambda _: 200,
        ci=2,
        trial=harmed("short writes", lambda rng: rng.random()),
        control=control_short,
    ),
    Case(
        name="a sync that fails once and loses what it was to keep",
        promise=RETURNED,
        full=lambda _: 100,
        ci=2,
        trial=harmed("a sync loses", lambda rng: rng.randrange(1, 4)),
        control=control_sync,
    ),
    Case(
        name="no file may grow beyond a limit",
        promise="the training is never failed by tracking",
        full=lambda _: 100,
        ci=2,
        trial=harmed("file limit", lambda rng: rng.randrange(2_000, 120_000)),
        control=control_strict_limit,
    ),
    Case(
        name="the disk fills up under a run, and there is room later",
        promise=RETURNED,
        full=lambda _: 100,
        ci=3,
        trial=full_at_the_end,
        control=control_strict_limit,
        needs=needs_mount,
    ),
    Case(
        name="the disk has no room for names, and has it later",
        promise=RETURNED,
        full=lambda _: 50,
        ci=2,
        trial=no_names_left,
        control=control_strict_limit,
        needs=needs_mount,
    ),
    Case(
        name="a read-only disk that is writable later",
        promise=RETURNED,
        full=lambda _: 50,
        ci=2,
        trial=read_only,
        control=control_strict_limit,
        needs=needs_mount,
    ),
)
