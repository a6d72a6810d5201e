"""The content store under fault: blobs on their way in, files of the user taken, a collection that deletes."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import oracle, stores
from ..case import RETRY_SECONDS, Case, Trial, needs_strace, scene
from ..faults import Point, Struck, strike
from ..world import SCENARIOS, STOCK, Place, World, make_repository
from .disks import needs_mount

KILLS = 200
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS")
WRITERS = 8
BATCHES = 2
"""A disk that refuses from then on lets each batch leave its folder behind."""


def home(place: Place) -> Path:
    return place.repo / ".git" / "gitrepro" / "store"


def promised(place: Place) -> list[str]:
    """The blobs that a program said it had put."""
    text = place.acks.read_text() if place.acks.exists() else ""
    return [word for line in text[: text.rfind("\n") + 1].splitlines() for word in line.split()[1:]]


Settle = Callable[[World, Place], list[str]]
"""Judges a place after a fault, does there the same again without one, and judges again."""
Sort = Callable[[World, int, random.Random], Trial]


def kill(scenario: str, settle: Settle, *, within_seconds: float = 0.12) -> Sort:
    """kill -9 at each call, and when those are through, at moments."""

    def trial(world: World, number: int, rng: random.Random) -> Trial:
        found = world.points(scenario)
        if number < len(found):
            return struck(world, scenario, found[number], "signal=SIGKILL", settle)
        return at_random(world, scenario, rng, settle, within_seconds=within_seconds)

    return trial


def struck(
    world: World, scenario: str, point: Point, fault: str, settle: Settle, *, mutant: str = "", once: bool = True
) -> Trial:
    """Strike at one call, judge, do the same again without a fault, judge again."""
    assert world.strace
    with scene(world, SCENARIOS[scenario].template) as place:
        before = oracle.belongings(place.repo)
        pid = world.begin(place, scenario, mutant=mutant)
        inject = f"{point.call}:{fault}:when={point.number}{'' if once else '+'}"
        hit = strike(world.nursery, pid, strace=world.strace, log=place.root / "trace", inject=inject)
        trial = Trial(problems=_ended(hit, place, streams_refuse=point.call == "write" and not once))
        trial.problems += settle(world, place)
        if "Traceback" in place.said:
            trial.problems.append(f"a traceback: {place.said[-400:]}")
        trial.problems += oracle.differences(before, oracle.belongings(place.repo))
        trial.problems = [f"{point.call} {point.number} ({point.place}): {problem}" for problem in trial.problems]
        trial.facts["faults that came to pass"] = int(hit.hit)
        trial.facts["blobs promised"] = len(promised(place))
        return trial


def _ended(hit: Struck, place: Place, *, streams_refuse: bool) -> list[str]:
    """It was killed, or did what it had to, or said that the disk refuses."""
    # Where every write is refused, those to the standard streams are too, and Python itself says 120.
    allowed = (0, 4, -signal.SIGKILL, *([120] if streams_refuse else []))
    return [] if hit.code in allowed else [f"it ended with {hit.code}: {place.said[-300:]}"]


def at_random(
    world: World,
    scenario: str,
    rng: random.Random,
    settle: Settle,
    *,
    mutant: str = "",
    within_seconds: float = 0.12,
) -> Trial:
    """Kill at a moment, not at a call: within writes too."""
    with scene(world, SCENARIOS[scenario].template) as place:
        before = oracle.belongings(place.repo)
        pid = world.begin(place, scenario, mutant=mutant)
        while _state(pid) not in "Tt":
            time.sleep(0.001)
        os.kill(pid, signal.SIGCONT)
        time.sleep(rng.uniform(0.0, within_seconds))
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        code = world.nursery.wait(pid)
        trial = Trial(problems=settle(world, place))
        trial.problems += oracle.differences(before, oracle.belongings(place.repo))
        trial.facts["kills at a moment"] = int(code == -signal.SIGKILL)
        return trial


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def settled(world: World, place: Place) -> list[str]:
    """The blobs that were promised are here, then and at last."""
    problems = stores.judge(home(place), promised(place), strays=BATCHES)
    if said := again(world, STOCK, place):
        return [*problems, *said]
    last = stores.judge(home(place), promised(place), strays=BATCHES)
    return problems + [f"given again: {problem}" for problem in last]


def again(world: World, scenario: str, place: Place) -> list[str]:
    """Do the same without a fault."""
    program = SCENARIOS[scenario]
    args = [arg.format(acks=place.acks) for arg in program.args]
    if world.run(place, program.job, *args, seconds=RETRY_SECONDS, **program.options) == 0:
        return []
    return [f"given again it fails: {place.said[-400:]}"]


def error(scenario: str, settle: Settle) -> Sort:
    """Each error at each call, once and from then on."""

    def trial(world: World, number: int, _rng: random.Random) -> Trial:
        variant, at = divmod(number, len(world.points(scenario)))
        name, once = ERRORS[variant // 2], variant % 2 == 0
        return struck(world, scenario, world.points(scenario)[at], f"error={name}", settle, once=once)

    return trial


def crowd(world: World, _number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    """Many writers of the same blobs at once."""
    with scene(world, "clean") as place:
        pids = [world.start(place, "stock", str(place.root / f"acks-{n}"), mutant=mutant) for n in range(WRITERS)]
        codes = [world.nursery.wait(pid) for pid in pids]
        acks = [path.read_text() for path in place.root.glob("acks-*")]
        said = [word for text in acks for word in text.split() if word.startswith("b3:")]
        trial = Trial(problems=stores.judge(home(place), said, strays=0))
        if codes != [0] * WRITERS:
            trial.problems.append(f"writers ended with {codes}: {place.said[-300:]}")
        trial.facts["writers"] = WRITERS
        return trial


def full(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    """Blobs are put on an ext4 of 40 MiB that has less room than they need; later there is room."""
    with small_ext4(world) as place:
        ballast = place.root / "disk" / "ballast"
        free_bytes = rng.randrange(1 << 12, 3 << 20)
        room = os.statvfs(place.root / "disk")
        fill = max(0, room.f_bavail * room.f_frsize - free_bytes)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, fill)
        code = world.run(place, "stock", str(place.acks), mutant=mutant)
        trial = Trial(problems=stores.judge(home(place), promised(place), strays=0))
        if code not in (0, 4) or "Traceback" in place.said:
            trial.problems.append(f"it ended with {code}: {place.said[-300:]}")
        ballast.unlink()
        trial.problems += settled(world, place)
        trial.facts["puts that found no room"] = int(code == 4)
        return trial


@contextmanager
def small_ext4(world: World) -> Iterator[Place]:
    place = world.bare_place()
    disk, image = place.root / "disk", place.root / "image"
    disk.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(40 << 20)
    for argv in (["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop", str(image), str(disk)]):
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    try:
        make_repository(disk / "repo")
        (place.root / "repo").symlink_to("disk/repo")
        yield place
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        world.drop(place)


def needs_ext4(world: World) -> str:
    if missing := needs_mount(world):
        return missing
    loop = subprocess.run(["losetup", "--find"], capture_output=True).returncode
    return "" if shutil.which("mkfs.ext4") and loop == 0 else "no loop device, or no mkfs.ext4"


# -- controls


def control(scenario: str, settle: Settle, mutant: str, where: str) -> Callable[[World, random.Random], list[str]]:
    """Kill a program with a planted fault at each point where it touches `where`, until the judge speaks."""

    def found(world: World, rng: random.Random) -> list[str]:
        chosen = [point for point in world.points(scenario) if re.search(where, f"{point.call} {point.place}")]
        rng.shuffle(chosen)
        for point in chosen:
            if problems := struck(world, scenario, point, "signal=SIGKILL", settle, mutant=mutant).problems:
                return problems
        return []

    return found


in_place = control(STOCK, settled, "written in place", "^write .*store")


def control_full(world: World, rng: random.Random) -> list[str]:
    for number in range(10):
        if problems := full(world, number, rng, mutant="written in place").problems:
            return problems
    return []


def control_crowd(world: World, rng: random.Random) -> list[str]:
    for number in range(5):
        if problems := crowd(world, number, rng, mutant="one temporary name").problems:
            return problems
    return []


CASES = (
    Case(
        name=f"kill -9 at every call, and at random, of: {STOCK}",
        promise="a name has its whole bytes or is not there; given again, all is there",
        full=lambda world: max(KILLS, len(world.points(STOCK))),
        ci=10,
        trial=kill(STOCK, settled),
        control=in_place,
        needs=needs_strace,
    ),
    Case(
        name=f"{', '.join(ERRORS)}, once and from then on, at every call of: {STOCK}",
        promise="a refusal is said, leaves no wrong name, and a later retry succeeds",
        full=lambda world: len(world.points(STOCK)) * len(ERRORS) * 2,
        ci=10,
        trial=error(STOCK, settled),
        control=in_place,
        needs=needs_strace,
    ),
    Case(
        name=f"{WRITERS} writers of the same blobs at once",
        promise="any number of writers; each blob once, and right",
        full=lambda _: 40,
        ci=2,
        trial=crowd,
        control=control_crowd,
    ),
    Case(
        name="blobs put on an ext4 of 40 MiB that fills up",
        promise="a refusal is said, leaves no wrong name, and a later retry succeeds",
        full=lambda _: 40,
        ci=2,
        trial=full,
        control=control_full,
        needs=needs_ext4,
    ),
)
