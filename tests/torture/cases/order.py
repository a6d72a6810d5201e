"""The order of system calls: nothing is acknowledged whose bytes and names are not on their way to the disk.

A file is synced before it gets its name, and the folder of a name is synced before the program says that it is done.
On a file system that keeps its own journal a missing sync of a folder may never show in a power cut; on others it does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..case import Case, Trial, needs_strace, scene
from ..faults import strike
from ..world import ADD, DIRTY, LIFE, SCENARIOS, World

BLOBS = 5
RECORDS = 2
"""So many names of each kind a data set has at least: a pack, files, a recipe; the queue, the ref."""

_RENAME = re.compile(r'rename(?:at2?)?\((?:[^"]*)"([^"]+)",(?:[^"]*)"([^"]+)".*\) = 0')
_LINK = re.compile(r'link(?:at)?\((?:[^"]*)"([^"]+)",(?:[^"]*)"([^"]+)".*\) = 0')
_FOLDER = re.compile(r'mkdir(?:at)?\((?:[^"]*)"([^"]+)".*\) = 0')
_SYNC = re.compile(r"(?:fsync|fdatasync)\(\d+<([^>]+)>\) += 0")
_SYNC_ALL = re.compile(r"syncfs\(\d+<[^>]+>\) += 0")
_MADE = re.compile(r'openat\([^"]*"([^"]+)", [^)]*O_CREAT[^)]*\) = \d+')
_OURS = re.compile(r"/\.git/(?:gitrepro/(?!index|store/(?:incoming|index))|objects/|refs/gitrepro/)")
_STORE = re.compile(r"/\.git/gitrepro/store/")
_BLOB = re.compile(r"/\.git/gitrepro/store/(?:objects|packs|recipes)/")
# What names blobs: no such name may reach the disk before they do.
_RECORD = re.compile(r"/\.git/(?:gitrepro/queue/(?!\.)|refs/gitrepro/(?!.*\.lock))")
_CUT = re.compile(r"^(\d+) (.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) <\.\.\. \w+ resumed>(.*)$")


@dataclass(slots=True)
class Order:
    """What is promised to the disk so far, call by call."""

    acks: str
    unsynced: set[str] = field(default_factory=set)
    unnamed: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    names: int = 0
    blobs: int = 0
    records: int = 0

    def take(self, line: str) -> None:
        if made := _MADE.search(line):
            self.unsynced.add(made[1])
        elif synced := _SYNC.search(line):
            self.unsynced.discard(synced[1])
            self.unnamed.pop(synced[1], None)
        elif _SYNC_ALL.search(line):
            self.unsynced.clear()
            self.unnamed.clear()
        elif (named := _RENAME.search(line) or _LINK.search(line)) and _OURS.search(named[2]):
            self._named(named[1], named[2])
        elif (folder := _FOLDER.search(line)) and _BLOB.search(f"{folder[1]}/"):
            self.unnamed[str(Path(folder[1]).parent)] = folder[1]
        elif ("writev(" in line or " write(" in line) and f"<{self.acks}>" in line:
            self.problems += [f"acknowledged before {folder} was synced, for {name}" for folder, name in self._due()]
            self.unnamed.clear()

    def _named(self, old: str, new: str) -> None:
        self.names += 1
        if _BLOB.search(new):
            self.blobs += 1
            self.problems += [f"{new} got its name after the record"] * (self.records > 0)
        if old in self.unsynced:
            self.problems.append(f"{new} got its name before its bytes were synced")
        if _RECORD.search(new):
            self.records += 1
            early = [folder for folder, _ in self._due() if _STORE.search(f"{folder}/")]
            self.problems += [f"{new} got its name before {folder} was synced" for folder in early]
        self.unnamed[str(Path(new).parent)] = new

    def _due(self) -> Iterable[tuple[str, str]]:
        return self.unnamed.items()


def whole(trace: str) -> Iterator[str]:
    """The calls of a trace, each on one line, where it returned: another thread may have spoken in between."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if cut := _CUT.match(line):
            begun[cut[1]] = cut[2]
        elif resumed := _RESUMED.match(line):
            yield f"{resumed[1]} {begun.pop(resumed[1], '')}{resumed[2]}"
        else:
            yield line


def ordered(world: World, number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    assert world.strace
    scenario = (LIFE, DIRTY)[number % 2]
    with scene(world, SCENARIOS[scenario].template) as place:
        pid = world.begin(place, scenario, mutant=mutant)
        log = place.root / "trace"
        struck = strike(world.nursery, pid, strace=world.strace, log=log, paths=True, more=",writev")
        order = Order(str(place.acks))
        for line in whole(struck.trace):
            order.take(line)
        trial = Trial(problems=order.problems)
        trial.facts["names checked"] = order.names
        if not order.names or "writev(" not in struck.trace:
            trial.problems.append("nothing was seen")
        return trial


def added(world: World, _number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    """A data set: blobs before their names, their names before the record, and that before it is said."""
    assert world.strace
    with scene(world, SCENARIOS[ADD].template) as place:
        pid = world.begin(place, ADD, mutant=mutant)
        struck = strike(world.nursery, pid, strace=world.strace, log=place.root / "trace", paths=True)
        order = Order(str(place.errors))
        for line in whole(struck.trace):
            order.take(line)
        trial = Trial(problems=order.problems)
        trial.facts["names of blobs checked"] = order.blobs
        if order.blobs < BLOBS or order.records < RECORDS or struck.code != 0:
            trial.problems.append(
                f"it ended with {struck.code}, {order.blobs} blobs, {order.records} records were seen"
            )
        return trial


def control_order(world: World, rng: random.Random) -> list[str]:
    found = [ordered(world, 0, rng, mutant=mutant).problems for mutant in ("no folder sync", "sync after rename")]
    return [problem for problems in found for problem in problems] if all(found) else []


def control_added(world: World, rng: random.Random) -> list[str]:
    mutants = ("blobs not synced", "blobs synced late", "names not synced", "record before blobs")
    found = [added(world, 0, rng, mutant=mutant).problems for mutant in mutants]
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
    Case(
        name="the order of syncs, names and records of a data set",
        promise="bytes before names, folders of names before the record that needs them",
        full=lambda _: 10,
        ci=1,
        trial=added,
        control=control_added,
        needs=needs_strace,
    ),
)
