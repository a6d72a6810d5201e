"""What a training costs in time: how long its steps take, how long it waits for data, how much goes through.

A step is timed from the end of one step of the optimizer to the end of the next. The first ones are left out: they
compile, warm caches and start workers. So are those in which a DataLoader begins or comes to its end, since an
evaluation, a checkpoint or a start of workers lies there; these are summed up as `between`. On CUDA the times are those
of events that the device passes, asked for later and never waited for.

This file is also loaded beside `steps.py` into interpreters where gitrepro is not installed, before the user's program
begins. So it imports the standard library only, as little of that as it can, and its syntax is that of Python 3.8.
"""

from __future__ import annotations

import sys
from collections import deque
from math import exp, log
from time import perf_counter
from weakref import WeakSet

from .power import Power

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .steps import Fetch, Step, Steps

WARM_UP_STEPS = 20
"""So many steps at the start are left out of every rate and quantile."""
_BINS_PER_E = 200
"""Times are counted in bins 0.5 % wide: a quantile is right to a quarter of a percent, in memory that does not grow."""
_TELL_SECONDS = 30.0
_WAITING_AT_MOST = 1000


class Times:
    """Durations in seconds, counted, with what went through meanwhile."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.wait_seconds = 0.0
        self.samples = 0
        self.tokens = 0
        self._bins: dict[int, int] = {}

    def add(self, seconds: float, wait_seconds: float = 0.0, samples: int = 0, tokens: int = 0) -> None:
        self.count += 1
        self.seconds += seconds
        self.wait_seconds += min(wait_seconds, seconds)
        self.samples += samples
        self.tokens += tokens
        place = int(log(max(seconds, 1e-9)) * _BINS_PER_E // 1)
        self._bins[place] = self._bins.get(place, 0) + 1

    def quantile(self, share: float) -> float:
        """The duration that `share` of all do not exceed; NaN where there are none."""
        left = share * self.count
        for place, count in sorted(dict(self._bins).items()):
            left -= count
            if left <= 0:
                return exp((place + 0.5) / _BINS_PER_E)
        return float("nan")


class _Interval:
    """What happened since the last step."""

    __slots__ = ("between", "samples", "tokens", "wait_seconds")

    def __init__(self) -> None:
        self.between = False
        self.samples = 0
        self.tokens = 0
        self.wait_seconds = 0.0


class Meter:
    """Measures a training from `start()` to `stop()`. It is told of everything by `Steps` and asks nothing of a device.

    Args:
        steps: what tells of steps and batches.
        tell: takes what is known so far, often at first, then twice a minute, and at the end; what it raises is
            swallowed.
        power: what is read of the machine.
    """

    def __init__(self, steps: Steps, *, tell: Callable[[dict[str, Any]], None], power: Power | None = None) -> None:
        self._steps = steps
        self._tell = tell
        self._power = power or Power()
        self._began = self._told = perf_counter()
        self._pause_seconds = 1.0
        self._stepped = 0
        self._taken = 0
        self._times = Times()
        self._between = Times()
        self._interval = _Interval()
        self._marks: deque[tuple[Any, float, _Interval]] = deque()
        self._on_device: bool | None = None
        self._loaders: WeakSet[Any] = WeakSet()
        self._by_hand = False
        self._extra: dict[str, Any] = {}
        self._end: Callable[[], None] | None = None

    def start(self) -> None:
        if self._end is None:
            self._end = self._steps.subscribe(self._after, fetched=self._fetched)

    def stop(self) -> None:
        """End, and tell of it all once more."""
        if self._end is not None:
            self._end()
            self._end = None
            if self._stepped or self._extra:
                self._tell_now()

    def count(self, *, samples: int = 0, tokens: int = 0) -> None:
        """Say what goes through, for a loop without a DataLoader or whose batches count in tokens.

        Args:
            samples: how many samples this part of a step works on; from the first call on, those of DataLoaders are
                not counted.
            tokens: how many tokens.
        """
        if samples and not self._by_hand:
            self._by_hand, self._interval.samples = True, 0
        self._interval.samples += samples
        self._interval.tokens += tokens

    def note(self, **facts: Any) -> None:
        """Facts measured elsewhere, such as `flops_per_step`; they are told with the rest."""
        self._extra.update(facts)
        self._tell_now()

    def document(self) -> dict[str, Any]:
        """All that is known by now; times in seconds, sizes in bytes."""
        self._settle()
        told: dict[str, Any] = {"steps": self._stepped, "seconds": perf_counter() - self._began}
        times = self._times
        if self._between.count and not times.count:
            told["includes_between"] = True  # every step is an epoch: nothing else can be timed
            times = self._between
        if times.count:
            told.update(_rates(times))
            told["clock"] = "cuda events" if self._on_device else "host"
        if self._between.count and times is not self._between:
            told["between"] = {"count": self._between.count, "seconds": self._between.seconds}
        told.update(self._power.document())
        told.update(self._extra)
        return told

    def _fetched(self, fetch: Fetch) -> None:
        interval = self._interval
        if fetch.ended:
            interval.between = True
            return
        if fetch.iterator not in self._loaders:
            self._loaders.add(fetch.iterator)
            interval.between = True
        interval.wait_seconds += fetch.wait_seconds
        if not self._by_hand and getattr(fetch.iterator, "_auto_collation", True):
            interval.samples += size_of(fetch.batch)

    def _after(self, step: Step) -> None:
        if not step.lead:
            return
        self._stepped += 1
        self._marks.append((self._mark(step.optimizer), step.seconds, self._interval))
        self._interval = _Interval()
        self._settle()
        if step.seconds - self._told >= self._pause_seconds:
            self._pause_seconds = min(2 * self._pause_seconds, _TELL_SECONDS)
            self._tell_now()

    def _tell_now(self) -> None:
        self._told = perf_counter()
        try:
            self._tell(self.document())
        except Exception:  # noqa: BLE001 - the training goes on, whatever our disk says
            return

    def _mark(self, optimizer: Any) -> Any:
        """What the device passes now; None where the host's clock is all there is."""
        if self._on_device is None:
            self._on_device = _is_on_cuda(optimizer)
            self._power.begin()
        if not self._on_device:
            return None
        try:
            event = sys.modules["torch"].cuda.Event(enable_timing=True)
            event.record()
        except Exception:  # noqa: BLE001 - as while a graph is captured
            self._on_device = False
            return None
        return event

    def _settle(self) -> None:
        """Take the intervals whose ends are known; the device is asked and never waited for."""
        while len(self._marks) > 1:
            (first, began, _), (second, ended, interval) = self._marks[0], self._marks[1]
            seconds = ended - began
            if first is not None and second is not None:
                if second.query():
                    seconds = first.elapsed_time(second) / 1000.0
                elif len(self._marks) < _WAITING_AT_MOST:
                    return
            self._marks.popleft()
            self._take(seconds, interval)

    def _take(self, seconds: float, interval: _Interval) -> None:
        self._taken += 1
        if self._taken >= WARM_UP_STEPS:  # the first interval ends with the second step
            times = self._between if interval.between else self._times
            times.add(seconds, interval.wait_seconds, interval.samples, interval.tokens)


def _rates(times: Times) -> dict[str, Any]:
    rates = {
        "timed_steps": times.count,
        "step_seconds": {"mean": times.seconds / times.count, "p50": times.quantile(0.5), "p95": times.quantile(0.95)},
        "timed_seconds": times.seconds,
        "wait_seconds": times.wait_seconds,
    }
    if times.seconds > 0:
        rates["wait_share"] = times.wait_seconds / times.seconds
        for name in ("samples", "tokens"):
            count = getattr(times, name)
            if count:
                rates[name + "_per_second"] = count / times.seconds
    return rates


def _is_on_cuda(optimizer: Any) -> bool:
    try:
        return bool(optimizer.param_groups[0]["params"][0].is_cuda)
    except Exception:  # noqa: BLE001 - no optimizer of torch, or one without parameters
        return False


def size_of(batch: Any) -> int:
    """How many samples a batch holds: the first axis of the first thing in it that has one; 0 where nobody can tell."""
    for _ in range(8):
        shape = getattr(batch, "shape", None)
        if shape is not None:
            return int(shape[0]) if len(shape) else 0
        if isinstance(batch, dict):
            batch = next(iter(batch.values()), None)
        elif isinstance(batch, (list, tuple)) and batch:
            if isinstance(batch[0], (str, bytes, int, float)):
                return len(batch)
            batch = batch[0]
        elif hasattr(batch, "keys") and hasattr(batch, "__getitem__"):  # transformers' BatchEncoding
            batch = next((batch[key] for key in batch.keys()), None)  # noqa: SIM118 - no mapping that iterates keys
        else:
            return 0
    return 0
