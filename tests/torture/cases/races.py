"""A collection beside writers who want what it takes: by the clock of the machine, and step by step."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from .. import stores
from ..case import Case, Trial, scene
from ..world import COLLECT, SCENARIOS, Place, World
from .stores import home, promised

WRITERS = 4
SECONDS = 3.0
SCHEDULES = 35
"""So many writers come to one collection, each with an order of acts and steps of its own."""


def traffic(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    """Writers put the same blobs, leave them, or name them, while a collection runs over and over."""
    with scene(world, "clean") as place:
        stop = place.root / "stop"
        seeds = [rng.randrange(1 << 30) for _ in range(WRITERS)]
        pids = [
            world.start(place, "write for ever", str(place.root / f"acks-{seed}"), str(stop), seed=seed)
            for seed in seeds
        ]
        pids.append(world.start(place, "collect for ever", str(place.root / "result"), str(stop), mutant=mutant))
        time.sleep(SECONDS)
        stop.touch()
        codes = [world.nursery.wait(pid) for pid in pids]
        trial = _judge(place)
        if any(codes):
            trial.problems.append(f"processes ended with {codes}: {place.said[-400:]}")
        # And with the true grace, than which nothing here is older.
        if world.run(place, "command", *SCENARIOS[COLLECT].args) != 0:
            trial.problems.append(f"a collection fails: {place.said[-300:]}")
        trial.problems += [f"after a collection: {problem}" for problem in _judge(place).problems]
        return trial


def _judge(place: Place) -> Trial:
    lines = [line.split() for path in place.root.glob("acks-*") for line in path.read_text().splitlines()]
    late = [name for line in lines if line[0] == "late" for name in line[1:]]
    kept = {name for line in lines if line[0] == "kept" for name in line[1:]}
    root = home(place)
    trial = Trial(problems=stores.judge(root, sorted(kept.difference(late)), strays=0, idle_recipes=False))
    trial.problems += stores.judge_records(place.repo, root, excused=stores.needed(root, late))
    taken = [int(line) for line in (place.root / "result").read_text().split()]
    trial.facts["collections"] = len(taken)
    trial.facts["files taken"] = sum(taken)
    trial.facts["blobs named"] = len(kept)
    trial.facts["named too late to be promised"] = len(late)
    return trial


def meeting(world: World, number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    """Each writer comes at given steps of one collection: to find a blob, to publish, to refer to it."""
    with scene(world, "clean") as place:
        code = world.run(place, "meet", str(place.acks), number=number, mutant=mutant)
        trial = Trial(problems=stores.judge(home(place), promised(place), strays=0))
        if code != 0 or len(promised(place)) != SCHEDULES:
            trial.problems.append(f"it ended with {code}, {len(promised(place))} blobs: {place.said[-300:]}")
        trial.facts["schedules"] = len(promised(place))
        return trial


def control(trial: Callable[..., Trial], *mutants: str) -> Callable[[World, random.Random], list[str]]:
    """Every one of these defects is found, in a few trials."""

    def found(world: World, rng: random.Random) -> list[str]:
        problems = [_first(trial, world, rng, mutant) for mutant in mutants]
        return [problem for each in problems for problem in each] if all(problems) else []

    return found


def _first(trial: Callable[..., Trial], world: World, rng: random.Random, mutant: str) -> list[str]:
    for number in range(12):
        if problems := trial(world, number, rng, mutant=mutant).problems:
            return problems
    return []


control_traffic = control(traffic, "no second look", "no grace")
control_meeting = control(meeting, "deleted at once", "no second look")

NEVER = "gc never deletes what is needed"
CASES = (
    Case(
        name=f"gc without end beside {WRITERS} writers of the same blobs",
        promise=NEVER,
        full=lambda _: 60,
        ci=1,
        trial=traffic,
        control=control_traffic,
    ),
    Case(
        name="gc, and a writer for each order of its steps and theirs",
        promise=NEVER,
        full=lambda _: 100,
        ci=2,
        each=SCHEDULES,
        trial=meeting,
        control=control_meeting,
    ),
)
