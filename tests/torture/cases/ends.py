"""How programs end, and what clocks do meanwhile: SIGTERM from a scheduler, and a wall clock that jumps."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .. import oracle
from ..case import ENDLESS, Case, Trial, scene, settle, take
from ..nursery import ROOT
from ..world import Place, World
from .kills import until_logging

# -- SIGTERM


def terminated(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    """One SIGTERM, or two; a handler of the user's, or none."""
    with scene(world, "clean") as place:
        handler = rng.choice(("none", "returns"))
        pid = world.start(place, "preempted", str(place.acks), handler=handler, mutant=mutant)
        until_logging(place.acks, pid)
        time.sleep(rng.uniform(0.0, 0.02))
        os.kill(pid, signal.SIGTERM)
        twice = rng.random() < 0.5
        if twice:
            time.sleep(rng.uniform(0.0, 0.05))
            _signal(pid, signal.SIGTERM)
        code = world.nursery.wait(pid, seconds=30)
        trial = Trial(problems=_ended(place, handler, code))
        settled = settle(world, place, sent=ENDLESS)
        settled.problems += trial.problems + _called(place, ("preempted", *(["crashed"] if twice else [])))
        settled.facts[f"handler of the user's: {handler}"] = 1
        return settled


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _ended(place: Place, handler: str, code: int | None) -> list[str]:
    # 143 from our handler's exit, -15 from a second signal that meets none; a user's handler lets the program go on.
    allowed = (143, -signal.SIGTERM) if handler == "none" else (0,)
    problems = [] if code in allowed else [f"the program ended with {code}: {place.said[-300:]}"]
    if handler != "none" and not (place.root / "handled").exists():
        problems.append("the user's handler was not called")
    return problems


def _called(place: Place, allowed: tuple[str, ...]) -> list[str]:
    # The second signal may cut the end short: then nothing on disk tells it from a kill.
    statuses = [found.status for found in oracle.runs(place.repo)]
    wrong = [status for status in statuses if status not in allowed]
    return [f"a run that was preempted is called {status}" for status in wrong]


def control_sigterm(world: World, rng: random.Random) -> list[str]:
    # The signal may come after the end of a program, where nothing can be wrong any more.
    for number in range(8):
        if problems := terminated(world, number, rng, mutant="no sigterm").problems:
            return problems
    return []


# -- a clock that jumps

_LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
JUMPS = ("-400d", "+400d", "-3600s", "+3600s", "-1s", "+0s")
CLOCK = """\
import os, random, sys, time
from tests.torture import jobs
from tests.torture.mutants import plant

acks, clock, seed, mutant = sys.argv[1:]
plant(mutant)
import gitrepro

rng, jumps = random.Random(int(seed)), {jumps!r}
fd = jobs.opened(acks)
with gitrepro.record(seed=7) as run:
    jobs.print_to(fd, f"start {{run.id}}")
    for step in range(40):
        if rng.random() < 0.2:
            with open(clock, "w") as file:
                file.write(rng.choice(jumps))
        run.log({{"loss": step / 4, "count": step}}, step=step)
        jobs.print_to(fd, str(step))
jobs.print_to(fd, "finish")
"""


def faketime() -> str:
    return next((path for path in _LIBRARIES if Path(path).exists()), "")


def jumping_clock(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    """The wall clock jumps while two runs log. Order and durations are the monotonic clock's."""
    with scene(world, "clean") as place:
        script, clock = place.root / "clock.py", place.root / "clock"
        script.write_text(CLOCK.format(jumps=JUMPS))
        clock.write_text("+0s")
        acks = [place.root / f"acks-{number}" for number in range(2)]
        for path in acks:
            _with_clock(place, [str(script), str(path), str(clock), str(rng.randrange(10**6)), mutant])
        take(acks, place.acks)
        trial = settle(world, place, sent=ENDLESS)
        trial.problems += [line for found in oracle.runs(place.repo) for line in _times(place, found)]
        return trial


def _with_clock(place: Place, argv: list[str]) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(place.root / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "XDG_STATE_HOME": str(place.root / "state"),
    }
    with place.errors.open("ab") as said:
        subprocess.run([sys.executable, *argv], cwd=place.repo, env=environment, stdout=said, stderr=said, check=True)


def _times(place: Place, found: oracle.Found) -> list[str]:
    times = oracle.columns(place.repo, found.id)["_time_seconds"]
    duration = re.search(r"^duration_seconds: (\S+)$", found.text, re.M)
    problems = (
        [] if duration and 0 <= float(duration[1]) < 600 else [f"run {found.id} took {duration and duration[1]} s"]
    )
    if any(not isinstance(at, float) or not 0 <= at < 600 for at in times) or times != sorted(times, key=_number):
        problems.append(f"run {found.id}: its times jump: {times[:5]} ... {times[-5:]}")
    return problems


def _number(value: object) -> float:
    return value if isinstance(value, float) else -1.0


def control_clock(world: World, rng: random.Random) -> list[str]:
    for _ in range(3):
        if problems := jumping_clock(world, 0, rng, mutant="wall clock").problems:
            return problems
    return []


def _count(number: int) -> Callable[[World], int]:
    return lambda _: number


CASES = (
    Case(
        name="SIGTERM, once or twice, with and without a handler of the user's",
        promise="the run is flushed and called preempted; the user's handler is called",
        full=_count(200),
        ci=8,
        trial=terminated,
        control=control_sigterm,
    ),
    Case(
        name="a wall clock that jumps by up to 400 days",
        promise="order is the order of logging; no duration is negative",
        full=_count(100),
        ci=1,
        trial=jumping_clock,
        control=control_clock,
        needs=lambda _: "" if faketime() else "faketime is not installed",
    ),
)
