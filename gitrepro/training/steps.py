"""The end of every optimizer step, and every batch a DataLoader hands over: the one place that looks.

torch calls hooks of its own around the step of each optimizer, of any class, whoever made it. A `Steps` registers one
pair of them and tells those who asked. What a DataLoader hands over is seen as it is handed over. Nothing is changed,
torch is not imported for this, and it may come later: `shared()` waits for it.

This file is also loaded beside `seeds.py` into interpreters where gitrepro is not installed, before the user's program
begins. So it imports the standard library only, as little of that as it can, and its syntax is that of Python 3.8.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter
from weakref import ref

from .seeds import Finder

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_OPTIMIZER = "torch.optim.optimizer"
_LOADER = "torch.utils.data.dataloader"
_STEPS_WITHOUT_LEAD = 100
"""When other optimizers stepped so often and the lead did not, its time is over: another one leads from there."""


class Step:
    """One step of one optimizer.

    Attributes:
        number: how many steps of the training came before this one.
        lead: whether it belongs to the optimizer that is counted. Of several, as in a GAN, that is the one that
            stepped first: its steps are the steps of the training.
        optimizer: the optimizer; do not keep it.
        seconds: of `time.perf_counter`, when the step began (before) or ended (after).
    """

    __slots__ = ("lead", "number", "optimizer", "seconds")

    def __init__(self, number: int, lead: bool, optimizer: Any, seconds: float) -> None:
        self.number = number
        self.lead = lead
        self.optimizer = optimizer
        self.seconds = seconds


class Fetch:
    """One batch that a DataLoader handed over, or the end of its data.

    Attributes:
        batch: what was handed over; None at the end.
        ended: whether there was no more.
        iterator: the loader's iterator; do not keep it.
        seconds: of `time.perf_counter`, when it was handed over.
        wait_seconds: how long the program stood and waited for it.
    """

    __slots__ = ("batch", "ended", "iterator", "seconds", "wait_seconds")

    def __init__(self, batch: Any, ended: bool, iterator: Any, seconds: float, wait_seconds: float) -> None:
        self.batch = batch
        self.ended = ended
        self.iterator = iterator
        self.seconds = seconds
        self.wait_seconds = wait_seconds


class Steps:
    """Counts the optimizer steps of this process and tells of each. Use `shared()`; one is enough for a process.

    An error in a callback ends there: the training goes on. `SystemExit` and `KeyboardInterrupt` pass.

    Attributes:
        count: the steps of the training so far.
        paused: what happens now is no part of the training, and nobody is told of it.
        meter: the `Meter` that measures this process as a whole, where one was set up before the program began.
    """

    def __init__(self) -> None:
        self.count = 0
        self.paused = False
        self.meter: Any = None
        self._lead: Callable[[], Any] | None = None
        self._without_lead = 0
        self._before: list[Callable[[Step], None]] = []
        self._after: list[Callable[[Step], None]] = []
        self._fetched: list[Callable[[Fetch], None]] = []
        self._indexed: list[Callable[[Any, Any], None]] = []
        self._handles: list[Any] = []
        self._replaced: list[tuple[Any, str, Any, Any]] = []
        self._pid = os.getpid()
        self._finder = Finder((_OPTIMIZER, _LOADER), self.meet)
        self._finder.gitrepro_steps = self  # type: ignore[attr-defined]

    def subscribe(
        self,
        after: Callable[[Step], None] | None = None,
        *,
        before: Callable[[Step], None] | None = None,
        fetched: Callable[[Fetch], None] | None = None,
        indexed: Callable[[Any, Any], None] | None = None,
    ) -> Callable[[], None]:
        """Be told of what happens from now on.

        Args:
            after: is called when an optimizer has stepped.
            before: is called when an optimizer is about to step: gradients are there, weights are the old ones.
            fetched: is called when a DataLoader hands over a batch, and when it has no more.
            indexed: is called with a DataLoader's iterator and the ids its sampler drew for a batch that will come;
                of one iterator the batches come in this order.

        Returns:
            A function that ends it.
        """
        pairs: list[tuple[list[Any], Any]] = [
            (known, each)
            for known, each in (
                (self._after, after),
                (self._before, before),
                (self._fetched, fetched),
                (self._indexed, indexed),
            )
            if each is not None
        ]
        for known, each in pairs:
            known.append(each)

        def unsubscribe() -> None:
            for known, each in pairs:
                if each in known:
                    known.remove(each)

        return unsubscribe

    def forget_lead(self) -> None:
        """Another training begins: the optimizer that steps next is the one that is counted."""
        self._lead, self._without_lead = None, 0

    def note(self, optimizer: Any = None) -> None:
        """A step was done by something that torch calls no hooks around.

        Args:
            optimizer: what did it; anything that stays the same object from step to step.
        """
        optimizer = self if optimizer is None else optimizer
        self._begin(optimizer, (), {})
        self._end(optimizer, (), {})

    def start(self) -> None:
        """Begin: now where torch is imported, else once it is."""
        sys.meta_path.insert(0, self._finder)
        for name in (_OPTIMIZER, _LOADER):
            module = sys.modules.get(name)
            if module is not None:
                self.meet(name, module, fresh=False)

    def after_fork(self) -> None:
        """Begin anew in a child that was forked: who subscribed did so in its parent."""
        if self._pid != os.getpid():
            self._pid, self.count, self._lead, self._without_lead = os.getpid(), 0, None, 0
            for known in (self._before, self._after, self._fetched, self._indexed):
                known.clear()

    def stop(self) -> None:
        """Take everything back."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for owner, attribute, original, ours in reversed(self._replaced):
            if vars(owner).get(attribute) is ours:  # someone else's wrapper around ours stays, and ours is now idle
                setattr(owner, attribute, original)
        self._replaced.clear()

    def meet(self, name: str, module: ModuleType, *, fresh: bool) -> None:
        """A module of torch is here."""
        del fresh
        try:
            if name == _OPTIMIZER:
                self._hook(module)
            else:
                self._watch_loader(module)
        except Exception:  # noqa: BLE001 - another release of torch: what we cannot see stays unseen
            return

    def _hook(self, module: Any) -> None:
        if not self._handles and hasattr(module, "register_optimizer_step_post_hook"):  # else its import is half way
            self._handles.append(module.register_optimizer_step_pre_hook(self._begin))
            self._handles.append(module.register_optimizer_step_post_hook(self._end))

    # -- steps

    def _begin(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        del args, kwargs
        if self.paused:
            return
        if self._lead is None or self._lead() is None or self._without_lead >= _STEPS_WITHOUT_LEAD:
            self._lead = _weak(optimizer)
        if self._before and self._pid == os.getpid():
            step = Step(self.count, self._lead() is optimizer, optimizer, perf_counter())
            for tell in tuple(self._before):
                _quietly(tell, step)

    def _end(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        del args, kwargs
        if self.paused:
            return
        lead = self._lead is not None and self._lead() is optimizer
        self._without_lead = 0 if lead else self._without_lead + 1
        step = Step(self.count, lead, optimizer, perf_counter())
        self.count += lead
        if self._pid == os.getpid():  # a forked child has our hooks, but not our story to tell
            for tell in tuple(self._after):
                _quietly(tell, step)

    # -- batches

    def _watch_loader(self, module: Any) -> None:
        kind = getattr(module, "_BaseDataLoaderIter", None)
        if kind is None or self._replaced:
            return
        self._replace(kind, "__next__", self._observed_next(kind.__next__))
        if hasattr(kind, "_next_index"):
            self._replace(kind, "_next_index", self._observed_index(kind._next_index))

    def _replace(self, owner: Any, attribute: str, ours: Any) -> None:
        original = vars(owner)[attribute]
        ours.__name__, ours.__qualname__ = original.__name__, original.__qualname__
        ours.__module__, ours.__doc__ = original.__module__, original.__doc__
        ours.__wrapped__ = original
        setattr(owner, attribute, ours)
        self._replaced.append((owner, attribute, original, ours))

    def _observed_next(self, original: Any) -> Any:
        def observed(iterator: Any) -> Any:
            if not self._fetched or self.paused or self._pid != os.getpid():
                return original(iterator)
            began = perf_counter()
            try:
                batch = original(iterator)
            except StopIteration:
                self._tell_fetch(None, True, iterator, began)
                raise
            self._tell_fetch(batch, False, iterator, began)
            return batch

        return observed

    def _tell_fetch(self, batch: Any, ended: bool, iterator: Any, began: float) -> None:
        now = perf_counter()
        fetch = Fetch(batch, ended, iterator, now, now - began)
        for tell in tuple(self._fetched):
            _quietly(tell, fetch)

    def _observed_index(self, original: Any) -> Any:
        def observed(iterator: Any) -> Any:
            index = original(iterator)
            if self._indexed and not self.paused and self._pid == os.getpid():
                for tell in tuple(self._indexed):
                    _quietly(tell, iterator, index)
            return index

        return observed


# As torch.compiler.disable does it, whose import takes seconds: a step that is compiled calls our hooks, and what is in
# them is not compiled.
for _hook in (Steps._begin, Steps._end):
    _hook.__dict__["_torchdynamo_disable"] = True
    _hook.__dict__["_torchdynamo_disable_msg"] = None


def shared() -> Steps:
    """The one of this process, begun at the first call; also one that another copy of this file began."""
    for finder in sys.meta_path:
        steps: Steps | None = getattr(finder, "gitrepro_steps", None)
        if steps is not None:
            steps.after_fork()
            return steps
    steps = Steps()
    steps.start()
    return steps


def _weak(optimizer: Any) -> Callable[[], Any]:
    try:
        return ref(optimizer)
    except TypeError:
        return lambda: optimizer


def _quietly(tell: Callable[..., None], *args: Any) -> None:
    try:
        tell(*args)
    except Exception:  # noqa: BLE001 - we are a guest in someone's training run
        return
