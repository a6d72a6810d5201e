"""The cases: for each fault what one trial does, how many there are, and the planted fault that must be found."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import oracle
from .faults import Point, strike
from .world import Place, World

ENDLESS = 1_000_000
RETRY_SECONDS = 30.0
IN_BATCH = 100


@dataclass(slots=True, kw_only=True)
class Trial:
    """What one trial found: problems, which must be none, and numbers worth adding up."""

    problems: list[str] = field(default_factory=list)
    facts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of fault.

    `full` says how many trials the whole case has; `ci` how many of them `make test` runs. `control` runs the same
    trials on a program with a planted fault and returns what the oracle said, which must not be nothing.
    """

    name: str
    promise: str
    full: Callable[[World], int]
    ci: int
    trial: Callable[[World, int, random.Random], Trial]
    control: Callable[[World, random.Random], list[str]]


# -- after every fault: one retry, and the oracle


def settle(world: World, place: Place, *, sent: int, strays: bool = False, mutant: str = "") -> Trial:
    """Recover once, within bounds; judge; recover again, which must change nothing."""
    trial = Trial()
    result = place.root / "result"
    if world.run(place, "recover", str(result), seconds=RETRY_SECONDS, mutant=mutant) != 0:
        trial.problems.append(f"the retry is blocked: {place.said[-400:]}")
        return trial
    if json.loads(result.read_text().splitlines()[-1])["failed"]:
        trial.problems.append(f"the recovery could not read a run: {result.read_text()}")
    acks = oracle.acknowledged(place.acks)
    excused = [run for run in acks.runs if "nothing of this run is recorded" in place.warned]
    # A disk that refuses until the program is gone keeps nothing; the program was told.
    told = "is not on disk" in place.warned
    trial.problems += oracle.judge(place.repo, acks, sent=sent, excused=excused, strays=strays, told=told)
    trial.facts["runs whose end the disk refused for good, told to the program"] = int(told)
    refs = oracle.git(place.repo, "for-each-ref")
    world.run(place, "recover", str(result), seconds=RETRY_SECONDS)
    if oracle.git(place.repo, "for-each-ref") != refs:
        trial.problems.append("a second recovery changed the refs")
    trial.facts["points acknowledged"] = sum(map(len, acks.steps.values()))
    trial.facts["runs"] = len(acks.runs)
    return trial


@contextmanager
def scene(world: World, template: str) -> Iterator[Place]:
    place = world.place(template)
    try:
        yield place
    finally:
        world.drop(place)


# -- kill -9 at random


def kill_api(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    with scene(world, "clean") as place:
        pid = world.start(place, "life", str(place.acks), steps=ENDLESS, mutant=mutant)
        if rng.random() < 0.8:
            _until_logging(place, pid)
        time.sleep(rng.uniform(0.0, 0.03))
        os.killpg(pid, signal.SIGKILL)
        world.nursery.wait(pid)
        return settle(world, place, sent=ENDLESS)


def kill_cli(world: World, _number: int, rng: random.Random) -> Trial:
    with scene(world, "clean") as place:
        pid = world.start(place, "command", "record", "--seed", "1", "--", "python", "train.py", acks=str(place.acks))
        if rng.random() < 0.9:
            _until_logging(place, pid)
        time.sleep(rng.uniform(0.0, 0.15))
        whom = rng.choice(("both", "recorder first", "program first"))
        _kill(pid, whom, rng)
        world.nursery.wait(pid)
        trial = settle(world, place, sent=ENDLESS)
        trial.facts[f"killed {whom}"] = 1
        return trial


def _until_logging(place: Place, pid: int) -> None:
    deadline = time.monotonic() + 20
    while not oracle.acknowledged(place.acks).runs and time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        time.sleep(0.005)


def _kill(pid: int, whom: str, rng: random.Random) -> None:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    order = {"both": [], "recorder first": [pid], "program first": children}[whom]
    for process in order:
        _kill_one(process)
    if order:
        time.sleep(rng.uniform(0.0, 0.1))
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _kill_one(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def control_buffered(world: World, rng: random.Random) -> list[str]:
    found: list[str] = []
    for _ in range(12):
        found += kill_api(world, 0, rng, mutant="buffered").problems
    return found


# -- kill -9 and errors at every system call


def sweep(scenario: str) -> Callable[[World], int]:
    return lambda world: len(world.points(scenario))


def kill_at(scenario: str) -> Callable[[World, int, random.Random], Trial]:
    def trial(world: World, number: int, rng: random.Random) -> Trial:
        return _kill_at(world, scenario, world.points(scenario)[number], rng)

    return trial


def _kill_at(world: World, scenario: str, point: Point, rng: random.Random, *, mutant: str = "") -> Trial:
    with _struck(world, scenario, f"{point.call}:signal=SIGKILL:when={point.number}", mutant) as (
        place,
        hit,
        _,
        before,
    ):
        if scenario == "recover" and hit and rng.random() < 0.5:
            # And the recovery of the recovery.
            again = rng.choice(world.points(scenario))
            inject = f"{again.call}:signal=SIGKILL:when={again.number}"
            strike(
                world.nursery,
                world.begin(place, scenario),
                strace=world.strace,
                log=place.root / "again",
                inject=inject,
            )
        return _settled(world, scenario, place, point, hit, before, mutant=mutant)


ERRORS = ("ENOSPC", "EIO")
VARIANTS = tuple(f"{error}{ever}" for error in ERRORS for ever in ("", "+"))


def errors_sweep(scenario: str) -> Callable[[World], int]:
    return lambda world: len(world.points(scenario)) * len(VARIANTS)


def error_at(scenario: str) -> Callable[[World, int, random.Random], Trial]:
    def trial(world: World, number: int, rng: random.Random) -> Trial:
        # Variants change slowest, so that a stride through the numbers meets every kind of point.
        variant, point = divmod(number, len(world.points(scenario)))
        return _error_at(world, scenario, world.points(scenario)[point], VARIANTS[variant])

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
    allowed = (0,) if "log" in scenario or "same" in scenario else (0, 2, 4, 6)
    if code not in (*allowed, *([120] if streams_refuse else [])):
        problems.append(f"it ended with {code}: {place.said[-300:]}")
    return problems


@contextmanager
def _struck(
    world: World, scenario: str, inject: str, mutant: str
) -> Iterator[tuple[Place, bool, int | None, dict[str, str]]]:
    from .world import SCENARIOS

    with scene(world, SCENARIOS[scenario][0]) as place:
        before = oracle.belongings(place.repo)
        pid = world.begin(place, scenario, mutant=mutant)
        struck = strike(world.nursery, pid, strace=world.strace, log=place.root / "trace", inject=inject)
        yield place, struck.hit, struck.code, before


def _settled(
    world: World, scenario: str, place: Place, point: Point, hit: bool, before: dict[str, str], *, mutant: str = ""
) -> Trial:
    if scenario == "ls" and world.run(place, "command", "ls", seconds=RETRY_SECONDS) != 0:
        return Trial(problems=[f"{point}: ls fails after it: {place.said[-300:]}"])
    trial = settle(world, place, sent=ENDLESS, mutant=mutant)
    trial.problems += oracle.differences(before, oracle.belongings(place.repo))
    trial.problems = [f"{point.call} {point.number} ({point.place}): {problem}" for problem in trial.problems]
    trial.facts["faults that came to pass"] = int(hit)
    return trial


def control_sweep(mutant: str) -> Callable[[World, random.Random], list[str]]:
    """Kill a program with a planted fault at each point where it writes objects or refs, until the oracle speaks."""

    def control(world: World, rng: random.Random) -> list[str]:
        scenario = "start, log, finish, commit"
        chosen = [point for point in world.points(scenario) if re.search("objects|refs", point.place)]
        rng.shuffle(chosen)
        for point in chosen:
            if problems := _kill_at(world, scenario, point, rng, mutant=mutant).problems:
                return problems
        return []

    return control


def control_both(world: World, rng: random.Random) -> list[str]:
    found = [control_sweep(mutant)(world, rng) for mutant in ("ref first", "object locks")]
    return [problem for problems in found for problem in problems] if all(found) else []


def control_strict(world: World, rng: random.Random) -> list[str]:
    scenario = "start, log, finish, commit"
    journal = [point for point in world.points(scenario) if point.call == "write" and "journal" in point.place]
    rng.shuffle(journal)
    for point in journal:
        if problems := _error_at(world, scenario, point, "ENOSPC", mutant="strict journal").problems:
            return problems
    return []


def control_recover(world: World, rng: random.Random) -> list[str]:
    """A recovery that is not retried leaves the run out of the ref: the oracle must miss it."""
    place = world.place("killed")
    found = oracle.judge(place.repo, oracle.acknowledged(place.acks), sent=ENDLESS)
    world.drop(place)
    return found


# -- damaged folders


Damage = tuple[str, str, int]


def _damages(world: World) -> list[Damage]:
    """Every truncation and every flipped bit of every file of a dead run's folder."""
    place = world.place("killed")
    folder = _live_folder(place)
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if not path.name.startswith("lease.")}
    world.drop(place)
    cuts = [(name, "cut", length) for name, size in sizes.items() for length in range(size)]
    flips = [(name, "flip", bit) for name, size in sizes.items() for bit in range(size * 8)]
    return cuts + flips


def _live_folder(place: Place) -> Path:
    return next((place.repo / ".git" / "gitrepro" / "live").iterdir())


def damage_batches(world: World) -> int:
    return -(-len(_damages(world)) // IN_BATCH)


def damage(world: World, number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    """One batch: many damaged copies of a folder, each under an id of its own, recovered at once."""
    chosen = _damages(world)[number :: damage_batches(world)]
    with scene(world, "killed") as place:
        source = _live_folder(place)
        acks = oracle.acknowledged(place.acks)
        planted = {}
        for count, (name, kind, at) in enumerate(chosen):
            run_id = f"{source.name[:-4]}{count:04d}"
            _copy_damaged(source, run_id, name, kind, at)
            planted[run_id] = (name, kind, at)
        result = place.root / "result"
        code = world.run(place, "recover", str(result), mutant=mutant, seconds=120)
        if code != 0:
            return Trial(problems=[f"the recovery ended with {code}: {place.said[-500:]}"])
        told = json.loads(result.read_text())
        held = {found.id: found for found in oracle.runs(place.repo)}
        problems = oracle.broken(place.repo)
        for run_id, what in planted.items():
            problems += [f"{what}: {problem}" for problem in _judge_damaged(run_id, what, told, held, acks)]
        if source.name not in held:
            problems.append("the undamaged run beside them is lost")
        facts = Counter({"damaged folders": len(planted), "reported and left": len(told["failed"])})
        return Trial(problems=problems, facts=facts)


def _copy_damaged(source: Path, run_id: str, name: str, kind: str, at: int) -> None:
    target = source.parent / run_id
    target.mkdir()
    for path in source.iterdir():
        data = path.read_bytes()
        if path.name == "start.yaml":
            data = data.replace(source.name.encode(), run_id.encode())
        if path.name == name:
            data = (
                data[:at]
                if kind == "cut"
                else data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]
            )
        (target / path.name).write_bytes(data)


def _judge_damaged(
    run_id: str,
    what: Damage,
    told: dict[str, dict[str, str]],
    held: dict[str, oracle.Found],
    acks: oracle.Acknowledged,
) -> list[str]:
    if run_id in told["failed"]:
        return []
    if run_id not in held:
        return ["neither recovered nor reported"]
    found, (name, kind, _) = held[run_id], what
    sent = max(acks.steps.values(), key=len)
    true = [{"_step": step, "loss": step / 4, "count": step} for step in sent]
    problems = [row for row in found.rows if row not in true]
    torn = re.search(r"^  torn_bytes: (\d+)$", found.text, re.M)
    silent = not found.losses and not (torn and int(torn[1]))
    # Cut between two entries a journal is one that was killed there: nothing in it can tell.
    tellable = not (name.startswith("journal") and kind == "cut")
    return [f"made up {row}" for row in problems] + (["damage goes unreported"] if silent and tellable else [])


def control_damage(world: World, rng: random.Random) -> list[str]:
    flips = [
        number
        for number, (name, kind, _) in enumerate(_damages(world))
        if name.startswith("journal") and kind == "flip"
    ]
    batches = damage_batches(world)
    found: list[str] = []
    for _ in range(3):
        found += damage(world, rng.choice(flips) % batches, rng, mutant="no checksums").problems
    return found


# -- crowds

WRITERS = 8
RUNS_EACH = 5


def crowd(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    return _crowd(world, rng, beside=(), mutant=mutant)


def crowd_and_gc(world: World, _number: int, rng: random.Random) -> Trial:
    return _crowd(world, rng, beside=(("gc", "--prune=now", "--quiet"), ("pack-refs", "--all")))


def _crowd(world: World, rng: random.Random, *, beside: tuple[tuple[str, ...], ...], mutant: str = "") -> Trial:
    with scene(world, "clean") as place, _loops(place.repo, beside):
        acks = [place.root / f"acks-{writer}" for writer in range(WRITERS)]
        pids = [world.start(place, "lives", str(path), runs=RUNS_EACH, mutant=mutant) for path in acks]
        codes = [world.nursery.wait(pid, seconds=120) for pid in pids]
        place.acks.write_text("".join(path.read_text() for path in acks))
        trial = settle_crowd(world, place) if beside else settle(world, place, sent=ENDLESS)
        trial.problems += [f"a writer ended with {code}: {place.said[-300:]}" for code in codes if code != 0]
        expected = WRITERS * RUNS_EACH
        if trial.facts["runs"] != expected:
            trial.problems.append(f"{trial.facts['runs']} of {expected} runs were acknowledged")
        return trial


def settle_crowd(world: World, place: Place) -> Trial:
    """While Git still prunes, one recovery may find its work pruned again; once it is over, one is enough."""
    world.run(place, "recover", str(place.root / "early"), seconds=60)
    (place.root / "stop").touch()
    time.sleep(0.3)
    return settle(world, place, sent=ENDLESS)


@contextmanager
def _loops(repo: Path, commands: tuple[tuple[str, ...], ...]) -> Iterator[None]:
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


def control_crowd(world: World, rng: random.Random) -> list[str]:
    return crowd(world, 0, rng, mutant="no compare").problems


# -- what belongs to the user


def belongings(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    trial = Trial()
    with scene(world, "rich") as place:
        before = oracle.belongings(place.repo)
        pid = world.start(place, "life", str(place.acks), steps=ENDLESS, mutant=mutant)
        time.sleep(rng.uniform(0.05, 0.2))
        os.killpg(pid, signal.SIGKILL)
        world.nursery.wait(pid)
        steps: list[tuple[str, ...]] = [("record", "--seed", "3", "--", "true"), ("recover",), ("ls", "--json")]
        steps += [("label", "@last", "kept"), ("note", "@last", "a note"), ("show", "@last"), ("recover",)]
        for argv in steps:
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


LIFE, DIRTY = "start, log, finish, commit", "the same, dirty tree"

# The random kills come last: they are many, and the sweeps should not wait for them.
CASES: tuple[Case, ...] = (
    Case(
        name=f"kill -9 at every call of: {LIFE}",
        promise="any step may be cut and repeated; refs never point at something missing",
        full=sweep(LIFE),
        ci=20,
        trial=kill_at(LIFE),
        control=control_both,
    ),
    Case(
        name=f"kill -9 at every call of: {DIRTY}",
        promise="any step may be cut and repeated; refs never point at something missing",
        full=sweep(DIRTY),
        ci=10,
        trial=kill_at(DIRTY),
        control=control_both,
    ),
    Case(
        name="kill -9 at every call of: recover, half of them twice",
        promise="any command may be interrupted and run again",
        full=sweep("recover"),
        ci=10,
        trial=kill_at("recover"),
        control=control_recover,
    ),
    Case(
        name="kill -9 at every call of: ls",
        promise="any command may be interrupted and run again",
        full=sweep("ls"),
        ci=6,
        trial=kill_at("ls"),
        control=control_recover,
    ),
    Case(
        name=f"ENOSPC and EIO, once and from then on, at every call of: {LIFE}",
        promise="the training is never failed by tracking",
        full=errors_sweep(LIFE),
        ci=30,
        trial=error_at(LIFE),
        control=control_strict,
    ),
    Case(
        name="ENOSPC and EIO, once and from then on, at every call of: recover",
        promise="damage and refusals are reported; a later retry succeeds",
        full=errors_sweep("recover"),
        ci=10,
        trial=error_at("recover"),
        control=control_strict,
    ),
    Case(
        name=f"every truncation and flipped bit of a dead run's folder, {IN_BATCH} a trial",
        promise="never a wrong number: damage is reported",
        full=damage_batches,
        ci=4,
        trial=damage,
        control=control_damage,
    ),
    Case(
        name=f"{WRITERS} writers at once, {RUNS_EACH} runs each",
        promise="any number of writers; nothing lost",
        full=lambda _: 40,
        ci=2,
        trial=crowd,
        control=control_crowd,
    ),
    Case(
        name=f"{WRITERS} writers beside git gc --prune=now and git pack-refs --all",
        promise="refs never point at something missing",
        full=lambda _: 50,
        ci=2,
        trial=crowd_and_gc,
        control=control_crowd,
    ),
    Case(
        name="the user's repository, byte for byte",
        promise="HEAD, index, work tree, branches, stash, reflogs and config stay as they are",
        full=lambda _: 40,
        ci=2,
        trial=belongings,
        control=control_belongings,
    ),
    Case(
        name="kill -9 at random, Python API",
        promise="every log() that returned is readable",
        full=lambda _: 10_000,
        ci=120,
        trial=kill_api,
        control=control_buffered,
    ),
    Case(
        name="kill -9 at random, gitrepro record",
        promise="every log() that returned is readable",
        full=lambda _: 1_000,
        ci=10,
        trial=kill_cli,
        control=control_buffered,
    ),
)
