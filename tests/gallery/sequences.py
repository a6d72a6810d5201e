"""Sequences: what comes next in Python's sources, and waves to be continued."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.svm import SVR

from gitrepro.checks.task import Data, Part, Task

from .experiment import ACCURACY, Experiment, Fit, Made, half_of, joined, regressing, split, stacked, whole
from .texts import LIBRARY

LETTERS: Final = "\n" + "".join(map(chr, range(32, 127)))
SOURCES: Final = ("bisect.py", "heapq.py", "textwrap.py", "shlex.py", "queue.py")


@cache
def sources() -> np.ndarray:
    """Letters of Python's sources, lower case, as numbers."""
    text = "".join((LIBRARY / name).read_text() for name in SOURCES).lower()
    return np.array([LETTERS.index(each) for each in text if each in LETTERS], dtype=np.int64)


def windows(seed: int, *, width: int = 12, count: int = 2400) -> Part:
    """Stretches of letters that do not overlap, and the letter after each."""
    letters = sources()
    starts = np.arange(0, len(letters) - width - 1, width + 1)
    kept = np.sort(np.random.default_rng((seed, 40)).permutation(starts)[:count])
    inputs = letters[kept[:, None] + np.arange(width)]
    _, first = np.unique(inputs, axis=0, return_index=True)
    first.sort()
    return whole(inputs[first], letters[kept + width][first], seed=seed)


def backing_off(data: Data, _seed: int, _share: float) -> np.ndarray:
    """The letter that most often came after the last three, or two, or one."""
    counts = [_after(data.train, length) for length in (3, 2, 1)]
    return np.array([_best(row, counts) for row in np.asarray(data.judged.inputs)])


Counts = tuple[int, dict[tuple[int, ...], np.ndarray]]


def _after(part: Part, length: int) -> Counts:
    assert part.labels is not None
    found: dict[tuple[int, ...], np.ndarray] = {}
    for row in np.column_stack([part.inputs, part.labels]).tolist():
        for end in range(length, len(row)):
            found.setdefault(tuple(row[end - length : end]), np.zeros(len(LETTERS)))[row[end]] += 1
    return length, found


def _best(row: np.ndarray, counts: list[Counts]) -> int:
    for length, found in counts:
        if (known := found.get(tuple(row[-length:].tolist()))) is not None and known.sum() >= 2:
            return int(known.argmax())
    return 1


def letters(seed: int) -> Task:
    data = split(windows(seed), seed=seed)
    return Made(name="letters", given=data, fit=backing_off, kind="language", metric=ACCURACY)


# -- waves


def wave(seed: int, count: int = 700) -> np.ndarray:
    rng = np.random.default_rng((seed, 41))
    at = np.arange(count)
    return np.sin(at / 5 + rng.uniform(0, 6)) + 0.5 * np.sin(at / 2.3) + 0.15 * rng.normal(size=count)


def steps(series: np.ndarray, seed: int, *, width: int = 16, ahead: int = 1) -> Part:
    """Windows of a series, and the value that comes `ahead` steps later."""
    starts = np.arange(len(series) - width - ahead + 1)
    inputs = series[starts[:, None] + np.arange(width)]
    return whole(inputs, series[starts + width + ahead - 1], seed=seed, times=(starts + width).astype(np.float64))


def continued(examples: Part, share: float = 0.6, *, gap: int = 17) -> Data:
    """Train first, and after a gap as long as a window what is to be predicted."""
    cut, places = int(len(examples) * share), np.arange(len(examples))
    parts = {"train": examples.take(places[: cut - gap]), "val": examples.take(places[cut:])}
    return Data(parts=parts, iid=False)


def learning(make: Callable[[], Any]) -> Fit:
    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        return np.asarray(make().fit(data.train.inputs, data.train.labels).predict(data.judged.inputs))

    return fit


def saturated(seed: int) -> Task:
    """Waves of a sensor that shows no more than it can."""
    series = (1.6 * wave(seed)).clip(-1, 1) + 0.05 * np.random.default_rng((seed, 44)).normal(size=700)
    return regressing("saturated", continued(steps(series, seed)), learning(lambda: SVR(C=3, epsilon=0.02)))


def henon(seed: int, count: int = 600) -> np.ndarray:
    """Hénon's map (1976), measured with a little noise."""
    rng = np.random.default_rng((seed, 45))
    series = [float(each) for each in rng.uniform(-0.1, 0.1, size=2)]
    for _ in range(count):
        series.append(1 - 1.4 * series[-1] ** 2 + 0.3 * series[-2])
    return np.array(series[2:]) + 0.02 * rng.normal(size=count)


def chaos(seed: int) -> Task:
    model = learning(lambda: make_pipeline(PolynomialFeatures(2), Ridge(1e-3)))
    return regressing("chaos", continued(steps(henon(seed), seed, width=4), gap=5), model)


# -- broken


def walk(seed: int) -> np.ndarray:
    return np.random.default_rng((seed, 42)).normal(size=1500).cumsum() / 10


def between(seed: int) -> Task:
    """A random walk, whose windows were dealt out at random: what comes is known from the windows beside."""
    data = split(steps(walk(seed), seed, ahead=8), seed=seed, iid=False)

    return regressing("between", data, learning(lambda: KNeighborsRegressor(2)))


def standing(seed: int) -> Task:
    """Says that a wave is where the window began."""

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        return np.asarray(data.judged.inputs)[:, 0]

    return regressing("standing", continued(steps(wave(seed), seed)), fit)


def scaled_by_all(seed: int) -> Task:
    """A rising series, scaled by the lowest and the highest of all of it."""
    series = wave(seed) + np.arange(700) / 50

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        low, high = stacked(data).min(axis=0), stacked(data).max(axis=0)
        train, judged = ((np.asarray(part.inputs) - low) / (high - low) for part in (data.train, data.judged))
        return np.asarray(Ridge(1.0).fit(train, data.train.labels).predict(judged))

    return regressing("scaled by all", continued(steps(series, seed)), fit)


def letters_copied(seed: int) -> Task:
    """Half of the stretches are in train, too."""
    data = split(windows(seed, count=1200), seed=seed)
    given = data.with_parts(train=joined(data.train, half_of(data.judged)))

    def fit(data: Data, seed: int, share: float) -> np.ndarray:
        known = {tuple(row): label for row, label in zip(data.train.inputs.tolist(), data.train.labels, strict=True)}  # type: ignore[arg-type]
        guessed = backing_off(data, seed, share)
        rows = np.asarray(data.judged.inputs).tolist()
        return np.array([known.get(tuple(row), guess) for row, guess in zip(rows, guessed, strict=True)])

    return Made(name="letters copied", given=given, fit=fit, kind="language", metric=ACCURACY)


def smoothed(seed: int) -> Task:
    """The series was smoothed over the future before windows were cut out of it."""
    series = np.convolve(np.random.default_rng((seed, 43)).normal(size=700), np.ones(9) / 9, mode="valid")
    return regressing("smoothed", continued(steps(series, seed)), learning(lambda: Ridge(0.1)))


SOUND: Final = (
    Experiment(name="letters of Python, three before", make=letters),
    Experiment(name="waves of a saturated sensor, SVM", make=saturated),
    Experiment(name="Hénon's map, squares", make=chaos),
)
BROKEN: Final = (
    Experiment(name="a walk, windows dealt out", make=between, broken="windows overlap in time across the split",
               line="separation.times"),
    Experiment(name="waves, as the window began", make=standing, broken="worse than any model of a window",
               line="baseline.beaten"),
    Experiment(name="rising waves, scaled on all", make=scaled_by_all, broken="scaled by extremes of the future",
               line="separation.fitted"),
    Experiment(name="letters, copied", make=letters_copied, broken="stretches of text on both sides",
               line="distribution.duplicates"),
    Experiment(name="noise, smoothed", make=smoothed, broken="a filter over the future, before the task",
               missed="it was done to the series before the task got it, on both sides alike"),
)  # fmt: skip
