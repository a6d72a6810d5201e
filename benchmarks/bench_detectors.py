"""How often the detectors stop what is healthy, and how often they find what is broken; and what guards cost a step.

On simulated curves, and on small real trainings (`trainings.py`). Each of these is told on stderr, with what was found.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks import trainings
from benchmarks.measure import AtLeast, AtMost, Budget, Open, Row, own_cpu_ms, report, row
from benchmarks.trainings import Training
from gitrepro.records.stopping import DivergenceRule, Effect, Finding
from gitrepro.training import stopping
from gitrepro.training.finite import Counted
from gitrepro.training.guards import Guard
from gitrepro.training.stopping import Divergence, EarlyStopping, NoLearning, NonFinite
from gitrepro.training.stopping.diverging import Diverging
from gitrepro.training.stopping.learning import trend

CURVES = int(os.environ.get("BENCH_CURVES", "300"))
TRAININGS = int(os.environ.get("BENCH_TRAININGS", "1000"))
"""So many of the healthy ones, and of the broken ones, at most."""
HEALTHY, BROKEN = (each[:TRAININGS] for each in (trainings.HEALTHY, trainings.BROKEN))
WIDTH = int(os.environ.get("BENCH_WIDTH", "2048"))
RHO = 0.3


# -- simulated curves


def noise(rng: np.random.Generator, sd: float, length: int) -> np.ndarray:
    """Multiplicative noise with a memory, mean 1: AR(1) with the given standard deviation."""
    shocks = rng.normal(0.0, sd * np.sqrt(1 - RHO**2), length)
    values = np.empty(length)
    values[0] = rng.normal(0.0, sd)
    for place in range(1, length):
        values[place] = RHO * values[place - 1] + shocks[place]
    return np.maximum(1.0 + values, 0.01)


def healthy(rng: np.random.Generator, sd: float, length: int, *, slow: float = 1.0) -> np.ndarray:
    """From 2.3 down to 0.3 with a time constant of 200 steps, or a multiple of it."""
    return (0.3 + 2.0 * np.exp(-np.arange(length) / (200.0 * slow))) * noise(rng, sd, length)


def stuck(rng: np.random.Generator, sd: float, length: int) -> np.ndarray:
    return 2.3 * noise(rng, sd, length)


def blown(rng: np.random.Generator, sd: float, *, after: int = 400, doubling_steps: float = 10.0) -> np.ndarray:
    """Healthy for 400 steps; from there it doubles every ten."""
    curve = healthy(rng, sd, after + 200)
    curve[after:] *= 2.0 ** (np.arange(200) / doubling_steps)
    return curve


def diverges_at(curve: np.ndarray, rule: DivergenceRule | None = None) -> int | None:
    watched = Diverging(rule or DivergenceRule())
    return next((place for place, value in enumerate(curve.tolist()) if watched.add(value)), None)


def simulated(curves: int = CURVES) -> Iterator[Row]:
    """Shares of curves, in per cent."""
    rng = np.random.default_rng(0)

    def share(name: str, budget: Budget, make: Callable[[], np.ndarray], holds: Callable[[np.ndarray], bool]) -> Row:
        percent = 100 * sum(holds(make()) for _ in range(curves)) / curves
        return row(name, [percent], budget=budget, unit="%")

    def flat(curve: np.ndarray) -> bool:
        return not trend(curve.tolist()).falls(0.01)

    def lost(curve: np.ndarray) -> bool:
        return diverges_at(curve) is not None

    none, most = AtMost(0), AtLeast(98)
    yield share("not falling: healthy, noise 15 %, 500 steps", none, lambda: healthy(rng, 0.15, 500), flat)
    yield share(
        "not falling: 5 times slower, noise 30 %, 1000 steps", none, lambda: healthy(rng, 0.3, 1000, slow=5), flat
    )
    yield share("not falling: stuck, 500 steps", most, lambda: stuck(rng, 0.15, 500), flat)
    yield share("not falling: stuck, 1000 steps", most, lambda: stuck(rng, 0.15, 1000), flat)
    for sd in (0.05, 0.15, 0.30):
        yield share(f"divergence: healthy, noise {sd:.0%}", none, lambda sd=sd: healthy(rng, sd, 2000), lost)  # type: ignore[misc]
    yield share("divergence: healthy, noise 50 %", Open(), lambda: healthy(rng, 0.5, 2000), lost)
    yield share("divergence: doubling every 10 steps", AtLeast(100), lambda: blown(rng, 0.15), lost)
    late = [at - 400 for at in (diverges_at(blown(rng, 0.15)) for _ in range(curves)) if at is not None]
    yield row("divergence: steps until it is found", late, budget=AtMost(45), unit="steps")


# -- real trainings


def findings_of(training: Training, *, steps: int) -> list[Finding]:
    """What a guard finds in a training, up to the finding that would have stopped it."""
    found: list[Finding] = []
    rules = (NonFinite(), Divergence(), NoLearning(stop=True))
    guard = Guard(rules, on_finding=found.append)
    for step, values in training.rows(steps=steps):
        guard.see(values, step)
        if guard.should_stop():
            break
    guard.close()
    return found


def real(title: str, trainings: tuple[Training, ...], *, steps: int) -> float:
    """The per cent of trainings of which the guard said what it should; each is told on stderr."""
    right = 0
    for training in trainings:
        stopped = [each for each in findings_of(training, steps=steps) if each.effect is not Effect.WARN]
        codes = {each.code for each in stopped}
        good = not codes if training.healthy else bool(codes & training.expected)
        right += good
        told = f"{', '.join(sorted(codes))} at step {stopped[0].step}" if stopped else "nothing"
        print(f"{title:8} {'ok ' if good else 'BAD'} {training.name:44} {told}", file=sys.stderr, flush=True)
    print(f"{title}: {right} of {len(trainings)} as they should be", file=sys.stderr, flush=True)
    return 100 * right / len(trainings)


# -- the cost of a step


def overhead(*, steps: int = 60) -> dict[str, float]:
    """CPU milliseconds of a step of 25 million parameters, and of what a guard does beside it.

    They are measured apart: a difference of two long times on a shared machine tells of the neighbours.
    """
    layers = [layer for _ in range(5) for layer in (torch.nn.ReLU(), torch.nn.Linear(WIDTH, WIDTH))]
    model = torch.nn.Sequential(torch.nn.Linear(512, WIDTH), *layers, torch.nn.ReLU(), torch.nn.Linear(WIDTH, 1024))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    batch = torch.randn(32, 512)

    def step() -> None:
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    counted = Counted(every_steps=1, gradients=True, weights=True)

    def reading() -> None:
        counted.before(optimizer, 0, 0)
        counted.after(optimizer, 0)
        counted.read()

    guard = Guard((EarlyStopping("val/loss"), NonFinite(), Divergence(), NoLearning(), stopping.Budget(hours=1)))

    def rows() -> None:
        for number in range(1000):
            guard.see({"train/loss": 1.0 + number % 7, "lr": 1e-4, "val/loss": 1.0 / (number + 1)}, number)
            guard.should_stop()

    plain, read, seen = (statistics.median(own_cpu_ms(act) for _ in range(count)) for act, count in
                         ((step, steps), (reading, 15), (rows, 5)))  # fmt: skip
    guard.close()
    return {"step": plain, "row": seen / 1000, "reading": read, "share": (seen / 1000 + read / 50) / plain}


def main() -> None:
    torch.set_num_threads(1)
    for each in simulated():
        report(each)
    left_alone = real("healthy", HEALTHY, steps=1100)
    report(row(f"{len(HEALTHY)} healthy trainings: stopped", [100 - left_alone], budget=AtMost(2.5), unit="%"))
    found = real("broken", BROKEN, steps=1100)
    report(row(f"{len(BROKEN)} broken trainings: found", [found], budget=AtLeast(90), unit="%"))
    cost = overhead()
    report(row("a row under five rules", [cost["row"] * 1e3], budget=Open(), unit="µs"))
    report(row("gradients and weights of 25 M parameters, each 50 steps", [cost["reading"]], budget=Open()))
    report(row("guards: share of a 25 M-parameter CPU step", [100 * cost["share"]], budget=AtMost(1), unit="%"))


if __name__ == "__main__":
    main()
