"""Trials, one after the other in this process, or spread over several: each with a world of its own."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, final

from .case import Case, Trial
from .world import World


def generator(seed: int, case: Case, number: int) -> random.Random:
    """What a trial draws from: the same for the same seed, case and number."""
    return random.Random(f"{seed}:{case.name}:{number}")


class Runner(Protocol):
    """Where trials happen."""

    def full(self, case: Case) -> int: ...

    def missing(self, case: Case) -> str: ...

    def control(self, case: Case, seed: int) -> list[str]: ...

    def trials(self, case: Case, numbers: Iterable[int], seed: int) -> Generator[Trial, None, None]: ...


@contextmanager
def runner(cases: tuple[Case, ...], scratch: Path, *, jobs: int) -> Iterator[Runner]:
    if jobs > 1:
        with Crew(cases, scratch, jobs=jobs) as crew:
            yield crew
    else:
        with World(scratch=scratch / "world", shared=scratch / "shared", strace=shutil.which("strace")) as world:
            yield Alone(world)


@final
@dataclass(frozen=True, slots=True)
class Alone:
    """All in this process."""

    world: World

    def full(self, case: Case) -> int:
        return case.full(self.world)

    def missing(self, case: Case) -> str:
        return case.needs(self.world)

    def control(self, case: Case, seed: int) -> list[str]:
        return case.control(self.world, generator(seed, case, -1))

    def trials(self, case: Case, numbers: Iterable[int], seed: int) -> Generator[Trial, None, None]:
        return (case.trial(self.world, number, generator(seed, case, number)) for number in numbers)


_own: Alone
_cases: dict[str, Case]


@final
class Crew:
    """Several processes. Trials come back in the order of their numbers, so that what is done is a prefix of them."""

    def __init__(self, cases: tuple[Case, ...], scratch: Path, *, jobs: int) -> None:
        self._jobs = jobs
        # Forked: a case is a bundle of functions, and some are made on the spot.
        context = multiprocessing.get_context("fork")
        self._pool = ProcessPoolExecutor(jobs, context, initializer=_settle_in, initargs=(cases, scratch))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def full(self, case: Case) -> int:
        return int(self._pool.submit(_do, "full", case.name).result())

    def missing(self, case: Case) -> str:
        return str(self._pool.submit(_do, "missing", case.name).result())

    def control(self, case: Case, seed: int) -> list[str]:
        return list(self._pool.submit(_do, "control", case.name, seed).result())

    def trials(self, case: Case, numbers: Iterable[int], seed: int) -> Generator[Trial, None, None]:
        under_way: deque[Future[Trial]] = deque()
        ahead = 4 * self._jobs
        try:
            for number in numbers:
                under_way.append(self._pool.submit(_trial, case.name, number, seed))
                if len(under_way) >= ahead:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for each in under_way:
                each.cancel()


def _settle_in(cases: tuple[Case, ...], scratch: Path) -> None:
    """In a process of the crew: a world for as long as it lives."""
    global _own, _cases
    number = multiprocessing.current_process().name.rpartition("-")[2]
    world = World(scratch=scratch / f"world-{number}", shared=scratch / "shared", strace=shutil.which("strace"))
    _own, _cases = Alone(_stay.enter_context(world)), {case.name: case for case in cases}


_stay = ExitStack()


def _do(what: str, name: str, *args: Any) -> Any:
    return getattr(_own, what)(_cases[name], *args)


def _trial(name: str, number: int, seed: int) -> Trial:
    return next(_own.trials(_cases[name], [number], seed))
