"""Planted defects: each promise taken out of the program in turn; which case finds it, and after how many trials.

The table goes to `benchmarks/results/defects.md`. A defect that nothing finds is a promise that nothing tests.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.sync.servers import SSHD

from .case import Trial, needs_strace
from .cases import belongings as users
from .cases import (
    calls,
    crowds,
    cuts,
    damage,
    disks,
    ends,
    hostile,
    keeping,
    kills,
    order,
    powercut,
    pushes,
    races,
    senders,
    stores,
    workers,
)
from .mutants import MUTANTS
from .world import FOLD, LIFE, World

Attempt = Callable[[World, int, random.Random], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A mutant, the kind of fault that shows it, and one attempt to be repeated `at_most` times."""

    mutant: str
    found_by: str
    attempt: Attempt
    at_most: int = 20
    small: bool = True
    needs: Callable[[World], str] = lambda _: ""

    @property
    def what(self) -> str:
        return (MUTANTS[self.mutant].__doc__ or "").splitlines()[0]


def _trial(trial: Callable[..., Trial], mutant: str) -> Attempt:
    return lambda world, number, rng: trial(world, number, rng, mutant=mutant).problems


def _control(control: Callable[[World, random.Random], list[str]]) -> Attempt:
    return lambda world, _, rng: control(world, rng)


def _sweep(scenario: str, mutant: str, where: str) -> Attempt:
    return _control(calls.control_sweep(scenario, mutant, where))


def _cuts(mutant: str) -> Attempt:
    return lambda world, number, rng: powercut.cut("ext4")(world, number * 7 + 2, rng, mutant=mutant).problems


_DISK = powercut.needs("ext4")
_PRUNE = crowds.HOUSEKEEPING[crowds.PRUNING]
_GC = crowds.HOUSEKEEPING["git gc --prune=now and git pack-refs --all"]

DEFECTS = (
    Defect(mutant="buffered", found_by="kill -9 at random", attempt=_trial(kills.kill_api, "buffered")),
    Defect(
        mutant="acknowledged before written",
        found_by="kill -9 at random",
        attempt=_trial(kills.kill_api, "acknowledged before written"),
    ),
    Defect(
        mutant="shared over fork",
        found_by="forked workers",
        attempt=_trial(workers.workers(("fork",), (4,)), "shared over fork"),
    ),
    Defect(mutant="no sync", found_by="power cut", attempt=_cuts("no sync"), at_most=70, small=False, needs=_DISK),
    Defect(
        mutant="sync after rename",
        found_by="the order of system calls",
        attempt=_trial(order.ordered, "sync after rename"),
        needs=needs_strace,
    ),
    Defect(
        mutant="no folder sync",
        found_by="the order of system calls",
        attempt=_trial(order.ordered, "no folder sync"),
        needs=needs_strace,
    ),
    Defect(mutant="short writes ignored", found_by="short writes", attempt=_control(disks.control_short)),
    Defect(
        mutant="same file after a failed sync",
        found_by="a sync that loses its data",
        attempt=_control(disks.control_sync),
    ),
    Defect(
        mutant="ref first",
        found_by="kill -9 at a system call",
        attempt=_sweep(LIFE, "ref first", "objects|refs"),
        needs=needs_strace,
    ),
    Defect(
        mutant="object locks",
        found_by="kill -9 at a system call",
        attempt=_sweep(LIFE, "object locks", "objects|refs"),
        needs=needs_strace,
    ),
    Defect(
        mutant="queue dropped first",
        found_by="kill -9 at a system call",
        attempt=_sweep(FOLD, "queue dropped first", "objects|refs|queue"),
        needs=needs_strace,
    ),
    Defect(
        mutant="strict journal",
        found_by="ENOSPC at a system call",
        attempt=_control(calls.control_strict),
        needs=needs_strace,
    ),
    Defect(
        mutant="written in place",
        found_by="kill -9 at a system call",
        attempt=_control(stores.in_place),
        needs=needs_strace,
    ),
    Defect(
        mutant="record before blobs",
        found_by="kill -9 at a system call of data add",
        attempt=_control(keeping.control_record_first),
        needs=needs_strace,
    ),
    *(
        Defect(
            mutant=mutant,
            found_by="the order of system calls of data add",
            attempt=_trial(order.added, mutant),
            needs=needs_strace,
        )
        for mutant in ("blobs not synced", "blobs synced late", "names not synced")
    ),
    Defect(
        mutant="deleted before copied",
        found_by="kill -9 at a system call of gc",
        attempt=_control(keeping.control_delete_first),
        needs=needs_strace,
    ),
    *(
        Defect(mutant=mutant, found_by="writers at each step of gc", attempt=_trial(races.meeting, mutant))
        for mutant in ("deleted at once", "no second look")
    ),
    Defect(mutant="no grace", found_by="writers beside gc without end", attempt=_trial(races.traffic, "no grace")),
    Defect(mutant="one temporary name", found_by="8 writers of blobs", attempt=_control(stores.control_crowd)),
    Defect(mutant="no checksums", found_by="flipped bits", attempt=_control(damage.control_checksums)),
    Defect(mutant="no magic", found_by="tails of zeros", attempt=_control(damage.control_magic)),
    Defect(mutant="no compare", found_by="8 writers", attempt=_trial(crowds.crowd(8), "no compare")),
    Defect(
        mutant="no lease",
        found_by="8 writers beside a recovery",
        attempt=_trial(crowds.crowd(8, recovering=True), "no lease"),
    ),
    Defect(
        mutant="no rescue",
        found_by="8 writers beside git gc",
        attempt=_trial(crowds.crowd(8, beside=_GC), "no rescue"),
        at_most=30,
        small=False,
    ),
    Defect(
        mutant="no copies",
        found_by="8 writers beside git repack and git prune",
        attempt=_trial(crowds.crowd(8, beside=_PRUNE), "no copies"),
        small=False,
    ),
    Defect(mutant="stale index", found_by="recovery, then ls", attempt=_trial(kills.stale, "stale index")),
    Defect(mutant="user index", found_by="byte for byte", attempt=_control(users.control_belongings)),
    Defect(mutant="no sigterm", found_by="SIGTERM", attempt=_trial(ends.terminated, "no sigterm")),
    Defect(
        mutant="wall clock",
        found_by="a clock that jumps",
        attempt=_trial(ends.jumping_clock, "wall clock"),
        needs=lambda _: "" if ends.faketime() else "faketime is not installed",
    ),
    Defect(
        mutant="cut taken for the end", found_by="cut lines", attempt=_trial(cuts.over_git, "cut taken for the end")
    ),
    Defect(
        mutant="lock of the dead",
        found_by="kill -9 at random of a push",
        attempt=_trial(pushes.push_at_random, "lock of the dead"),
        at_most=40,
        small=False,
    ),
    Defect(mutant="ours alone", found_by="4 clones that push at once", attempt=_trial(pushes.few_clones, "ours alone")),
    Defect(
        mutant="written in place there",
        found_by="kill -9 at a system call",
        attempt=_control(senders.sent_control),
        small=False,
        needs=needs_strace,
    ),
    Defect(
        mutant="tables first",
        found_by="cut lines",
        attempt=_trial(cuts.sending_by_sftp, "tables first"),
        small=False,
        needs=lambda _: "" if SSHD else "sshd is not installed",
    ),
    Defect(mutant="raw terminal", found_by="hostile records", attempt=_control(hostile.control_terminal)),
)


def hunt(world: World, defect: Defect, seed: int) -> tuple[int, str]:
    """After how many attempts the defect was found, 0 for never, and the first thing that was said of it."""
    for number in range(defect.at_most):
        rng = random.Random(f"{seed}:{defect.mutant}:{number}")
        if problems := defect.attempt(world, number, rng):
            return number + 1, problems[0]
    return 0, ""


def hunt_all(results: Path, scratch: Path, seed: int, *, wanted: str = "") -> int:
    """Hunt every defect whose name holds `wanted` and write the table; the exit code is 1 when one was missed."""
    rows, missed, skipped = [], 0, 0
    with World(scratch=scratch / "hunt", shared=scratch / "shared", strace=shutil.which("strace")) as world:
        for defect in (each for each in DEFECTS if wanted in each.mutant):
            why = defect.needs(world)
            count, said = (0, f"skipped: {why}") if why else hunt(world, defect, seed)
            verdict = "skipped" if why else str(count) if count else "MISSED"
            missed += verdict == "MISSED"
            skipped += bool(why)
            rows.append((defect.mutant, defect.what, defect.found_by, verdict, _short(said)))
            print(f"{defect.mutant}: {verdict} {_short(said)}", file=sys.stderr)
    results.mkdir(parents=True, exist_ok=True)
    (results / "defects.md").write_text(_table(rows, seed))
    return 1 if missed else 2 if skipped == len(rows) else 0


def _table(rows: Sequence[tuple[str, ...]], seed: int) -> str:
    head = [
        "# Planted defects",
        "",
        f"Seed {seed}. Each is put into the program at run time; the same cases and the same oracle must find it. "
        "Trials are repeated until one does.",
        "",
        "| defect | what it does | found by | trials | what was said |",
        "| --- | --- | --- | ---: | --- |",
    ]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _short(said: str) -> str:
    return " ".join(said.split()).replace("|", "/")[:160]
