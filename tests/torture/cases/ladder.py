"""Who only wants to win: guesses that learn the labels of a sealed test set from what is told of each score."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gitrepro.analysis.ladder import Ladder, climb

from ..case import Case, Trial
from ..world import World

EXAMPLES = 1000
QUERIES = 500
ATTACKS = 20
"""How many strangers try it in one trial."""
MOST = 0.52
"""What the ladder lets them reach on average; without any knowledge it is 0.50."""
LEAKED = 0.70
"""What they reach at the least on average, where each score is told in full."""
SPREAD = 0.018
"""The standard deviation of what one stranger reaches, from these simulations."""
SCALE = 10_000

Told = Callable[[np.ndarray], "float | None"]
"""Takes guesses; gives their accuracy where it is told, else None."""


def ladder(labels: np.ndarray) -> Told:
    """What our ladder tells."""
    state = Ladder()

    def ask(guesses: np.ndarray) -> float | None:
        nonlocal state
        state, step = climb(state, (guesses != labels).astype(np.float64))
        return float(np.mean(guesses == labels)) if step.told else None

    return ask


def everything(labels: np.ndarray) -> Told:
    """Full feedback: each score to its last digit."""
    return lambda guesses: float(np.mean(guesses == labels))


def boosting(ask: Told, rng: np.random.Generator) -> np.ndarray:
    """Guess at random, and let the guesses vote that were told to be better than chance, the worse ones against."""
    votes = np.zeros(EXAMPLES)
    for _ in range(QUERIES):
        guesses = rng.integers(0, 2, EXAMPLES)
        told = ask(guesses)
        if told is not None:
            votes += (1 if told > 0.5 else -1) * (2 * guesses - 1)
    return (votes > 0).astype(int)


def climbing(flips: int) -> Callable[[Told, np.random.Generator], np.ndarray]:
    """Turn some guesses of the best so far, and keep what is told to be better."""

    def attack(ask: Told, rng: np.random.Generator) -> np.ndarray:
        guesses = rng.integers(0, 2, EXAMPLES)
        best = ask(guesses) or 0.0
        if best < 0.5:
            # All of them turned are better than chance.
            guesses, best = 1 - guesses, 1 - best
        for _ in range(QUERIES - 1):
            other = guesses.copy()
            other[rng.choice(EXAMPLES, flips, replace=False)] ^= 1
            told = ask(other)
            if told is not None and told > best:
                guesses, best = other, told
        return guesses

    return attack


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    name: str
    run: Callable[[Told, np.random.Generator], np.ndarray]


SCENES = (
    Attack(name="boosting", run=boosting),
    *(Attack(name=f"climbing by {flips}", run=climbing(flips)) for flips in (2, 16, 128, 500)),
)


def reached(attack: Attack, mechanism: Callable[[np.ndarray], Told], seed: int, count: int = ATTACKS) -> float:
    """The mean accuracy that so many strangers get to."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        labels = rng.integers(0, 2, EXAMPLES)
        found.append(float(np.mean(attack.run(mechanism(labels), rng) == labels)))
    return float(np.mean(found))


def allowed(count: int) -> float:
    """What so many strangers may reach on average, luck counted in."""
    return MOST + 3 * SPREAD / count**0.5


def strangers(_world: World, number: int, rng: random.Random) -> Trial:
    trial = Trial()
    attack = SCENES[number % len(SCENES)]
    found = reached(attack, ladder, rng.getrandbits(63))
    if found > allowed(ATTACKS):
        trial.problems.append(f"{attack.name}: {found:.3f} after {QUERIES} queries, where 0.5 is true")
    trial.facts[f"{attack.name}: strangers"] = ATTACKS
    trial.facts[f"{attack.name}: accuracy in 1/10,000, summed"] = round(found * SCALE * ATTACKS)
    return trial


def control_strangers(_world: World, rng: random.Random) -> list[str]:
    """Where each score is told in full, the same attack has to be found."""
    found = reached(SCENES[0], everything, rng.getrandbits(63))
    return [f"full feedback leaks: {found:.3f}"] if found > LEAKED else []


CASES = (
    Case(
        name="strangers on the ladder",
        promise="500 adversarial queries get to 0.52 at the most on average, where full feedback leaks 0.70",
        full=lambda _: len(SCENES) * 20,
        ci=len(SCENES),
        trial=strangers,
        control=control_strangers,
    ),
)
