"""The guards of a run under way: what `Run.guard` makes, and what becomes of what they find."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, final

from ..checkpoints.keep import CRASH
from ..records.stopping import Effect, Finding
from ..training.guards import Guard, Stop
from ..training.stopping import (
    Budget,
    Divergence,
    EarlyStopping,
    NoLearning,
    NonFinite,
    Rule,
    Surroundings,
)
from .stopped import FOUND, RULES, STOPPED
from .trained import Trained
from .warning import warn

__all__ = ["Budget", "Divergence", "EarlyStopping", "Guard", "Guarding", "NoLearning", "NonFinite", "Rule"]


@final
class Guarding:
    """The guards of one run in this process.

    Args:
        tell: takes an event for the journal.
        settle: brings the journal to disk.
        save: saves a checkpoint of what it is given, by a name.
        trained: what the program trains, as far as it has shown it.
        goals: what is better, `min` or `max`, by metric, as far as the program has said so by now.
        start: the folder that the run began in.
    """

    def __init__(
        self,
        *,
        tell: Callable[..., None],
        settle: Callable[[], object],
        save: Callable[..., bool],
        trained: Trained,
        goals: Mapping[str, str],
        start: Path | None,
    ) -> None:
        self._tell, self._settle, self._save = tell, settle, save
        self._trained, self._goals, self._start = trained, goals, start
        self._guards: list[Guard] = []
        self.aborted: Finding | None = None

    def guard(self, rules: tuple[Rule, ...]) -> Guard:
        """A guard that hears what is logged from now on.

        Raises:
            UsageError: a rule cannot work here, or is none.
        """
        world = surroundings(rules, goals=self._goals, start=self._start)
        guard = Guard(rules, world=world, on_finding=self._found, on_stop=self._stopped, on_fault=_fault)
        self._tell(RULES, rules=[{"rule": type(rule).__name__, "parameters": rule.parameters()} for rule in rules])
        self._guards.append(guard)
        return guard

    def see(self, values: Mapping[str, Any], step: int) -> None:
        """A row was logged."""
        for guard in self._guards:
            guard.see(values, step)

    def close(self) -> None:
        """The run ends."""
        guards, self._guards = self._guards, []
        for guard in guards:
            guard.close()

    def _found(self, finding: Finding) -> None:
        self._tell(FOUND, finding=finding.document())
        if finding.effect is Effect.WARN:
            warn(_words(finding, f"{finding.rule}: {finding.said}"))

    def _stopped(self, stop: Stop) -> None:
        finding = stop.finding
        if finding.effect is not Effect.ABORT:
            self._tell(STOPPED, finding=finding.document())
            warn(_words(finding, f"the training should stop, says {finding.rule}: {finding.said}"))
            return
        self.aborted = self.aborted or finding
        trained = {**self._trained.now(), **stop.trained}
        saved = bool(trained) and self._saved(trained)
        self._tell(
            STOPPED,
            finding=finding.document(),
            batches=list(stop.batches),
            **({"checkpoint": CRASH} if saved else {}),
        )
        self._settle()
        warn(_words(finding, f"the training should be given up, says {finding.rule}: {finding.said}"))

    def _saved(self, trained: Mapping[str, Any]) -> bool:
        try:
            return self._save(CRASH, trained)
        except Exception as error:  # noqa: BLE001 - a state that cannot be kept; why the training stopped must be told
            warn(f"the checkpoint {CRASH} is not saved: {error!s:.300}")
            return False


def _words(finding: Finding, said: str) -> str:
    advice = finding.advice
    parts = [said, f"do: {advice.do}" if advice.do else "", f"otherwise: {advice.risk}" if advice.risk else ""]
    return ". ".join(part for part in parts if part)


def _fault(message: str) -> None:
    warn(f"a guard has met an error of its own and goes on: {message}")


def surroundings(rules: Iterable[Rule], *, goals: Mapping[str, str], start: Path | None) -> Surroundings:
    """What the rules may ask of the world; prices and counters are looked up only when one of them does."""
    budgets = [rule for rule in rules if isinstance(rule, Budget)]
    cost = _spending(start) if any(rule.cost is not None for rule in budgets) else None
    joules = _joules() if any(rule.energy_joules is not None for rule in budgets) else None
    return Surroundings(goals=dict(goals), cost=cost, energy_joules=joules)


def _spending(start: Path | None) -> Callable[[], float] | None:
    from ..analysis.efficiency import cost_of
    from .metering import PRICES, prices_at
    from .place import find

    prices = prices_at(find(start or Path.cwd(), os.environ)).get(PRICES)
    if not prices:
        return None
    power, began = _power(), time.monotonic()

    def spent() -> float:
        cost = cost_of(power.document(), prices=prices, duration_seconds=time.monotonic() - began)
        return cost["amount"] if cost else 0.0

    return spent


def _joules() -> Callable[[], float] | None:
    power = _power()
    if not power.document().get("energy_joules"):
        return None
    return lambda: sum((power.document().get("energy_joules") or {}).values())


def _power() -> Any:
    from ..training.power import Power

    power = Power()
    power.begin()
    return power
