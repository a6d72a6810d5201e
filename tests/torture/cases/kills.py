"""kill -9 at random: of programs that log, and of `gitrepro record` and the program under it."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from .. import oracle
from ..case import ENDLESS, Case, Trial, scene, settle, take
from ..world import Place, World

IN_PLACE = 8
"""Programs killed in one repository before it is judged."""


def kill_api(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    with scene(world, "clean") as place:
        said = [place.root / f"acks-{victim}" for victim in range(IN_PLACE)]
        for acks in said:
            # Some end by themselves, so that kills also meet the end and the commit.
            steps = ENDLESS if rng.random() < 0.6 else rng.randrange(1, 50)
            pid = world.start(place, "life", str(acks), steps=steps, mutant=mutant)
            if rng.random() < 0.8:
                until_logging(acks, pid)
            time.sleep(rng.uniform(0.0, 0.004 if steps == ENDLESS else 0.04))
            os.killpg(pid, signal.SIGKILL)
            world.nursery.wait(pid)
        take(said, place.acks)
        trial = settle(world, place, sent=ENDLESS, strays=IN_PLACE)
        trial.facts["kills"] = IN_PLACE
        return trial


def kill_cli(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    with scene(world, "clean") as place:
        pid = world.start(place, "command", "record", "--seed", "1", "--", "python", "train.py", mutant=mutant)
        if rng.random() < 0.9:
            until_logging(place.acks, pid)
        time.sleep(rng.uniform(0.0, 0.03))
        whom = rng.choice(("both", "recorder first", "program first"))
        _kill(pid, whom, rng)
        world.nursery.wait(pid)
        trial = settle(world, place, sent=ENDLESS)
        trial.facts[f"killed {whom}"] = 1
        return trial


def stale(world: World, _number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    """A run that was recovered is in the next `ls`."""
    with scene(world, "killed") as place:
        return settle(world, place, sent=ENDLESS, mutant=mutant)


def until_logging(acks: Path, pid: int) -> None:
    """Wait until the program acknowledged its start, or is gone."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not _started(acks) and Path(f"/proc/{pid}").exists():
        time.sleep(0.001)


def _started(acks: Path) -> bool:
    return acks.exists() and b"\n" in acks.read_bytes()[:100]


def _kill(pid: int, whom: str, rng: random.Random) -> None:
    order = {"both": [], "recorder first": [pid], "program first": _children(pid)}[whom]
    for process in order:
        _kill_one(process)
    if order:
        time.sleep(rng.uniform(0.0, 0.1))
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _kill_one(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def control_buffered(world: World, rng: random.Random) -> list[str]:
    for _ in range(3):
        if problems := kill_api(world, 0, rng, mutant="buffered").problems:
            return problems
    return []


def unrecovered(world: World, _rng: random.Random) -> list[str]:
    """A run that was killed and not recovered is not in the ref: the oracle must miss it."""
    place: Place = world.place("killed")
    found = oracle.judge(place.repo, oracle.acknowledged(place.acks), sent=ENDLESS)
    world.drop(place)
    return found


CASES = (
    Case(
        name="kill -9 at random, Python API",
        promise="every log() that returned is readable",
        full=lambda _: 10_000 // IN_PLACE,
        ci=12,
        each=IN_PLACE,
        trial=kill_api,
        control=control_buffered,
    ),
    Case(
        name="kill -9 at random, gitrepro record",
        promise="every log() that returned is readable",
        full=lambda _: 1_000,
        ci=6,
        trial=kill_cli,
        control=unrecovered,
    ),
)
