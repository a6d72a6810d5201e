"""The largest batch that fits: doubling, then halving the gap, with a real training step at each size.

A size is tried in a process of its own, so that one that runs out of memory costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ...errors import UsageError

NEVER_FITS, NEVER_FAILS, FOUND, TOO_SLOW = "never fits", "never fails", "found", "too slow"
FITS, OVER, SLOW = "fits", "over", "slow"
_NEARLY_BEST: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One size, tried.

    Attributes:
        verdict: `fits`, `over` (too much memory) or `slow` (it was not done in time).
        peak_bytes: the most memory that was taken; of one that was stopped, what it had by then.
        limit_bytes: what it may take.
        step_seconds: the median of its steps, without the first; None where none was done.
        why: what showed that it does not fit.
        device: `cpu` or `cuda:0`; of a CPU the memory is that of the whole process.
        optimizer: the class of the optimizer that stepped; None where none of torch's did.
        lr: its learning rate.
    """

    size: int
    verdict: str
    peak_bytes: int | None = None
    limit_bytes: int | None = None
    step_seconds: float | None = None
    why: str = ""
    device: str = "cpu"
    optimizer: str | None = None
    lr: float | None = None

    @property
    def per_second(self) -> float | None:
        return self.size / self.step_seconds if self.step_seconds else None

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "per_second": self.per_second}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What came of a search.

    Attributes:
        ended: `found`; `never fits`, not even the smallest; `never fails`, all that was allowed fits; `too slow`, a
            size was not done in time, and larger ones were not tried.
        batch_size: the largest that fits; None where none does.
        trials: each size that was tried, the smallest first.
    """

    ended: str
    batch_size: int | None
    trials: tuple[Trial, ...]

    @property
    def worthwhile(self) -> int | None:
        """The smallest size with nine tenths of the best throughput: beyond it memory buys little speed."""
        rates = [(each.size, each.per_second) for each in self.trials if each.verdict == FITS and each.per_second]
        best = max((rate for _, rate in rates), default=0.0)
        return next((size for size, rate in rates if rate >= _NEARLY_BEST * best), None)

    def document(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "ended": self.ended,
            "trials": [each.document() for each in self.trials],
            "worthwhile": self.worthwhile,
        }


def search(try_size: Callable[[int], Trial], *, at_least: int = 1, at_most: int = 1 << 16) -> Search:
    """Find the largest size that fits, where a size fits if a larger one does.

    Args:
        try_size: tries one size; no size is tried twice.
        at_least, at_most: the sizes that are allowed; `at_most` may be the number of samples there are.

    Raises:
        UsageError: the sizes are no positive integers in order.
    """
    for name, value in (("at_least", at_least), ("at_most", at_most)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} is {value!r:.60}", do="give an integer from 1 up")
    if at_least > at_most:
        raise UsageError(f"at_least is {at_least}, and at_most {at_most}")
    trials = []
    known = {FITS: 0, OVER: at_most + 1}
    for size in _sizes(at_least, at_most, known):
        trial = try_size(size)
        trials.append(trial)
        known[FITS if trial.verdict == FITS else OVER] = size
    trials.sort(key=lambda each: each.size)
    return Search(ended=_ended(trials, known[FITS]), batch_size=known[FITS] or None, trials=tuple(trials))


def _sizes(least: int, most: int, known: Mapping[str, int]) -> Iterator[int]:
    """The next size to try, from the largest that fits and the smallest that does not."""
    size = least
    while size <= most:
        yield size
        if known[OVER] <= size:
            break
        size = most if size < most < 2 * size else 2 * size
    while (fits := known[FITS]) and most >= known[OVER] > fits + max(1, fits // 32):
        yield (fits + known[OVER]) // 2


def _ended(trials: list[Trial], fits: int) -> str:
    if not fits:
        return NEVER_FITS if trials[0].verdict == OVER else TOO_SLOW
    failed = [each for each in trials if each.verdict != FITS]
    if not failed:
        return NEVER_FAILS
    return TOO_SLOW if failed[0].verdict == SLOW else FOUND
