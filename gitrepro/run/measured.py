"""What a run measures of its training: meters, which are always on, and a trace. The part of `Run` for this."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from ..errors import UsageError
from . import metering, tracing
from .warning import warn

if TYPE_CHECKING:
    from ..training.meters import Meter as _Meter
    from ..training.steps import Steps
    from ..training.tracing import Tracer as _Tracer


@final
class Meter:
    """The meters of a run, as `run.meter()` gives them."""

    def __init__(self, meter: _Meter | None, steps: Steps) -> None:
        self._meter = meter
        self._steps = steps

    def count(self, *, samples: int = 0, tokens: int = 0) -> None:
        """Say what goes through, for a loop without a DataLoader or whose batches count in tokens.

        Args:
            samples: how many samples this part of a step works on; from the first call on, those of DataLoaders are
                not counted.
            tokens: how many tokens.

        Raises:
            UsageError: a number is negative or no integer.
        """
        for name, value in (("samples", samples), ("tokens", tokens)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise UsageError(f"the number of {name} is {value!r:.60}", do="give an integer from 0 up")
        if self._meter:
            self._meter.count(samples=samples, tokens=tokens)

    def step(self) -> None:
        """Say that a training step is done, where the optimizer is none of torch's."""
        self._steps.note()

    def input_bound(
        self, step: Callable[[Any], object], loader: Iterable[Any], *, keep: Sequence[Any] = (), count: int = 20
    ) -> Mapping[str, Any]:
        """Find out by experiment whether the data limits the training, and put it on record.

        `count` steps are made with the loader and `count` with one batch of it that is at hand. They are real steps:
        weights and all else in `keep` are put back afterwards, and so are the generators of Python, NumPy and torch.

        Args:
            step: does one whole training step with a batch.
            loader: gives batches; it is started over where it is shorter.
            keep: things with `state_dict` and `load_state_dict`: model, optimizer, scheduler.
            count: how many steps each half has.

        Returns:
            `loader_seconds` and `cached_seconds` a step, `speedup`, and `input_bound`: whether that is at least 1.1.

        Raises:
            UsageError: the loader gives nothing, or `count` is less than 1.
        """
        from ..training.inputbound import input_bound

        found = input_bound(step, loader, steps=self._steps, keep=keep, count=count)
        if self._meter:
            self._meter.note(input_test=found)
        return found


@final
class Trace:
    """The trace of a run, as `run.trace()` gives it."""

    def __init__(self, tracer: _Tracer | None) -> None:
        self._tracer = tracer

    def batch(self, *data: Any, ids: Iterable[Any] | None = None) -> None:
        """Say what the coming step works on, in a loop without a DataLoader.

        Args:
            data: tensors or arrays, or lists and maps of such.
            ids: what tells its samples apart, in their order.
        """
        if self._tracer:
            self._tracer.batch(*data, ids=ids)


class Measured(ABC):
    """The part of a `Run` that measures. A process that was forked or spawned begins with `meter()` or `trace()`."""

    _meter: _Meter | None = None
    _tracer: _Tracer | None = None
    _flops: Any = None

    @abstractmethod
    def _event(self, op: str, **content: Any) -> None: ...

    def meter(self, *, flops: bool = False) -> Meter:
        """What measures this run: step times, waiting for data, samples a second, memory, energy.

        It measures by itself; call this to tell it more.

        Args:
            flops: count the floating-point operations of one of the first steps, as far as torch can: a matrix product,
                a convolution, an attention counts, other things do not. That step takes longer; its results do not
                change.
        """
        from ..training.steps import shared

        steps = shared()
        if self._measuring and self._meter is None and steps.meter is None:
            self._start_meter()
        meter = self._meter or steps.meter
        if flops and meter is not None and self._flops is None:
            from ..training.flops import FlopsOnce

            self._flops = FlopsOnce(steps, tell=self._note_flops)
        return Meter(meter if self._measuring else None, steps)

    def trace(self, *objects: Any) -> Trace:
        """Trace this training: digests of what goes into each step and comes out, to compare with another run's.

        `gitrepro diff A B --trace` then names the first step in which two runs differ, and the likely cause. Batches,
        ids, loss and gradients are seen by themselves where a DataLoader and an optimizer of torch are at work. On a
        device the loss and the norm are fetched once in 50 steps.

        Args:
            objects: the model, which gives the weights their names; optimizers and None are passed over.
        """
        if self._measuring and self._tracer is None:
            self._start_tracer(
                next((each for each in objects if callable(getattr(each, "named_parameters", None))), None)
            )
        return Trace(self._tracer)

    # -- how it is done

    @property
    @abstractmethod
    def _measuring(self) -> bool:
        """Whether what is measured can be told."""

    def _begin_measuring(self) -> None:
        """The meters start with the run, unless those of the command that started us run already."""
        if os.environ.get("GITREPRO_METERS") == "off":
            return
        from ..training.steps import shared

        shared().forget_lead()
        if shared().meter is None:
            self._start_meter()

    def _start_meter(self) -> None:
        from ..training.meters import Meter as Measuring
        from ..training.steps import shared

        self._meter = Measuring(shared(), tell=lambda seen: self._event(metering.OP, seen=seen))
        self._meter.start()

    def _start_tracer(self, model: Any) -> None:
        from ..training.steps import shared
        from ..training.tracing import Tracer

        tracer = Tracer(shared(), begin=self._trace_begun, tell=self._trace_rows, model=model)
        try:
            tracer.start()
        except Exception as error:  # noqa: BLE001 - another release of torch than we know: the training goes on
            warn(f"this run has no trace: {error!r:.300}")
            self._event("lost", what="the trace", why=repr(error)[:300])
            return
        self._tracer = tracer

    def _trace_begun(self, setting: dict[str, Any]) -> None:
        self._event(tracing.BEGUN, setting=setting)

    def _trace_rows(self, rows: list[list[Any]]) -> None:
        weights = self._tracer.weights if self._tracer else {}
        told = {str(row[0]): weights[row[0]] for row in rows if row[0] in weights}
        self._event(tracing.ROWS, rows=rows, **({"weights": told} if told else {}))

    def _note_flops(self, count: int, why: str) -> None:
        from ..training.steps import shared

        meter = self._meter or shared().meter
        if count and meter is not None:
            meter.note(flops_per_step=count)
        else:
            warn(f"the operations of a step are not counted: {why or 'torch knows none of them'}")

    def _end_measuring(self) -> None:
        for each in (self._flops, self._tracer, self._meter):
            if each is not None:
                each.stop()

    def _measuring_after_fork(self) -> None:
        # The threads and the hooks are those of the parent.
        self._meter = self._tracer = self._flops = None
