"""A guard: rules that watch one training, and the answer to whether it should stop."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from ..errors import UsageError
from ..records.stopping import ANOTHER_RANK, Effect, Finding
from .finite import Counted, Waiting, on_device
from .gathered import agreed
from .lastbatches import LastBatches
from .steps import Step, shared
from .stopping import NonFinite, Rule, Surroundings, Watch
from .stopping.diverging import GRADIENT_NORM

STATE_VERSION: Final = 1
_ROWS_WITHOUT: Final = 10_000
"""After so many rows it is said that a metric was never among them."""
_READ_EVERY_ROWS: Final = 50
_GRAVITY: Final = {Effect.END: 1, Effect.ABORT: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a training stops, what else was found, and what it had in hand.

    Attributes:
        also: findings of other rules that would have stopped it, too.
        batches: of the last 20 batches `after_step` and `ids`, as far as anybody told.
        trained: `model`, `optimizer`, `scheduler` and `scaler`, those that the program gave and that are still there.
    """

    finding: Finding
    also: Sequence[Finding] = ()
    batches: Sequence[Mapping[str, Any]] = ()
    trained: Mapping[str, Any] = field(default_factory=dict)


@final
class Guard:
    """Rules that watch one training. Made by `run.guard`; it hears what `run.log` is given.

    Any thread may call it. What goes wrong inside is told once and never raised: a training does not end by its guard's
    fault.

    Args:
        rules: the rules, the most important first.
        world: what they may ask of the world.
        on_finding: is called with each thing found, at once, in the thread that showed it.
        on_stop: is called once, when `should_stop` first says yes.
        on_fault: is told what went wrong.

    Raises:
        UsageError: a rule cannot work here, or is none.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        world: Surroundings | None = None,
        on_finding: Callable[[Finding], None] = lambda _finding: None,
        on_stop: Callable[[Stop], None] = lambda _stop: None,
        on_fault: Callable[[str], None] = lambda _message: None,
    ) -> None:
        self.rules = tuple(rules)
        self._watches = [_checked(rule).begin(world or Surroundings()) for rule in self.rules]
        self._on_finding, self._on_stop, self._on_fault = on_finding, on_stop, on_fault
        self._lock = threading.RLock()
        self._wanted: dict[str, list[Watch]] = {}
        self._fired: dict[int, Finding] = {}
        self._told: Finding | None = None
        self._warned_missing = self._faulty = False
        self._rows = 0
        self._step: int | None = None
        self._trained: dict[str, Callable[[], Any]] = {}
        self._waiting = Waiting()
        self._batches = LastBatches()
        self._counted = _counted(self.rules)
        self._read_every = min((rule.every_steps for rule in _nonfinite(self.rules)), default=_READ_EVERY_ROWS)
        steps = shared()
        steps.forget_lead()  # of a training before, whose optimizer may live on for a while
        self._unsubscribe = steps.subscribe(
            self._stepped, before=self._stepping, indexed=self._batches.indexed, fetched=self._batches.fetched
        )
        for watch in self._watches:
            for finding in watch.begun():
                self._take(watch, finding)

    @property
    def reason(self) -> Finding | None:
        """Why the training should stop, or None. What aborts counts before what ends, then the order of the rules."""
        found = [self._fired[place] for place in sorted(self._fired)]
        return self._told or min(found, key=lambda each: each.effect is not Effect.ABORT, default=None)

    def should_stop(self, *, across_ranks: bool = False) -> bool:
        """Whether the training should stop. The first yes is told on stderr and on record, with the reason.

        Ask it in the loop, at each step or at each epoch: it takes microseconds, and reads no device.

        Args:
            across_ranks: of several processes under torch.distributed, stop all when one of them should. This is a
                collective, and waits for the others: each rank must ask equally often. Without it each rank judges by
                what it logged itself, and one that leaves the loop alone leaves the others waiting.
        """
        with self._lock:
            for watch in self._watches:
                self._quietly(lambda watch=watch: self._take(watch, watch.look()))  # type: ignore[misc]
            if across_ranks:
                self._quietly(self._ask_ranks)
            reason = self.reason
            if reason is not None and self._told is None:
                self._told = reason
                self._quietly(lambda: self._on_stop(self._stop(reason)))
            return reason is not None

    def watch(self, model: Any = None, optimizer: Any = None, scheduler: Any = None, scaler: Any = None) -> None:
        """Say what is trained: on an abort its state is saved, as the checkpoint `crash`. Kept by weak references."""
        given = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        self._trained |= {name: _weak(each) for name, each in given.items() if each is not None}

    def batch(self, ids: Any) -> None:
        """Say which examples the next step is trained on: a list of ids. Those of a DataLoader are seen unasked."""
        self._batches.add(ids)

    def see(self, values: Mapping[str, Any], step: int) -> None:
        """Take a row of metrics, as `run.log` has it. A number on a device is read later, with others."""
        with self._lock:
            self._quietly(lambda: self._see(values, step))

    def state_dict(self) -> dict[str, Any]:
        """What the rules have seen: plain values, to be saved with a checkpoint, as `extra={"guard": guard}`."""
        with self._lock:
            self._quietly(self._read)
            states = [{"rule": name, **state} for name, state in zip(self._names(), self._states(), strict=True)]
            return {"version": STATE_VERSION, "rules": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. What had been found is not: who resumes has decided to go on.

        Raises:
            UsageError: it is no such state, or one of other rules.
        """
        if not isinstance(state, Mapping) or state.get("version") != STATE_VERSION:
            raise UsageError("this is no state of a guard", do="give what guard.state_dict() returned")
        saved = [str(each["rule"]) for each in state["rules"]]
        if saved != self._names():
            raise UsageError(
                f"the state is of a guard with {', '.join(saved) or 'no rules'}",
                why=f"this one has {', '.join(self._names()) or 'none'}",
                do="give it the same rules in the same order, or leave its state out",
            )
        with self._lock:
            for watch, each in zip(self._watches, state["rules"], strict=True):
                if callable(getattr(watch, "restore", None)):
                    watch.restore(each)

    def _names(self) -> list[str]:
        return [type(rule).__name__ for rule in self.rules]

    def _states(self) -> list[dict[str, Any]]:
        return [dict(watch.state()) if callable(getattr(watch, "state", None)) else {} for watch in self._watches]

    def close(self) -> None:
        """The training is over: read what waits, and say what was never there to be judged."""
        with self._lock:
            self._unsubscribe()
            self._quietly(self._read)
            self._say_missing()
            if self._fired and self._told is None:
                first = self.reason
                assert first is not None
                said = f"nobody asked, and so nobody stopped: {first.said}"
                finding = Finding(rule=first.rule, code="not-stopped", effect=Effect.WARN, said=said, step=first.step)
                self._on_finding(finding)

    def listen(self, on_finding: Callable[[Finding], None]) -> None:
        """Let another one take what is found from now on."""
        self._on_finding = on_finding

    def _ask_ranks(self) -> None:
        heard = agreed(_GRAVITY[self.reason.effect] if self.reason else 0)
        if self.reason is None and heard:
            effect = next(effect for effect, gravity in _GRAVITY.items() if gravity == heard)
            said = "another rank says that all should stop"
            finding = Finding(rule="Guard", code=ANOTHER_RANK, effect=effect, said=said, step=self._step)
            self._fired[len(self._watches)] = finding
            self._on_finding(finding)

    # -- rows

    def _see(self, values: Mapping[str, Any], step: int) -> None:
        self._step = self._batches.step = step
        self._rows += 1
        for name, value in values.items():
            watches = self._wanted.get(name)
            if watches is None:
                watches = self._wanted[name] = [each for each in self._watches if each.wants(name)]
            if not watches:
                continue
            if on_device(value):
                self._waiting.add(name, step, value)
            elif (number := _number(value)) is not None:
                self._give(watches, name, number, step)
        for watch in self._watches:
            self._take(watch, watch.row(step))
        if self._rows % self._read_every == 0:
            self._read()
        if self._rows == _ROWS_WITHOUT:
            self._say_missing()

    def _give(self, watches: Iterable[Watch], name: str, value: float, step: int) -> None:
        for watch in watches:
            self._take(watch, watch.see(name, value, step))

    def _read(self) -> None:
        """The one place where the training waits for a device."""
        for name, step, value in self._waiting.read():
            self._give(self._wanted[name], name, value, step)

    def _take(self, watch: Watch, finding: Finding | None) -> None:
        place = self._watches.index(watch)
        if finding is None or place in self._fired:
            return
        if finding.effect is not Effect.WARN:
            self._fired[place] = finding
        self._on_finding(finding)

    def _say_missing(self) -> None:
        if self._warned_missing or not self._rows:
            return
        for rule, watch in zip(self.rules, self._watches, strict=True):
            if (metric := watch.missing()) is not None:
                self._warned_missing = True
                rows = "1 row" if self._rows == 1 else f"{self._rows:,} rows"
                said = f"{metric} was in none of {rows}{_near(metric, self._wanted)}"
                name = type(rule).__name__
                seen = {"metric": metric, "rows": self._rows, "logged": sorted(self._wanted)[:20]}
                found = Finding(rule=name, code="never-logged", effect=Effect.WARN, said=said, seen=seen)
                self._on_finding(found)

    # -- optimizer steps

    def _stepping(self, step: Step) -> None:
        if self._counted:
            self._counted.before(step.optimizer, step.number, self._logged(step))

    def _stepped(self, step: Step) -> None:
        if self._counted:
            self._counted.after(step.optimizer, step.number)
            if step.lead and self._counted.due(step.number):
                with self._lock:
                    self._quietly(lambda: self._read_counts(self._logged(step)))

    def _read_counts(self, step: int) -> None:
        assert self._counted is not None
        for what, count in self._counted.read().items():
            for watch in self._watches if count else ():
                self._take(watch, watch.counted(what, count, step))
        norms = [(at, norm) for _, at, norm in self._counted.norms.read()]
        watches = [each for each in self._watches if norms and each.wants(GRADIENT_NORM)]
        for at, norm in norms:
            self._give(watches, GRADIENT_NORM, norm, at)

    def _logged(self, step: Step) -> int:
        return step.number if self._step is None else self._step

    # -- the end

    def _stop(self, reason: Finding) -> Stop:
        also = [each for each in self._fired.values() if each is not reason]
        trained = {name: found for name, each in self._trained.items() if (found := each()) is not None}
        return Stop(finding=reason, also=also, batches=self._batches.plain(), trained=trained)

    def _quietly(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - a stranger's number, a lost device: the training goes on
            if not self._faulty:
                self._faulty = True
                self._on_fault(f"{type(error).__name__}: {error!s:.300}")


def _checked(rule: Any) -> Rule:
    if isinstance(rule, type) or not callable(getattr(rule, "begin", None)):
        raise UsageError(f"{rule!r:.60} is no rule", do='guard(EarlyStopping("val/loss"), Divergence())')
    return rule  # type: ignore[no-any-return]


def _number(value: Any) -> float | None:
    """`value` as a float; None where `run.log` says that it is no number."""
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def _nonfinite(rules: Iterable[Rule]) -> list[NonFinite]:
    return [rule for rule in rules if isinstance(rule, NonFinite)]


def _counted(rules: Iterable[Rule]) -> Counted | None:
    found = _nonfinite(rules)
    gradients, weights = any(each.gradients for each in found), any(each.weights for each in found)
    if not gradients and not weights:
        return None
    return Counted(every_steps=min(each.every_steps for each in found), gradients=gradients, weights=weights)


def _near(metric: str, logged: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(metric, list(logged), n=3)
    return f"; nearest are {', '.join(near)}" if near else ""


def _weak(obj: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(obj)
    except TypeError:
        return lambda: obj
