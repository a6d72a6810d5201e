"""Tables of which parts are of two sources, models that are of no use, and what no check can find."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from gitrepro.checks.task import Data, Task

from .experiment import (
    BALANCED,
    Experiment,
    classifying,
    estimating,
    regressing,
    split,
    whole,
)
from .tables import data_of, linear, squares, table

# -- another source


def drifted(seed: int) -> Task:
    data = data_of("breast_cancer", seed)
    moved = data.judged.inputs.copy()
    moved[:, 0] += moved[:, 0].std()
    return classifying("drifted", data.with_parts(val=replace(data.judged, inputs=moved)), estimating(linear))


def other_units(seed: int) -> Task:
    """One column of the scored part is in metres, that of train in millimetres."""
    data = data_of("wine", seed)
    moved = data.judged.inputs.copy()
    moved[:, 3] /= 1000
    return classifying("other units", data.with_parts(val=replace(data.judged, inputs=moved)), estimating(linear))


def other_mix(seed: int) -> Task:
    """The source is sorted by class in part, and the split was a cut."""
    inputs, labels = table("breast_cancer")
    order = np.argsort(labels + np.random.default_rng(seed).normal(size=len(labels)))
    cut = int(0.6 * len(order))
    examples = whole(inputs, labels, seed=seed)
    data = Data(parts={"train": examples.take(order[:cut]), "val": examples.take(order[cut:])})
    return classifying("other mix", data, estimating(linear))


def class_lost(seed: int) -> Task:
    """Train has none of the third class."""
    data = data_of("wine", seed)
    kept = np.flatnonzero(data.train.labels != 2)
    return classifying("class lost", data.with_parts(train=data.train.take(kept)), estimating(linear))


# -- models that are of no use


def majority(seed: int) -> Task:
    """Nine of ten are of one class, and so the accuracy looks well."""
    rng = np.random.default_rng((seed, 11))
    labels = (rng.random(600) < 0.1).astype(int)
    inputs = rng.normal(size=(600, 4)) + 1.5 * labels[:, None]

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        assert data.train.labels is not None
        return np.full(len(data.judged), np.bincount(data.train.labels).argmax())

    return classifying("majority", split(whole(inputs, labels, seed=seed), seed=seed), fit)


def constant(seed: int) -> Task:
    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        assert data.train.labels is not None
        return np.full(len(data.judged), float(data.train.labels.mean()))

    return regressing("constant", data_of("diabetes", seed), fit)


def wrong_order(seed: int) -> Task:
    """Scores of classes are in another order than the classes."""

    def fit(data: Data, seed: int, _share: float) -> np.ndarray:
        found = linear(seed).fit(data.train.inputs, data.train.labels).predict_proba(data.judged.inputs)
        return np.asarray(found[:, ::-1])

    return classifying("wrong order", data_of("breast_cancer", seed), fit)


def too_deep(seed: int) -> Task:
    """A tree that knows train by heart, and less than a line does of the rest."""
    model = estimating(lambda seed: DecisionTreeRegressor(random_state=seed))
    return regressing("too deep", data_of("diabetes", seed), model)


def misaligned(seed: int) -> Task:
    """Rows were sorted and their labels were not."""

    def fit(data: Data, seed: int, _share: float) -> np.ndarray:
        order = np.argsort(data.train.inputs[:, 0])
        model = squares(seed).fit(data.train.inputs[order], data.train.labels)
        return np.asarray(model.predict(data.judged.inputs))

    return classifying("misaligned", data_of("breast_cancer", seed), fit, metric=BALANCED)


# -- what nothing finds


def answer(seed: int) -> Task:
    """A column that is known only after what is to be predicted: the bill of the treatment."""
    inputs, labels = table("breast_cancer")
    bill = labels * 500.0 + np.random.default_rng(seed).normal(1000, 20, size=len(labels))
    data = split(whole(np.column_stack([inputs, bill]), labels, seed=seed), seed=seed)
    return classifying("answer", data, estimating(linear))


def tried(seed: int) -> Task:
    """The best of sixty columns of noise, chosen by what it scored."""
    rng = np.random.default_rng((seed, 12))
    inputs, labels = rng.normal(size=(200, 60)), rng.integers(2, size=200)
    data = split(whole(inputs, labels, seed=seed), seed=seed)
    scores = [
        np.mean(GaussianNB().fit(data.train.inputs[:, [k]], data.train.labels).predict(data.judged.inputs[:, [k]])
                == data.judged.labels)
        for k in range(60)
    ]  # fmt: skip
    best = int(np.argmax(scores))

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        model = make_pipeline(StandardScaler(), GaussianNB())
        return np.asarray(
            model.fit(data.train.inputs[:, [best]], data.train.labels).predict(data.judged.inputs[:, [best]])
        )

    return classifying("tried", data, fit)


BROKEN: Final = (
    Experiment(name="breast cancer, drifted", make=drifted, broken="a column of the scored part is shifted",
               line="distribution.drift"),
    Experiment(name="wine, other units", make=other_units, broken="a column of the scored part in other units",
               line="distribution.drift"),
    Experiment(name="breast cancer, cut in order", make=other_mix, broken="another mix of classes in the scored part",
               line="distribution.classes", verdict="WARN"),
    Experiment(name="wine, a class lost", make=class_lost, broken="a class that train has none of",
               line="distribution.classes"),
    Experiment(name="nine of ten", make=majority, broken="predicts the most frequent class", line="baseline.beaten"),
    Experiment(name="diabetes, constant", make=constant, broken="predicts one number", line="baseline.beaten"),
    Experiment(name="breast cancer, columns turned", make=wrong_order, broken="scores in a wrong order of classes",
               line="baseline.beaten"),
    Experiment(name="diabetes, deep tree", make=too_deep, broken="worse than a line", line="baseline.beaten"),
    Experiment(name="breast cancer, misaligned", make=misaligned, broken="labels do not belong to their rows",
               line="baseline.beaten"),
    Experiment(name="the bill of the treatment", make=answer, broken="a column known only afterwards",
               missed="it stands in the data as any good feature does; only who knows the columns can tell"),
    Experiment(name="the best of sixty", make=tried, broken="chosen by the score of the scored part, before the task",
               missed="the choice was made outside of what is run again"),
)  # fmt: skip
