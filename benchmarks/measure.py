"""What the benchmarks share: CPU seconds of ours and of a floor, taken in turns, and the line that reports them.

Wall time on a shared machine measures the neighbours. CPU time of our process or of our child does so much less, and a
floor taken in turns with it has the same neighbours. So a budget is a ratio to, or a distance from, a floor that was
measured in the same minute.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, final


class Budget(Protocol):
    """What a value may be, given its floor. `str()` of it stands in the table."""

    def allows(self, value: float, floor: float | None) -> bool: ...


@final
@dataclass(frozen=True, slots=True)
class Times:
    """At most `factor` times the floor."""

    factor: float

    def allows(self, value: float, floor: float | None) -> bool:
        return floor is not None and value <= self.factor * floor

    def __str__(self) -> str:
        return f"≤ {self.factor:g}×"


@final
@dataclass(frozen=True, slots=True)
class Added:
    """At most `amount` above the floor, in the unit of the row."""

    amount: float

    def allows(self, value: float, floor: float | None) -> bool:
        return floor is not None and value - floor <= self.amount

    def __str__(self) -> str:
        return f"≤ floor + {self.amount:g}"


@final
@dataclass(frozen=True, slots=True)
class AtMost:
    """At most `amount`, in the unit of the row, whatever the floor."""

    amount: float

    def allows(self, value: float, floor: float | None) -> bool:  # noqa: ARG002  (one shape for all budgets)
        return value <= self.amount

    def __str__(self) -> str:
        return f"≤ {self.amount:g}"


@final
@dataclass(frozen=True, slots=True)
class AtLeast:
    """At least `amount`, in the unit of the row: for rates."""

    amount: float

    def allows(self, value: float, floor: float | None) -> bool:  # noqa: ARG002  (one shape for all budgets)
        return value >= self.amount

    def __str__(self) -> str:
        return f"≥ {self.amount:g}"


@final
@dataclass(frozen=True, slots=True)
class Open:
    """None: the value is told and not judged."""

    def allows(self, value: float, floor: float | None) -> bool:  # noqa: ARG002  (one shape for all budgets)
        return True

    def __str__(self) -> str:
        return "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured budget: medians of `n` rounds, in `unit`. `ratio` is value / floor, where there is a floor."""

    name: str
    unit: str
    floor: float | None
    value: float
    ratio: float | None
    budget: str
    ok: bool
    n: int


def in_turns(
    floor: Callable[[], float], value: Callable[[], float], *, rounds: int, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Call both `rounds` times, a pair a round, and return what each call returned.

    Args:
        floor: measures the floor once and returns it.
        value: measures ours once and returns it, in the same unit.
        warm_up: rounds that are run first and thrown away.
    """
    floors: list[float] = []
    values: list[float] = []
    for number in range(warm_up + rounds):
        # Who goes first changes each round: a cache warmed by one must not always serve the other.
        pair = [(floor, floors), (value, values)]
        for act, into in pair if number % 2 == 0 else reversed(pair):
            into.append(act())
    return floors[warm_up:], values[warm_up:]


def row(
    name: str, values: Sequence[float], *, budget: Budget, unit: str = "ms", floors: Sequence[float] | None = None
) -> Row:
    """Sum the rounds of one benchmark up.

    Raises:
        ValueError: no rounds, or not one floor for each value.
    """
    if not values or (floors is not None and len(floors) != len(values)):
        raise ValueError(f"{name}: {len(values)} values, {len(floors or ())} floors")
    value = statistics.median(values)
    floor = statistics.median(floors) if floors is not None else None
    return Row(
        name=name,
        unit=unit,
        floor=floor,
        value=value,
        ratio=value / floor if floor else None,
        budget=str(budget),
        ok=budget.allows(value, floor),
        n=len(values),
    )


def report(measured: Row) -> None:
    """Print the one line by which a benchmark hands `measured` to `benchmarks.run`."""
    print(json.dumps(asdict(measured), allow_nan=False), flush=True)


def child_cpu_ms(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> float:
    """Run `argv` with its output thrown away. Return the CPU milliseconds of it and of the children it waited for.

    Raises:
        subprocess.CalledProcessError: it failed; a failure's cost is no measurement.
    """
    with subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        # wait4 gives the usage of this child alone; RUSAGE_CHILDREN would add those that ran before.
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise subprocess.CalledProcessError(child.returncode, list(argv))
    return (usage.ru_utime + usage.ru_stime) * 1e3


def family_cpu_ms(act: Callable[[], object]) -> float:
    """Call `act`. Return the CPU milliseconds of this process and of the children it waited for meanwhile."""
    before = _family_ms()
    act()
    return _family_ms() - before


def _family_ms() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both) * 1e3


def own_cpu_ms(act: Callable[[], object]) -> float:
    """Call `act`. Return the CPU milliseconds that this process, all its threads, spent meanwhile."""
    before = time.process_time_ns()
    act()
    return (time.process_time_ns() - before) / 1e6
