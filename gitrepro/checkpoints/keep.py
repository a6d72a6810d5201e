"""Which checkpoints stay: the best by validation, the last, and those of a schedule."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

from ..errors import UsageError

Goal = Literal["min", "max"]
KEPT_AT_MOST: Final = 128
"""Checkpoints of one run: so many have room in its record."""
BEST, LAST, KEPT = "best", "last", "kept"
CRASH: Final = "crash"
"""The name of the state of a training that broke: it stays beside the others and is the last of none."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RESERVED: Final = re.compile(r"best|last|step-.*")
# Whole words of a metric's name, as in `val/loss`, `test_acc`, `loss.train`; the gravest first.
_PARTS: Final = {
    "test": ("test", "testing", "tst", "holdout"),
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "eval"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """A schedule, beside the best and the last, which always stay.

    Attributes:
        every_steps: one stays each time this many steps have gone by.
        at_steps: the first one at or after each of these stays.
        keep_last: so many of the newest stay.
    """

    every_steps: int | None = None
    at_steps: tuple[int, ...] = ()
    keep_last: int = 1

    def wants(self, step: int, previous: int) -> bool:
        """Whether the one at `step` is of the schedule, `previous` being the step of the one before it, -1 at first."""
        regular = self.every_steps is not None and step // self.every_steps > max(previous, 0) // self.every_steps
        return regular or any(previous < wanted <= step for wanted in self.at_steps)


def keep_of(*, every_steps: object = None, at_steps: Iterable[object] = (), keep_last: object = 1) -> Keep:
    """A checked schedule.

    Raises:
        UsageError: a number of it is none, or below its least.
    """
    numbers = {"every_steps": every_steps, "keep_last": keep_last}
    for name, value in numbers.items():
        if value is not None and not (_is_whole(value) and value >= 1):  # type: ignore[operator]
            raise UsageError(f"{name} is {value!r:.60}", do="give a whole number from 1 on")
    steps = tuple(at_steps)
    if not all(map(_is_whole, steps)):
        raise UsageError(f"at_steps is {steps!r:.60}", do="give whole numbers: at_steps=(1000, 10_000)")
    return Keep(every_steps=every_steps, at_steps=steps, keep_last=keep_last)  # type: ignore[arg-type]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def metric_of(metric: object) -> tuple[str, Goal] | None:
    """A checked pair of a metric and its goal.

    Raises:
        UsageError: it is no such pair.
    """
    if metric is None:
        return None
    pair = tuple(metric) if isinstance(metric, (tuple, list)) else ()
    if len(pair) != 2 or not isinstance(pair[0], str) or not pair[0] or pair[1] not in ("min", "max"):
        raise UsageError(f"metric is {metric!r:.80}", do='name a metric and its goal: metric=("val/loss", "min")')
    return pair[0], pair[1]


def part_of(metric: str) -> str | None:
    """The part of the data that a metric's name says it is of: `val`, `test`, `train`; None where it says nothing.

    Of a name with several of the words the test part counts before the training part, and that before validation: a
    best checkpoint that was chosen by it is judged by the worst that the name may mean.
    """
    words = {*re.split(r"[^a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", metric).lower())}
    return next((part for part, known in _PARTS.items() if words.intersection(known)), None)


def checked_name(name: object) -> str | None:
    """A checked name of a checkpoint.

    Raises:
        UsageError: no checkpoint may be called so.
    """
    if name is None:
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise UsageError(
            f"a checkpoint cannot be called {name!r:.80}",
            why="a name has letters, digits, dots, dashes and underscores; best, last and step-N mean others",
        )
    return name


@dataclass(slots=True, kw_only=True, eq=False)
class Standing:
    """A checkpoint that is there, and why it stays."""

    blob: str
    step: int
    name: str | None = None
    metric: tuple[str, Goal] | None = None
    value: float | None = None
    pinned: bool = False
    """Named, of the schedule, or not ours to take away."""
    last: bool = False
    recent: bool = False
    best: bool = False
    owned: Any = field(default=None, repr=False)
    """What to give back to the store when it goes."""

    @property
    def roles(self) -> list[str]:
        kept = self.pinned or (self.recent and not self.last)
        return [role for role, holds in ((BEST, self.best), (LAST, self.last), (KEPT, kept)) if holds]


@final
class Shelf:
    """The checkpoints of one run in one process, the oldest first."""

    def __init__(self) -> None:
        self.standing: list[Standing] = []
        self.full = False

    @property
    def previous_step(self) -> int:
        return max((each.step for each in self.standing), default=-1)

    def admit(self, new: Standing, keep: Keep) -> list[Standing]:
        """Put one on the shelf; those that have no reason to stay any more are taken off and returned."""
        new.pinned = new.pinned or new.name is not None or keep.wants(new.step, self.previous_step)
        self._take_over(new)
        aside = new.name == CRASH
        for each in self.standing:
            each.last = each.last and aside
            if new.name is not None and each.name == new.name:
                each.pinned = False
        self._choose_best(new)
        new.last = new.recent = not aside or new.last
        self.standing.append(new)
        for each in self.standing[: -keep.keep_last]:
            each.recent = False
        self._make_room()
        gone = [each for each in self.standing if not each.roles]
        self.standing = [each for each in self.standing if each.roles]
        return gone

    def _take_over(self, new: Standing) -> None:
        """The same bytes again: the newer one stands for both."""
        for each in [each for each in self.standing if each.blob == new.blob]:
            new.pinned = new.pinned or each.pinned
            new.owned = new.owned or each.owned
            new.last = each.last
            if each.best and new.metric is None:
                new.metric, new.value, new.best = each.metric, each.value, True
            self.drop(each)

    def _choose_best(self, new: Standing) -> None:
        if new.metric is None or new.value is None or math.isnan(new.value):
            return
        before = [each for each in self.standing if each.best and each.metric == new.metric]
        sign = 1 if new.metric[1] == "max" else -1
        # The earliest on ties: what came later is no better, and was trained longer for it.
        if any(sign * new.value <= sign * (each.value or 0.0) for each in before):
            return
        new.best = True
        for each in before:
            each.best = False

    def _make_room(self) -> None:
        kept = [each for each in self.standing if each.pinned or (each.recent and not each.last)]
        for each in [each for each in kept if not each.best and not each.last][: 2 - KEPT_AT_MOST]:
            each.pinned = each.recent = False
            self.full = True

    def drop(self, standing: Standing) -> None:
        self.standing = [each for each in self.standing if each is not standing]
