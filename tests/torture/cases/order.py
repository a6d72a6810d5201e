"""The order of system calls: nothing is acknowledged whose bytes and names are not on their way to the disk.

A file is synced before it gets its name, and the folder of a name is synced before the program says that it is done.
On a file system that keeps its own journal a missing sync of a folder may never show in a power cut; on others it does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..case import Case, Trial, needs_strace, scene
from ..faults import strike
from ..world import DIRTY, LIFE, SCENARIOS, World

_RENAME = re.compile(r'rename(?:at2?)?\((?:[^"]*)"([^"]+)",(?:[^"]*)"([^"]+)".*\) = 0')
_SYNC = re.compile(r"(?:fsync|fdatasync)\(\d+<([^>]+)>\) += 0")
_MADE = re.compile(r'openat\([^"]*"([^"]+)", [^)]*O_CREAT[^)]*\) = \d+')
_OURS = re.compile(r"/\.git/(?:gitrepro/(?!index)|objects/|refs/gitrepro/)")


@dataclass(slots=True)
class Order:
    """What is promised to the disk so far, call by call."""

    acks: str
    unsynced: set[str] = field(default_factory=set)
    unnamed: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    names: int = 0

    def take(self, line: str) -> None:
        if made := _MADE.search(line):
            self.unsynced.add(made[1])
        elif synced := _SYNC.search(line):
            self.unsynced.discard(synced[1])
            self.unnamed.pop(synced[1], None)
        elif (named := _RENAME.search(line)) and _OURS.search(named[2]):
            self._named(named[1], named[2])
        elif "writev(" in line and f"<{self.acks}>" in line:
            self.problems += [f"acknowledged before {folder} was synced, for {name}" for folder, name in self._due()]
            self.unnamed.clear()

    def _named(self, old: str, new: str) -> None:
        self.names += 1
        if old in self.unsynced:
            self.problems.append(f"{new} got its name before its bytes were synced")
        self.unnamed[str(Path(new).parent)] = new

    def _due(self) -> Iterable[tuple[str, str]]:
        return self.unnamed.items()


def ordered(world: World, number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    assert world.strace
    scenario = (LIFE, DIRTY)[number % 2]
    with scene(world, SCENARIOS[scenario].template) as place:
        pid = world.begin(place, scenario, mutant=mutant)
        log = place.root / "trace"
        struck = strike(world.nursery, pid, strace=world.strace, log=log, paths=True, more=",writev")
        order = Order(str(place.acks))
        for line in struck.trace.splitlines():
            order.take(line)
        trial = Trial(problems=order.problems)
        trial.facts["names checked"] = order.names
        if not order.names or "writev(" not in struck.trace:
            trial.problems.append("nothing was seen")
        return trial


def control_order(world: World, rng: random.Random) -> list[str]:
    found = [ordered(world, 0, rng, mutant=mutant).problems for mutant in ("no folder sync", "sync after rename")]
    return [problem for problems in found for problem in problems] if all(found) else []


CASES = (
    Case(
        name="the order of syncs, names and acknowledgements",
        promise="what is acknowledged is on its way to the disk: bytes before names, names before words",
        full=lambda _: 10,
        ci=2,
        trial=ordered,
        control=control_order,
        needs=needs_strace,
    ),
)
