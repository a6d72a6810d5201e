"""What belongs to the user: byte for byte as it was, whatever was recorded, killed and recovered."""

from __future__ import annotations

import os
import random
import signal
import time

from .. import oracle
from ..case import ENDLESS, Case, Trial, scene
from ..world import World

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("record", "--seed", "3", "--", "true"),
    ("recover",),
    ("ls", "--json"),
    ("label", "@last", "kept"),
    ("note", "@last", "a note"),
    ("show", "@last"),
    ("recover",),
)


def belongings(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    trial = Trial()
    with scene(world, "rich") as place:
        before = oracle.belongings(place.repo)
        pid = world.start(place, "life", str(place.acks), steps=ENDLESS, mutant=mutant)
        time.sleep(rng.uniform(0.05, 0.2))
        os.killpg(pid, signal.SIGKILL)
        world.nursery.wait(pid)
        for argv in COMMANDS:
            if (code := world.run(place, "command", *argv)) != 0:
                trial.problems.append(f"{argv} ended with {code}: {place.said[-300:]}")
            trial.facts["commands"] += 1
        trial.problems += oracle.differences(before, oracle.belongings(place.repo))
        trial.problems += oracle.broken(place.repo)
    return trial


def control_belongings(world: World, rng: random.Random) -> list[str]:
    # A kill may come before the planted fault does.
    for _ in range(8):
        problems = belongings(world, 0, rng, mutant="user index").problems
        if changed := [line for line in problems if "of the user changed" in line]:
            return changed
    return []


CASES = (
    Case(
        name="the user's repository, byte for byte",
        promise="HEAD, index, work tree, branches, stash, reflogs and config stay as they are",
        full=lambda _: 40,
        ci=2,
        trial=belongings,
        control=control_belongings,
    ),
)
