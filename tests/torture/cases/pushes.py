"""Runs on their way to a Git remote under fault: pushes, pulls and purges that are killed, clones that push at once."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from .. import oracle
from ..case import Case, Trial, needs_strace, scene
from ..faults import Point, strike
from ..world import PULL, PURGE, PUSH, SCENARIOS, Place, World
from .cuts import SECONDS, Far, _pulled, _pushed, _synced, first

CODES = (0, 4, 5, 6, -signal.SIGKILL)
"""What a push may end with when it, or a process under it, is killed."""
RETRIES_AT_MOST = 3
WITHIN_SECONDS = 0.8
LOST = "nothing is lost, all trees are equal"
REPEAT = "cut anywhere there are whole runs or none; given again it finishes, nothing twice"
HERE = Far(port=0)

Settle = Callable[[World, Place], list[str]]


# -- a kill at a call, and at a moment


def struck(
    world: World, scenario: str, point: Point, settle: Settle, *, mutant: str = "", codes: Collection[int] = CODES
) -> Trial:
    """Kill what makes this call, judge, do it again, judge again."""
    assert world.strace
    with scene(world, SCENARIOS[scenario].template) as place:
        before = oracle.belongings(place.repo)
        pid = world.begin(place, scenario, mutant=mutant)
        inject = f"{point.call}:signal=SIGKILL:when={point.number}"
        hit = strike(world.nursery, pid, strace=world.strace, log=place.root / "trace", inject=inject, seconds=SECONDS)
        trial = _settled(world, place, settle, before, hit.code, codes)
        trial.problems = [f"{point.call} {point.number} ({point.place}): {problem}" for problem in trial.problems]
        trial.facts["kills at a call"] = int(hit.hit)
        return trial


def _settled(
    world: World, place: Place, settle: Settle, before: dict[str, str], code: int | None, codes: Collection[int]
) -> Trial:
    trial = Trial(problems=[] if code in codes else [f"it ended with {code}: {place.said[-300:]}"])
    try:
        trial.problems += settle(world, place)
    except oracle.Unreadable as error:
        trial.problems.append(str(error))
    if "Traceback" in place.said:
        trial.problems.append(f"a traceback: {place.said[-400:]}")
    trial.problems += oracle.differences(before, oracle.belongings(place.repo))
    return trial


def at_random(
    world: World, scenario: str, rng: random.Random, settle: Settle, within_seconds: float, *, mutant: str = ""
) -> Trial:
    """Kill all of it at a moment, or one of the processes under it: Git, who receives, a hook there."""
    with scene(world, SCENARIOS[scenario].template) as place:
        before = oracle.belongings(place.repo)
        pid = world.begin(place, scenario, mutant=mutant)
        while _state(pid) not in "Tt":
            time.sleep(0.001)
        os.kill(pid, signal.SIGCONT)
        time.sleep(rng.uniform(0.0, within_seconds))
        under = list(_under(pid))
        one = rng.choice(under) if under and rng.random() < 0.6 else 0
        try:
            os.kill(one, signal.SIGKILL) if one else os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        code = world.nursery.wait(pid, seconds=SECONDS)
        trial = _settled(world, place, settle, before, code, CODES)
        trial.facts["kills of all"] = int(code == -signal.SIGKILL)
        trial.facts["kills of one process under it"] = int(bool(one))
        return trial


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _under(pid: int) -> Iterator[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in threads for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children:
        yield child
        yield from _under(child)


def _at_a_moment(
    scenario: str,
    settle: Settle,
    within_seconds: float,
    world: World,
    _number: int,
    rng: random.Random,
    *,
    mutant: str = "",
) -> Trial:
    return at_random(world, scenario, rng, settle, within_seconds, mutant=mutant)


def kill(scenario: str, settle: Settle, within_seconds: float) -> Callable[..., Trial]:
    """At each call, and when those are through, at moments."""

    def trial(world: World, number: int, rng: random.Random, *, mutant: str = "") -> Trial:
        found = world.points(scenario)
        if number < len(found):
            return struck(world, scenario, found[number], settle, mutant=mutant)
        return at_random(world, scenario, rng, settle, within_seconds, mutant=mutant)

    return trial


def control(scenario: str, settle: Settle, mutant: str, where: str) -> Callable[[World, random.Random], list[str]]:
    """Kill a program with a planted fault where it touches `where`, until the judge speaks."""

    def found(world: World, rng: random.Random) -> list[str]:
        chosen = [point for point in world.points(scenario) if re.search(where, f"{point.call} {point.place}")]
        rng.shuffle(chosen)
        for point in chosen:
            if problems := struck(world, scenario, point, settle, mutant=mutant).problems:
                return problems
        return []

    return found


# -- what must hold


def pushed(world: World, place: Place) -> list[str]:
    problems = _pushed(place, HERE, False)
    if locks := list(place.hub.rglob("*.lock")):
        # Git's own, of who was killed on the server. Until somebody removes them, runs wait in an inbox.
        code = world.run(place, "command", *SCENARIOS[PUSH].args, seconds=SECONDS)
        problems += [] if code in (0, 5) else [f"beside a dead lock it ends with {code}: {place.said[-300:]}"]
        for lock in locks:
            lock.unlink()
    problems += _again(world, place, PUSH)
    return problems + _pushed(place, HERE, True) + _synced(world, place, HERE)


def pulled(world: World, place: Place) -> list[str]:
    problems = _pulled(place, HERE, False) + _again(world, place, PULL)
    return problems + _pulled(place, HERE, True) + _synced(world, place, HERE)


def purged(world: World, place: Place) -> list[str]:
    """The others stay, whatever happens; given again, the one is gone, and out of the history."""
    acks = oracle.acknowledged(place.acks)
    gone = acks.runs[-1]
    problems = oracle.judge(place.repo, acks, sent=3, excused=[gone])
    if gone in oracle.run_ids(place.repo):
        problems += _again(world, place, PURGE, gone)
    problems += oracle.judge(place.repo, acks, sent=3, excused=[gone])
    commits = oracle.git(place.repo, "rev-list", "--objects", oracle.RUNS).decode()
    if gone in commits:
        problems.append(f"run {gone} is still in the history")
    return problems + _again(world, place, PUSH)


def _again(world: World, place: Place, scenario: str, last: str = "") -> list[str]:
    args = [arg.format(last=last) for arg in SCENARIOS[scenario].args]
    code = world.run(place, "command", *args, seconds=SECONDS)
    return [] if code == 0 else [f"given again, {args[0]} ends with {code}: {place.said[-400:]}"]


# -- clones that push at once


def crowd(clones: int, runs: int) -> Callable[..., Trial]:
    """Each clone records and pushes, over and over, and then all agree."""

    def trial(world: World, _number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
        with scene(world, "ahead") as place:
            known = set(oracle.acknowledged(place.acks).runs)
            team = [_clone(place, number) for number in range(clones)]
            pids = [world.start(each, "team", str(each.root / "told"), runs=runs, mutant=mutant) for each in team]
            codes = [world.nursery.wait(pid, seconds=60 * SECONDS) for pid in pids]
            for each in (*team, *team):
                codes.append(world.run(each, "agree", seconds=SECONDS, mutant=mutant))
            trial = Trial(problems=oracle.broken(place.hub))
            told = [line.split() for each in team for line in _lines(each.root / "told")]
            wanted = known | {line[0] for line in told}
            trial.problems += [f"a process ended with {code}: {team[0].said[-300:]}" for code in codes if code != 0]
            trial.problems += _equal(place, team, wanted, clones * runs + len(known))
            most = max(int(line[2]) for line in told)
            if most > RETRIES_AT_MOST:
                trial.problems.append(f"a push was tried again {most} times")
            times = sorted(int(line[1]) for line in told)
            trial.facts["pushes"] = len(told)
            trial.facts["most milliseconds of a push, 95 of 100"] = times[len(times) * 95 // 100]
            trial.facts["most retries of a push"] = most
            trial.facts["pushes into an inbox"] = sum(int(line[3]) for line in told)
            return trial

    return trial


def _clone(place: Place, number: int) -> Place:
    made = Place(root=place.root / f"clone-{number}")
    shutil.copytree(place.repo, made.repo, symlinks=True)
    (made.repo / ".git" / "gitrepro" / "clone-id").unlink()
    oracle.git(made.repo, "config", "remote.origin.url", str(place.hub))
    return made


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _equal(place: Place, team: list[Place], wanted: set[str], count: int) -> list[str]:
    found = oracle.run_ids(place.hub)
    problems = [] if len(wanted) == count else [f"{len(wanted)} of {count} runs were pushed"]
    if sorted(found) != sorted(wanted):
        problems.append(f"the remote holds {len(found)} of {len(wanted)} runs")
    trees = {oracle.git(where, "rev-parse", f"{oracle.RUNS}^{{tree}}") for where in (place.hub, *(_repos(team)))}
    if len(trees) != 1:
        problems.append(f"there are {len(trees)} different trees")
    if oracle.git(place.hub, "for-each-ref", "refs/gitrepro/inbox"):
        problems.append("an inbox is left")
    return problems


def _repos(team: list[Place]) -> list[Path]:
    return [each.repo for each in team]


# -- laws


def laws(what: str, *, examples: int, steps: int = 0) -> Callable[..., Trial]:
    """So many examples more of what the tests claim for all."""

    def trial(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
        with scene(world, "clean") as place:
            code = world.run(
                place,
                "laws",
                what,
                examples=examples,
                steps=steps,
                seed=rng.randrange(1 << 30),
                mutant=mutant,
                seconds=30 * SECONDS,
                env={"HYPOTHESIS_STORAGE_DIRECTORY": str(place.root / "hypothesis")},
            )
            trial = Trial(problems=[] if code == 0 else [f"a counterexample: {place.said[-1500:]}"])
            trial.facts["examples"] = examples
            return trial

    return trial


# -- the cases

machine = laws("machine", examples=10, steps=50)
union = laws("union", examples=250)
few_clones = crowd(4, 3)
push_at_random = partial(_at_a_moment, PUSH, pushed, WITHIN_SECONDS)
push_control = first(push_at_random, "lock of the dead", tries=25)
pull_control = control(PULL, pulled, "ref first", "objects|refs")
purge_control = control(PURGE, purged, "ref first", "objects|refs")
MOMENTS = 100


def _kills(
    scenario: str, settle: Settle, within_seconds: float, judged_by: Callable[[World, random.Random], list[str]]
) -> Case:
    return Case(
        name=f"kill -9 at every call, and at random, of: {scenario}",
        promise=REPEAT,
        full=lambda world: len(world.points(scenario)) + MOMENTS,
        ci=1,
        trial=kill(scenario, settle, within_seconds),
        control=judged_by,
        needs=needs_strace,
    )


CASES = (
    _kills(PUSH, pushed, WITHIN_SECONDS, push_control),
    _kills(PULL, pulled, WITHIN_SECONDS, pull_control),
    _kills(PURGE, purged, 0.4, purge_control),
    Case(
        name="8 clones that push at once, 50 runs each",
        promise=f"{LOST}; at most {RETRIES_AT_MOST} retries each",
        full=lambda _: 5,
        ci=0,
        each=400,
        trial=crowd(8, 50),
        control=first(few_clones, "ours alone", tries=3),
    ),
    Case(
        name="4 clones that push at once, 3 runs each",
        promise=f"{LOST}; at most {RETRIES_AT_MOST} retries each",
        full=lambda _: 40,
        ci=1,
        each=12,
        trial=few_clones,
        control=first(few_clones, "ours alone", tries=3),
    ),
    Case(
        name="the laws of the union, 250 examples each",
        promise="in any order, the same tree, with all of it",
        full=lambda _: 20,
        ci=0,
        each=250,
        trial=union,
        control=first(union, "ours alone", tries=1),
    ),
    Case(
        name="3 clones and a remote, 10 times 50 acts",
        promise=LOST,
        full=lambda _: 50,
        ci=0,
        each=10,
        trial=machine,
        control=first(laws("machine", examples=3, steps=20), "ours alone", tries=3),
    ),
)
