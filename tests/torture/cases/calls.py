"""A fault at every system call that touches our files: kill -9, and the errors of a full, broken or forbidden disk."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import oracle
from ..case import ENDLESS, RETRY_SECONDS, Case, Trial, merge, needs_strace, scene, settle
from ..faults import Point, strike
from ..world import DIRTY, FOLD, LABEL, LIFE, LS, NOTE, RECOVER, SCENARIOS, TAG, TAG_NAME, WORD, Place, World
from .kills import unrecovered

ERRORS = ("ENOSPC", "EIO")
VARIANTS = tuple(f"{error}{ever}" for error in ERRORS for ever in ("", "+"))
RARER = ("EDQUOT", "EROFS", "EACCES", "EMFILE", "EINTR")
TRAINING = (LIFE, DIRTY)


def kill_at(scenario: str) -> Callable[[World, int, random.Random], Trial]:
    def trial(world: World, number: int, rng: random.Random) -> Trial:
        return _kill_at(world, scenario, world.points(scenario)[number], rng)

    return trial


def _kill_at(world: World, scenario: str, point: Point, rng: random.Random, *, mutant: str = "") -> Trial:
    inject = f"{point.call}:signal=SIGKILL:when={point.number}"
    with _struck(world, scenario, inject, mutant) as (place, hit, _, before):
        if scenario == RECOVER and hit and rng.random() < 0.5:
            # And the recovery of the recovery.
            again = rng.choice(world.points(scenario))
            _strike(world, scenario, place, f"{again.call}:signal=SIGKILL:when={again.number}")
        return _settled(world, scenario, place, point, hit, before, mutant=mutant)


def error_at(scenario: str, variants: tuple[str, ...]) -> Callable[[World, int, random.Random], Trial]:
    def trial(world: World, number: int, rng: random.Random) -> Trial:
        # Variants change slowest, so that a stride through the numbers meets every kind of point.
        variant, point = divmod(number, len(world.points(scenario)))
        return _error_at(world, scenario, world.points(scenario)[point], variants[variant])

    return trial


def _error_at(world: World, scenario: str, point: Point, variant: str, *, mutant: str = "") -> Trial:
    ever = "+" if variant.endswith("+") else ""
    inject = f"{point.call}:error={variant.rstrip('+')}:when={point.number}{ever}"
    with _struck(world, scenario, inject, mutant) as (place, hit, code, before):
        streams = point.call == "write" and bool(ever)
        problems = _reached_the_program(scenario, place, code, streams_refuse=streams)
        trial = _settled(world, scenario, place, point, hit, before)
        trial.problems += problems
        return trial


def _reached_the_program(scenario: str, place: Place, code: int | None, *, streams_refuse: bool) -> list[str]:
    problems = []
    if "Traceback" in place.said:
        problems.append(f"a traceback reaches the program: {place.said[-600:]}")
    # The exit code of a program is its own. A command of ours says in its code that the disk refused. Where every
    # write is refused, those to the standard streams are too, and Python itself says 120.
    allowed = (0,) if scenario in TRAINING else (0, 2, 4, 6)
    if code not in (*allowed, *([120] if streams_refuse else [])):
        problems.append(f"it ended with {code}: {place.said[-300:]}")
    return problems


@contextmanager
def _struck(
    world: World, scenario: str, inject: str, mutant: str
) -> Iterator[tuple[Place, bool, int | None, dict[str, str]]]:
    with scene(world, SCENARIOS[scenario].template) as place:
        before = oracle.belongings(place.repo)
        hit, code = _strike(world, scenario, place, inject, mutant=mutant)
        yield place, hit, code, before


def _strike(world: World, scenario: str, place: Place, inject: str, *, mutant: str = "") -> tuple[bool, int | None]:
    assert world.strace
    pid = world.begin(place, scenario, mutant=mutant)
    struck = strike(world.nursery, pid, strace=world.strace, log=place.root / "trace", inject=inject)
    return struck.hit, struck.code


def _settled(
    world: World, scenario: str, place: Place, point: Point, hit: bool, before: dict[str, str], *, mutant: str = ""
) -> Trial:
    trial = Trial(problems=AFTER.get(scenario, _nothing_more)(world, place))
    settled = settle(world, place, sent=ENDLESS, mutant=mutant)
    trial.problems += settled.problems + AT_LAST.get(scenario, _nothing_more)(world, place)
    merge(trial.facts, settled.facts)
    trial.problems += _foreign(scenario, before, oracle.belongings(place.repo))
    trial.problems = [f"{point.call} {point.number} ({point.place}): {problem}" for problem in trial.problems]
    trial.facts["faults that came to pass"] = int(hit)
    return trial


def _foreign(scenario: str, before: dict[str, str], after: dict[str, str]) -> list[str]:
    asked = f".git/refs/tags/{TAG_NAME}" if scenario == TAG else None
    changed = oracle.differences(before, after)
    # The tag that was asked for, and the folders it lies in.
    return [line for line in changed if not (asked and asked.startswith(line.split(" of the user")[0]))]


# -- what must hold of each command after a fault: the same command, given again, does what was asked


def _nothing_more(_world: World, _place: Place) -> list[str]:
    return []


def _again(scenario: str) -> Callable[[World, Place], list[str]]:
    def check(world: World, place: Place) -> list[str]:
        code = world.run(place, "command", *SCENARIOS[scenario].args, seconds=RETRY_SECONDS)
        tagged = scenario == TAG and oracle.git(place.repo, "tag", "--list", TAG_NAME)
        return [] if code == 0 or tagged else [f"given again it ends with {code}: {place.said[-300:]}"]

    return check


def _tag_holds(_world: World, place: Place) -> list[str]:
    """The tag names a result that the run ref holds, and the run that it speaks of."""
    text = oracle.git(place.repo, "cat-file", "tag", TAG_NAME, check=False).decode()
    named = re.search(r"^Gitrepro-Result: (\w+)$", text, re.M)
    paths = oracle.paths(place.repo)
    if named is None:
        return ["the tag names no result"]
    return [] if f"results/{named[1]}/audit.yaml" in paths else [f"result {named[1]} of the tag is not on record"]


def _event_holds(world: World, place: Place) -> list[str]:
    texts = oracle.events(place.repo)
    return [] if any(f'value: "{WORD}"' in text for text in texts) else ["what was asked for is not on record"]


def _label_shows(world: World, place: Place) -> list[str]:
    listed = place.root / "listed"
    world.run(place, "listing", str(listed))
    runs = json.loads(listed.read_text().splitlines()[-1])
    return [] if any(WORD in run["labels"] for run in runs) else ["`ls` does not show the label"]


def _label_holds(world: World, place: Place) -> list[str]:
    return _event_holds(world, place) + _label_shows(world, place)


AFTER = {scenario: _again(scenario) for scenario in (LS, TAG, LABEL, NOTE)}
AT_LAST = {TAG: _tag_holds, LABEL: _label_holds, NOTE: _event_holds, FOLD: _label_holds}


# -- controls


def control_sweep(scenario: str, mutant: str, where: str) -> Callable[[World, random.Random], list[str]]:
    """Kill a program with a planted fault at each point where it writes `where`, until the oracle speaks."""

    def control(world: World, rng: random.Random) -> list[str]:
        chosen = [point for point in world.points(scenario) if re.search(where, point.place)]
        rng.shuffle(chosen)
        for point in chosen:
            if problems := _kill_at(world, scenario, point, rng, mutant=mutant).problems:
                return problems
        return []

    return control


control_ref_first = control_sweep(LIFE, "ref first", "objects|refs")
control_locks = control_sweep(LIFE, "object locks", "objects|refs")
control_queue = control_sweep(FOLD, "queue dropped first", "objects|refs|queue|gitrepro$")


def control_both(world: World, rng: random.Random) -> list[str]:
    found = [control(world, rng) for control in (control_ref_first, control_locks)]
    return [problem for problems in found for problem in problems] if all(found) else []


def control_strict(world: World, rng: random.Random) -> list[str]:
    journal = [point for point in world.points(LIFE) if point.call == "write" and "journal" in point.place]
    rng.shuffle(journal)
    for point in journal:
        if problems := _error_at(world, LIFE, point, "ENOSPC", mutant="strict journal").problems:
            return problems
    return []


# -- the cases

SAFE = "any step may be cut and repeated; refs never point at something missing"
REPEAT = "any command may be interrupted and run again"
REFUSED = "damage and refusals are reported; a later retry succeeds"
TRAIN = "the training is never failed by tracking"

Control = Callable[[World, random.Random], list[str]]


def _kills(scenario: str, promise: str, ci: int, control: Control, more: str = "") -> Case:
    return Case(
        name=f"kill -9 at every call of: {scenario}{more}",
        promise=promise,
        full=lambda world: len(world.points(scenario)),
        ci=ci,
        trial=kill_at(scenario),
        control=control,
        needs=needs_strace,
    )


def _errors(scenario: str, promise: str, ci: int, variants: tuple[str, ...] = VARIANTS) -> Case:
    said = "ENOSPC and EIO, once and from then on" if variants is VARIANTS else ", ".join(variants)
    return Case(
        name=f"{said}, at every call of: {scenario}",
        promise=promise,
        full=lambda world: len(world.points(scenario)) * len(variants),
        ci=ci,
        trial=error_at(scenario, variants),
        control=control_strict,
        needs=needs_strace,
    )


CASES = (
    _kills(LIFE, SAFE, 14, control_both),
    _kills(DIRTY, SAFE, 7, control_both),
    _kills(RECOVER, REPEAT, 6, unrecovered, ", half of them twice"),
    _kills(LS, REPEAT, 4, unrecovered),
    _kills(FOLD, SAFE, 7, control_queue),
    _kills(TAG, REPEAT, 7, control_queue),
    _kills(LABEL, REPEAT, 4, control_queue),
    _kills(NOTE, REPEAT, 3, control_queue),
    _errors(LIFE, TRAIN, 20),
    _errors(LIFE, TRAIN, 10, RARER),
    _errors(RECOVER, REFUSED, 8),
    _errors(FOLD, REFUSED, 6),
    _errors(TAG, REFUSED, 8),
    _errors(LABEL, REFUSED, 6),
)
