"""What a case is: one kind of fault, how many trials it has, and the planted fault that its judge must find."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import oracle
from .world import Place, World

ENDLESS = 1_000_000
RETRY_SECONDS = 60.0
MOST = "most "
"""A fact that begins so is the greatest seen; every other is a sum."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """What one trial found: problems, which must be none, and numbers worth adding up."""

    problems: list[str] = field(default_factory=list)
    facts: Counter[str] = field(default_factory=Counter)


def merge(facts: Counter[str], more: Counter[str]) -> None:
    """Take what one trial counted into what all counted."""
    for name, value in more.items():
        facts[name] = max(facts[name], value) if name.startswith(MOST) else facts[name] + value


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of fault.

    Attributes:
        full: how many trials the whole case has; `ci` is how many of them `make test` runs.
        each: how many faults one trial strikes with.
        control: runs the same trials on a program with a planted fault and returns what the oracle said, which must
            not be nothing.
        needs: why the case cannot run here; empty when it can.
    """

    name: str
    promise: str
    full: Callable[[World], int]
    ci: int
    trial: Callable[[World, int, random.Random], Trial]
    control: Callable[[World, random.Random], list[str]]
    each: int = 1
    needs: Callable[[World], str] = lambda _: ""


def needs_strace(world: World) -> str:
    return "" if world.strace else "strace is not here, or may not trace"


@contextmanager
def scene(world: World, template: str) -> Iterator[Place]:
    place = world.place(template)
    try:
        yield place
    finally:
        world.drop(place)


def settle(world: World, place: Place, *, sent: int, strays: int = 1, mutant: str = "") -> Trial:
    """Recover once, within bounds; judge; recover again, which must change nothing.

    Args:
        strays: how many runs may be there that were never acknowledged: each killed start leaves at most one.
    """
    trial = Trial()
    try:
        _settle(world, place, trial, sent=sent, strays=strays, mutant=mutant)
    except oracle.Unreadable as error:
        trial.problems.append(str(error))
    return trial


def _settle(world: World, place: Place, trial: Trial, *, sent: int, strays: int, mutant: str) -> None:
    acks = oracle.acknowledged(place.acks)
    # A disk that refuses until the program is gone keeps nothing; the program was told.
    told = "is not on disk" in place.warned
    trial.problems += [] if told else oracle.judge_journals(place.repo, acks)
    if recover(world, place, trial, mutant=mutant) is None:
        return
    excused = [run for run in acks.runs if "nothing of this run is recorded" in place.warned]
    trial.problems += oracle.judge(place.repo, acks, sent=sent, excused=excused, strays=strays, told=told)
    trial.facts["runs whose end the disk refused for good, told to the program"] = int(told)
    refs = oracle.git(place.repo, "for-each-ref")
    recover(world, place, trial)
    if oracle.git(place.repo, "for-each-ref") != refs:
        trial.problems.append("a second recovery changed the refs")
    trial.facts["points acknowledged"] = sum(map(len, acks.steps.values()))
    trial.facts["runs"] = len(acks.runs)


def recover(world: World, place: Place, trial: Trial, *, mutant: str = "") -> dict[str, list[str]] | None:
    """Recover and list; what it said, or None with the problem on `trial`."""
    result = place.root / "result"
    if world.run(place, "recover", str(result), seconds=RETRY_SECONDS, mutant=mutant) != 0:
        trial.problems.append(f"the retry is blocked: {place.said[-400:]}")
        return None
    said: dict[str, list[str]] = json.loads(result.read_text().splitlines()[-1])
    if said["failed"]:
        trial.problems.append(f"the recovery could not read a run: {said['failed']}")
    held = oracle.run_ids(place.repo)
    if sorted(said["listed"]) != sorted(held) and not said["failed"]:
        trial.problems.append(f"the ref holds {len(held)} runs and `ls` shows {len(said['listed'])}")
    return said


def take(paths: list[Path], into: Path) -> None:
    """Put the acknowledgements of several processes into one file, without lines that a kill cut short."""
    texts = [path.read_text() if path.exists() else "" for path in paths]
    into.write_text("".join(text[: text.rfind("\n") + 1] for text in texts))
