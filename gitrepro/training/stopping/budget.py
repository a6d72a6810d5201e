"""A budget of time, steps, money or energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Final, final

from ...errors import UsageError
from ...records.stopping import Effect, Finding
from .rule import Surroundings, Watch, amount, short, whole

_NAME: Final = "Budget"
_READ_EVERY_SECONDS: Final = 1.0


@final
@dataclass(frozen=True, slots=True)
class Budget:
    """End the training when a budget is used up. The run finishes.

    Args:
        hours: of wall time, from when the guard began.
        steps: as `run.log` counts them: the training ends with the row of step `steps - 1`. A run that goes on with an
            earlier one counts on from there.
        cost: of money, by the `prices` of the policy, for what the machine did since the guard began.
        energy_joules: of energy, where something counts it: all GPUs in use and the processor package.

    Raises:
        UsageError: no budget, or a number that is none or not above 0.
    """

    _: KW_ONLY
    hours: float | None = None
    steps: int | None = None
    cost: float | None = None
    energy_joules: float | None = None

    def __post_init__(self) -> None:
        given = self.parameters()
        if not given:
            raise UsageError("a budget of nothing", do="Budget(hours=2), steps=, cost= or energy_joules=")
        for name, value in given.items():
            if name == "steps":
                whole(name, value, least=1)
            else:
                amount(name, value, above=True)

    def parameters(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def begin(self, world: Surroundings) -> Watch:
        if self.cost is not None and world.cost is None:
            raise UsageError(
                "what this training costs is not known",
                why="the policy has no prices",
                do="write `prices: {gpu: 2.5}` into .gitrepro.yaml: of an hour of a `gpu`, `cpu` or `machine`",
            )
        if self.energy_joules is not None and world.energy_joules is None:
            raise UsageError(
                "nothing here counts energy",
                why="neither NVML (package nvidia-ml-py) nor the counters of the processor can be read",
                do="give hours= instead",
            )
        return _Watch(self, world)


@final
class _Watch(Watch):
    def __init__(self, rule: Budget, world: Surroundings) -> None:
        self._rule = rule
        self._clock = _Forward(world.clock)
        counters = {"cost": (rule.cost, world.cost), "energy_joules": (rule.energy_joules, world.energy_joules)}
        self._counters = {
            name: _Forward(counter) for name, (budget, counter) in counters.items() if budget is not None and counter
        }
        self._used = dict.fromkeys(self._counters, 0.0)
        self._read_at = 0.0
        self._step: int | None = None

    def row(self, step: int) -> Finding | None:
        self._step = step if self._step is None else max(self._step, step)
        used = self._step + 1
        return self._over("steps", used) if self._rule.steps is not None and used >= self._rule.steps else None

    def state(self) -> dict[str, Any]:
        used = {name: counter.read() for name, counter in self._counters.items()}
        return {"seconds": self._clock.read(), "used": used, "step": self._step}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._clock.go_on(state["seconds"])
        for name, used in state["used"].items():
            if name in self._counters:
                self._counters[name].go_on(used)
                self._used[name] = used
        self._step = state["step"]

    def look(self) -> Finding | None:
        seconds = self._clock.read()
        if self._rule.hours is not None and seconds / 3600.0 >= self._rule.hours:
            return self._over("hours", seconds / 3600.0)
        self._read(seconds)
        over = (name for name, used in self._used.items() if used >= getattr(self._rule, name))
        return next((self._over(name, self._used[name]) for name in over), None)

    def _read(self, seconds: float) -> None:
        # A counter is a file or a driver: once a second is often enough.
        if self._counters and seconds - self._read_at >= _READ_EVERY_SECONDS:
            self._read_at = seconds
            self._used = {name: counter.read() for name, counter in self._counters.items()}

    def _over(self, what: str, used: float) -> Finding:
        budget = getattr(self._rule, what)
        unit = {"energy_joules": "joules", "cost": "of the currency of the policy"}.get(what, what)
        said = f"the budget of {short(budget)} {unit} is used up: {short(used)}"
        seen = {"used": used, "budget": budget, "unit": what}
        code = f"budget-{what.removesuffix('_joules')}"
        return Finding(rule=_NAME, code=code, effect=Effect.END, step=self._step, seen=seen, said=said)


class _Forward:
    """How far a counter has come since it was first read. Where it goes backwards, it is counted on from there."""

    def __init__(self, counter: Callable[[], float]) -> None:
        self._counter = counter
        self._before = counter()
        self._sum = 0.0

    def go_on(self, from_there: float) -> None:
        """Count on from so much, of another process."""
        self._sum += from_there

    def read(self) -> float:
        now = self._counter()
        self._sum += max(0.0, now - self._before)
        self._before = now
        return self._sum
