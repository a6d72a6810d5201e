"""Many writers at once: alone, beside Git's own housekeeping, beside a recovery; many threads, many names."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import oracle
from ..case import ENDLESS, Case, Trial, recover, scene, settle, take
from ..world import Place, World

RUNS_EACH = 5
Beside = tuple[tuple[str, ...], ...]
PRUNING = "git repack -ad and git prune"
HOUSEKEEPING: dict[str, Beside] = {
    "git gc --prune=now and git pack-refs --all": (("gc", "--prune=now", "--quiet"), ("pack-refs", "--all")),
    PRUNING: (("repack", "-a", "-d", "-q"), ("prune", "--expire=now")),
    "git maintenance": (("maintenance", "run", "--task=gc"), ("maintenance", "run", "--task=loose-objects")),
}


def crowd(writers: int, *, beside: Beside = (), recovering: bool = False) -> Callable[..., Trial]:
    def trial(world: World, _number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
        with scene(world, "clean") as place, _loops(place.repo, beside):
            second = world.start(place, "recover for ever", str(_stop(place)), mutant=mutant) if recovering else 0
            acks = [place.root / f"acks-{writer}" for writer in range(writers)]
            pace = 0.01 if recovering else 0.0
            pids = [
                world.start(place, "lives", str(path), runs=RUNS_EACH, mutant=mutant, pace_seconds=pace)
                for path in acks
            ]
            codes = [world.nursery.wait(pid, seconds=240) for pid in pids]
            if recovering:
                _stop(place).touch()
                codes.append(world.nursery.wait(second, seconds=60))
            take(acks, place.acks)
            judged = _settle_beside(world, place) if beside else settle(world, place, sent=ENDLESS)
            judged.problems += [f"a process ended with {code}: {place.said[-300:]}" for code in codes if code != 0]
            if judged.facts["runs"] != writers * RUNS_EACH:
                judged.problems.append(f"{judged.facts['runs']} of {writers * RUNS_EACH} runs were acknowledged")
            return judged

    return trial


def _stop(place: Place) -> Path:
    return place.root / "stop"


def _settle_beside(world: World, place: Place) -> Trial:
    """While Git still prunes, one recovery may find its work pruned again; once it is over, one is enough."""
    world.run(place, "recover", str(place.root / "early"), seconds=60)
    _stop(place).touch()
    time.sleep(0.3)
    return settle(world, place, sent=ENDLESS)


@contextmanager
def _loops(repo: Path, commands: Beside) -> Iterator[None]:
    stop = repo.parent / "stop"

    def loop(argv: tuple[str, ...]) -> None:
        while not stop.exists():
            subprocess.run(["git", *argv], cwd=repo, capture_output=True)

    threads = [threading.Thread(target=loop, args=(argv,)) for argv in commands]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.touch()
        for thread in threads:
            thread.join()


# -- much at once in one run


def many(threads: int, calls: int, keys: int) -> Callable[..., Trial]:
    """Every call of every thread must be in the record once, and each thread's in its order."""

    def trial(world: World, _number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
        with scene(world, "clean") as place:
            options: dict[str, Any] = {"threads": threads, "calls": calls, "keys": keys, "mutant": mutant}
            code = world.run(place, "many", str(place.acks), seconds=900, **options)
            judged = Trial()
            if code != 0:
                judged.problems.append(f"the program ended with {code}: {place.said[-400:]}")
            recover(world, place, judged)
            judged.problems += oracle.broken(place.repo)
            [run] = oracle.acknowledged(place.acks).runs
            columns = oracle.columns(place.repo, run)
            for thread in range(threads):
                if columns.get(f"t{thread}") != [float(step) for step in range(calls)]:
                    judged.problems.append(f"thread {thread}: not its {calls} rows, in order")
            names = [name for name in columns if name.startswith("k")]
            if len(names) != keys or any(len(columns[name]) != threads * calls for name in names):
                judged.problems.append(f"{len(names)} of {keys} names are whole")
            judged.facts["log() calls"] = threads * calls
            return judged

    return trial


def control_crowd(world: World, rng: random.Random) -> list[str]:
    return crowd(8)(world, 0, rng, mutant="no compare").problems


def control_lease(world: World, rng: random.Random) -> list[str]:
    return crowd(8, recovering=True)(world, 0, rng, mutant="no lease").problems


def control_rescue(world: World, rng: random.Random) -> list[str]:
    beside = HOUSEKEEPING["git gc --prune=now and git pack-refs --all"]
    for _ in range(10):
        if problems := crowd(8, beside=beside)(world, 0, rng, mutant="no rescue").problems:
            return problems
    return []


def control_copies(world: World, rng: random.Random) -> list[str]:
    for _ in range(10):
        if problems := crowd(8, beside=HOUSEKEEPING[PRUNING])(world, 0, rng, mutant="no copies").problems:
            return problems
    return []


def control_many(world: World, rng: random.Random) -> list[str]:
    return many(8, 200, 1)(world, 0, rng, mutant="buffered").problems


NOTHING_LOST = "any number of writers; nothing lost"


def _fixed(count: int) -> Callable[[World], int]:
    return lambda _: count


CASES = (
    Case(
        name="8 writers at once, 5 runs each",
        promise=NOTHING_LOST,
        full=_fixed(40),
        ci=2,
        trial=crowd(8),
        control=control_crowd,
    ),
    Case(
        name="64 writers at once, 5 runs each",
        promise=NOTHING_LOST,
        full=_fixed(10),
        ci=0,
        trial=crowd(64),
        control=control_crowd,
    ),
    Case(
        name="8 writers beside a recovery without end",
        promise=NOTHING_LOST,
        full=_fixed(40),
        ci=1,
        trial=crowd(8, recovering=True),
        control=control_lease,
    ),
    *(
        Case(
            name=f"8 writers beside {said}",
            promise="refs never point at something missing",
            full=_fixed(40),
            ci=0 if said == PRUNING else 1,  # it takes half a minute, and the other prunes as well
            trial=crowd(8, beside=beside),
            control=control_copies if said == PRUNING else control_rescue,
        )
        for said, beside in HOUSEKEEPING.items()
    ),
    Case(
        name="a million small log() calls from 32 threads",
        promise=NOTHING_LOST,
        full=_fixed(1),
        ci=0,
        trial=many(32, 31_250, 1),
        control=control_many,
    ),
    Case(
        name="2,000 log() calls from 32 threads",
        promise=NOTHING_LOST,
        full=_fixed(20),
        ci=1,
        trial=many(32, 64, 2),
        control=control_many,
    ),
    Case(
        name="10,000 names in one run",
        promise=NOTHING_LOST,
        full=_fixed(2),
        ci=1,
        trial=many(2, 2, 9_998),
        control=control_many,
    ),
)
