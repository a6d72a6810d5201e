"""Intervals of the gain of one set of predictions over another: as often as they say, the truth lies inside."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gitrepro.analysis.paired import Paired, paired

from ..case import Case, Trial
from ..world import World

SIZES = (30, 60, 100, 300, 2000)
LEVEL = 0.95
LEAST = 0.92
"""What is promised at the least, over all sizes from 30 on."""
UNLUCKY = 1e-5
"""How seldom a trial that keeps the promise is called one that does not."""
REPEATS = 20
MANY = 1_000_000
"""Examples that stand for the truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    labels: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray
    groups: np.ndarray | None = None


Draw = Callable[[int, np.random.Generator], Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where samples come from, and how they are scored."""

    name: str
    draw: Draw
    score: Callable[[np.ndarray, np.ndarray], float]
    goal: str = "max"
    intervals: int = 200

    def interval(self, sample: Sample) -> Paired:
        return paired(
            sample.labels,
            sample.ours,
            sample.theirs,
            score=self.score,
            goal=self.goal,  # type: ignore[arg-type]
            groups=sample.groups,
        )


def classes(shares: tuple[float, ...], ours: float, theirs: float, *, alike: float = 0.7) -> Draw:
    """Two classifiers that are right so often, mostly on the same examples."""

    def draw(count: int, rng: np.random.Generator) -> Sample:
        labels = rng.choice(len(shares), size=count, p=shares)
        wrong = (labels + rng.integers(1, len(shares), size=count)) % len(shares)
        hard = np.where(rng.random(count) < alike, rng.random(count), np.nan)
        luck = [np.where(np.isnan(hard), rng.random(count), hard) for _ in range(2)]
        made = [np.where(each < right, labels, wrong) for each, right in zip(luck, (ours, theirs), strict=True)]
        return Sample(labels=labels, ours=made[0], theirs=made[1])

    return draw


def numbers(ours: float, theirs: float, *, heavy: bool = False, groups: int = 0) -> Draw:
    """Two regressions with errors of these sizes, half of them shared; by group too, with so many examples each."""

    def draw(count: int, rng: np.random.Generator) -> Sample:
        noise = (lambda: rng.standard_t(5, size=count)) if heavy else (lambda: rng.normal(size=count))
        truth, shared = rng.normal(size=count), noise()
        group = np.arange(count) // groups if groups else None
        if group is not None:
            # What is hard for one of the two is so for the whole group.
            theirs_of = theirs * np.exp(0.5 * rng.normal(size=group[-1] + 1))[group]
        errors = [ours * (shared + noise()), (theirs if group is None else theirs_of) * (shared + noise())]
        return Sample(labels=truth, ours=truth + errors[0], theirs=truth + errors[1], groups=group)

    return draw


def graded(ours: float, theirs: float, positive: float) -> Draw:
    """Two scores of two classes."""

    def draw(count: int, rng: np.random.Generator) -> Sample:
        labels = (rng.random(count) < positive).astype(int)
        shared = rng.normal(size=count)
        made = [labels * apart + 0.8 * shared + 0.6 * rng.normal(size=count) for apart in (ours, theirs)]
        return Sample(labels=labels, ours=made[0], theirs=made[1])

    return draw


def accuracy(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean(labels == values))


def balanced_accuracy(labels: np.ndarray, values: np.ndarray) -> float:
    right = labels == values
    counts = np.bincount(labels)
    return float(np.mean((np.bincount(labels, weights=right) / np.maximum(counts, 1))[counts > 0]))


def absolute_error(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.abs(labels - values).mean())


def root_square_error(labels: np.ndarray, values: np.ndarray) -> float:
    return math.sqrt(float(np.square(labels - values).mean()))


def explained(labels: np.ndarray, values: np.ndarray) -> float:
    return 1 - float(np.square(labels - values).sum() / np.square(labels - labels.mean()).sum())


def area(labels: np.ndarray, values: np.ndarray) -> float:
    """Under the curve: the share of pairs in which the positive one has the higher score; of equal ones, half."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positive = labels == 1
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(values) - count)))


SCENES = (
    Scene(name="accuracy, little apart", draw=classes((0.5, 0.3, 0.2), 0.92, 0.90, alike=0.9), score=accuracy),
    Scene(name="accuracy, far apart", draw=classes((0.5, 0.5), 0.9, 0.7), score=accuracy),
    Scene(name="absolute error", draw=numbers(0.5, 0.6), score=absolute_error, goal="min"),
    Scene(name="absolute error, heavy tails", draw=numbers(0.5, 0.6, heavy=True), score=absolute_error, goal="min"),
    Scene(name="absolute error, groups of 3", draw=numbers(0.5, 0.6, groups=3), score=absolute_error, goal="min"),
    Scene(name="balanced accuracy", draw=classes((0.4, 0.3, 0.3), 0.9, 0.8), score=balanced_accuracy, intervals=25),
    Scene(name="balanced, rare", draw=classes((0.8, 0.15, 0.05), 0.9, 0.8), score=balanced_accuracy, intervals=25),
    Scene(name="R2", draw=numbers(0.4, 0.5), score=explained, intervals=25),
    Scene(name="RMSE", draw=numbers(0.4, 0.5), score=root_square_error, goal="min", intervals=25),
    Scene(name="AUC", draw=graded(1.5, 1.2, 0.3), score=area, intervals=25),
)  # fmt: skip


@lru_cache(maxsize=len(SCENES))
def truth(scene: Scene) -> float:
    sample = scene.draw(MANY, np.random.default_rng(0))
    sign = -1.0 if scene.goal == "min" else 1.0
    return sign * (scene.score(sample.labels, sample.ours) - scene.score(sample.labels, sample.theirs))


def fewest(count: int) -> int:
    """So few of the intervals may hold by bad luck."""
    chance = 0.0
    for held in range(count + 1):
        chance += math.comb(count, held) * LEAST**held * (1 - LEAST) ** (count - held)
        if chance > UNLUCKY:
            return held
    return count


def measured(scene: Scene, size: int, rng: random.Random, *, careless: bool = False) -> tuple[int, int]:
    """How many intervals hold, of how many; careless ones take what belongs together for single examples."""
    generator = np.random.default_rng(rng.getrandbits(64))
    wanted, held = truth(scene), 0
    for _ in range(scene.intervals):
        sample = scene.draw(size, generator)
        found = scene.interval(replace(sample, groups=None) if careless else sample)
        held += found.low is not None and found.high is not None and found.low <= wanted <= found.high
    return held, scene.intervals


def intervals(_world: World, number: int, rng: random.Random) -> Trial:
    trial = Trial()
    # Scene by scene at one size, then the next size: a few trials see several of both.
    scene = SCENES[number % len(SCENES)]
    size = SIZES[number // len(SCENES) % len(SIZES)]
    held, count = measured(scene, size, rng)
    if held < fewest(count):
        trial.problems.append(f"{scene.name}, {size} examples: {held} of {count} intervals hold the truth")
    trial.facts[f"{scene.name}: intervals"] = count
    trial.facts[f"{scene.name}: hold the truth"] = held
    return trial


def control_intervals(_world: World, rng: random.Random) -> list[str]:
    [scene] = [scene for scene in SCENES if "groups" in scene.name]
    held, count = measured(replace(scene, draw=numbers(0.5, 0.6, groups=30)), 300, rng, careless=True)
    return [f"{held} of {count} hold"] if held < fewest(count) else []


CASES = (
    Case(
        name="intervals over examples",
        promise="an interval of 95 % holds the true gain as often, from 30 examples on",
        full=lambda _: len(SCENES) * len(SIZES) * REPEATS,
        ci=5,
        trial=intervals,
        control=control_intervals,
    ),
)
