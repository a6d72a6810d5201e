"""Blobs on their way to a store remote and back: who sends, fetches or serves is killed; many send at once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.sync.proxy import Proxy
from tests.sync.servers import SSHD

from .. import remotes, servers, stores
from ..case import Case, Trial, needs_strace, scene
from ..world import FETCH, SCENARIOS, SEND, Place, World
from .cuts import SECONDS, _ssh, first
from .pushes import Settle, control, kill
from .stores import home, promised

SENDERS = 8
SERVED_SECONDS = 1.2
BEFORE_ANY_SHARE = 0.2
"""Of the kills so many come before the first file is there: then the sender goes on without a helper."""
FILES_AT_MOST = 12
WHOLE = "under a name are its whole bytes or none; the next try finishes, nothing twice"


# -- the sender and the receiver


def sent(world: World, place: Place) -> list[str]:
    problems = _judge_there(place, done=False) + _again(world, place, SEND)
    problems += _judge_there(place, done=True) + stores.judge(home(place), promised(place), strays=0)
    return problems + _nothing_more(world, place, SEND)


def fetched(world: World, place: Place) -> list[str]:
    before = remotes.contents_of(place.remote)
    problems = stores.judge(home(place), (), strays=1) + _again(world, place, FETCH)
    problems += stores.judge(home(place), promised(place), strays=1)
    problems += [] if remotes.contents_of(place.remote) == before else ["fetching changes what is there"]
    return problems + _nothing_more(world, place, FETCH)


def _judge_there(place: Place, *, done: bool) -> list[str]:
    problems = remotes.judge(remotes.contents_of(place.remote), promised(place) if done else ())
    left = remotes.temporaries(place.remote)
    return problems if left <= remotes.TEMPORARIES_AT_MOST else [*problems, f"{left} temporaries are left"]


def _again(world: World, place: Place, scenario: str) -> list[str]:
    program = SCENARIOS[scenario]
    args = [arg.format(told=place.root / "told", remote=place.remote) for arg in program.args]
    code = world.run(place, program.job, *args, seconds=SECONDS)
    return [] if code == 0 else [f"given again it ends with {code}: {place.said[-400:]}"]


def _nothing_more(world: World, place: Place, scenario: str) -> list[str]:
    problems, told = _again(world, place, scenario), place.root / "told"
    last = told.read_text().split()[-1] if told.exists() else "no"
    return problems if last == "0" else [*problems, f"once more {last} blobs travel"]


# -- who serves on the far side


def served(world: World, _number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    """`gitrepro serve-store` is killed on the far side of ssh while blobs come in."""
    sshd = world.server(servers.sshd)
    noted = world.scratch / "server-sshd" / "serving"
    with scene(world, "stored") as place:
        proxy = Proxy(sshd.ports["box"])
        url, options, env, _ = _ssh(world, place, proxy, host="box", helper="gitrepro")
        args = (str(place.root / "told"), url)
        before = len(_numbers(noted))
        pid = world.start(place, "send", *args, options=options, env=env, mutant=mutant)
        lives = Path(f"/proc/{pid}").exists
        _until(lambda: len(_numbers(noted)) > before or not lives())
        if rng.random() < BEFORE_ANY_SHARE:
            time.sleep(rng.uniform(0.0, SERVED_SECONDS))
        else:
            files = rng.randint(1, FILES_AT_MOST)
            _until(lambda: _count_files(place.remote) >= files or not lives())
            _until(lambda: bool(remotes.temporaries(place.remote)) or not lives())  # in the middle of a file
        for number in _numbers(noted)[before:]:
            _end(number)
        code = world.nursery.wait(pid, seconds=SECONDS)
        trial = Trial(problems=[] if code in (0, 5) else [f"it ends with {code}: {place.said[-300:]}"])
        trial.problems += _judge_there(place, done=code == 0)
        if world.run(place, "send", *args, seconds=SECONDS, options=options, env=env) != 0:
            trial.problems.append(f"given again it fails: {place.said[-300:]}")
        proxy.close()
        trial.problems += _judge_there(place, done=True)
        trial.facts["tries that failed by a kill"] = int(code == 5)
        trial.facts["kills"] = 1
        return trial


def _numbers(noted: Path) -> list[int]:
    text = noted.read_text() if noted.exists() else ""
    return [int(line) for line in text[: text.rfind("\n") + 1].split()]


def _count_files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.002)


# -- many at once


def crowd(world: World, _number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    """Each sends what all send, and what it alone has, to one folder, which is not there yet."""
    with scene(world, "stored") as place:
        said = [place.root / f"told-{number}" for number in range(SENDERS)]
        pids = [
            world.start(place, "send", str(path), str(place.remote), seed=number + 1, mutant=mutant)
            for number, path in enumerate(said)
        ]
        codes = [world.nursery.wait(pid, seconds=SECONDS) for pid in pids]
        contents = remotes.contents_of(place.remote)
        trial = Trial(problems=remotes.judge(contents, stores.blobs(home(place)), twice_at_most=SENDERS))
        if codes != [0] * SENDERS:
            trial.problems.append(f"senders ended with {codes}: {place.said[-300:]}")
        if left := remotes.temporaries(place.remote):
            trial.problems.append(f"{left} temporaries are left")
        trial.facts["senders"] = SENDERS
        trial.facts["blobs there"] = len(remotes.blobs(contents))
        return trial


# -- the cases

sent_control = control(SEND, sent, "written in place there", "^write .*state/remote")
fetched_control = control(FETCH, fetched, "written in place", "^write .*store")
MOMENTS = 100


def _kills(scenario: str, settle: Settle, judged_by: Callable[[World, random.Random], list[str]]) -> Case:
    return Case(
        name=f"kill -9 at every call, and at random, of: {scenario}",
        promise=WHOLE,
        full=lambda world: len(world.points(scenario)) + MOMENTS,
        ci=1,
        trial=kill(scenario, settle, 0.3),
        control=judged_by,
        needs=needs_strace,
    )


CASES = (
    _kills(SEND, sent, sent_control),
    _kills(FETCH, fetched, fetched_control),
    Case(
        name="kill -9 at random of: gitrepro serve-store, on the far side of ssh",
        promise=WHOLE,
        full=lambda _: 100,
        ci=0,
        trial=served,
        control=first(served, "cut taken for the end", tries=40),
        needs=lambda _: "" if SSHD else "sshd is not installed",
    ),
    Case(
        name=f"{SENDERS} senders at once to one folder",
        promise="any number of senders; each blob there, and right",
        full=lambda _: 40,
        ci=1,
        each=SENDERS,
        trial=crowd,
        control=first(crowd, "one temporary name"),
    ),
)
