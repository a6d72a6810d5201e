"""Tables with a leak: something is learnt from the scored part, codes the label, or stands on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from gitrepro.checks.task import Data, Part, Task

from .experiment import (
    LOG_LOSS,
    Experiment,
    classifying,
    estimating,
    half_of,
    joined,
    regressing,
    split,
    stacked,
    whole,
)
from .tables import crossed, data_of, days, linear, people

NEAREST: Final = estimating(lambda _: KNeighborsClassifier(1))


# -- learnt from the scored part


def selected(seed: int) -> Task:
    """Columns of noise, of which those that go with the labels of everything are kept."""
    rng = np.random.default_rng((seed, 7))
    inputs, labels = rng.normal(size=(150, 1000)), rng.integers(2, size=150)

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        best = SelectKBest(k=20).fit(stacked(data), stacked(data, "labels"))
        model = LogisticRegression().fit(best.transform(data.train.inputs), data.train.labels)
        return np.asarray(model.predict(best.transform(data.judged.inputs)))

    return classifying("selected", split(whole(inputs, labels, seed=seed), seed=seed), fit)


def scaled(seed: int) -> Task:
    """Mean and deviation of all examples."""

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        scaler = StandardScaler().fit(stacked(data))
        model = LogisticRegression(max_iter=300).fit(scaler.transform(data.train.inputs), data.train.labels)
        return np.asarray(model.predict(scaler.transform(data.judged.inputs)))

    def tells(data: Data) -> Mapping[str, np.ndarray]:
        return {"mean": stacked(data).mean(axis=0), "std": stacked(data).std(axis=0)}

    return classifying("scaled", data_of("breast_cancer", seed), fit, tells=tells)


def scaled_silently(seed: int) -> Task:
    """The scored part is scaled by itself, and nothing tells so."""

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        model = LogisticRegression(max_iter=300).fit(
            StandardScaler().fit_transform(data.train.inputs), data.train.labels
        )
        return np.asarray(model.predict_proba(StandardScaler().fit_transform(data.judged.inputs)))

    return classifying("scaled by itself", data_of("breast_cancer", seed), fit, metric=LOG_LOSS)


def encoded(seed: int) -> Task:
    """Shops that sell nothing in common, each replaced by the mean of its labels, the scored ones among them."""
    rng = np.random.default_rng((seed, 8))
    shop, labels = rng.integers(150, size=400), rng.integers(2, size=400)
    inputs = np.column_stack([shop, rng.normal(size=(400, 2))])

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        shops, answers = stacked(data)[:, 0].astype(int), stacked(data, "labels")
        count = np.bincount(shops, minlength=150)
        means = np.bincount(shops, weights=answers, minlength=150) / np.maximum(count, 1)
        model = LogisticRegression().fit(_encoded(data.train, means), data.train.labels)
        return np.asarray(model.predict(_encoded(data.judged, means)))

    return classifying("encoded", split(whole(inputs, labels, seed=seed), seed=seed), fit)


def _encoded(part: Part, means: np.ndarray) -> np.ndarray:
    return np.column_stack([means[part.inputs[:, 0].astype(int)], part.inputs[:, 1:]])


def on_train(seed: int) -> Task:
    """The model is scored on examples it has learnt."""

    def fit(data: Data, seed: int, _share: float) -> np.ndarray:
        model = DecisionTreeClassifier(random_state=seed).fit(stacked(data), stacked(data, "labels"))
        return np.asarray(model.predict(data.judged.inputs))

    return classifying("on train", data_of("breast_cancer", seed), fit)


# -- what codes the label


def numbered(seed: int) -> Task:
    """Rows come class by class, and the number of the row is a column."""
    inputs, labels = crossed(seed)
    order = np.argsort(labels, kind="stable")
    rows = np.column_stack([np.arange(len(labels)), inputs[order]])
    model = estimating(lambda seed: DecisionTreeClassifier(max_depth=5, random_state=seed))
    return classifying("numbered", split(whole(rows, labels[order], seed=seed), seed=seed), model)


def ordered(seed: int) -> Task:
    """The examples of each part come class by class, and the place in the part goes into the model."""
    data = split(whole(*crossed(seed), seed=seed), seed=seed)
    data = data.with_parts(**{name: each.take(np.argsort(each.labels)) for name, each in data.parts.items()})

    def fit(data: Data, seed: int, _share: float) -> np.ndarray:
        model = DecisionTreeClassifier(max_depth=5, random_state=seed)
        model.fit(_placed(data.train), data.train.labels)
        return np.asarray(model.predict(_placed(data.judged)))

    return classifying("ordered", data, fit)


def _placed(part: Part) -> np.ndarray:
    return np.column_stack([np.linspace(0, 1, len(part)), part.inputs])


def stamped(seed: int) -> Task:
    """One class was recorded in spring and the other in autumn, and the time is a column."""
    inputs, labels = crossed(seed)
    rng = np.random.default_rng((seed, 9))
    times = rng.permutation(len(labels)) + 1000.0 * labels + rng.random(len(labels)) / 2
    examples = whole(np.column_stack([inputs, times]), labels, seed=seed, times=times)
    model = estimating(lambda seed: DecisionTreeClassifier(max_depth=5, random_state=seed))
    return classifying("stamped", split(examples, seed=seed), model)


# -- what stands on both sides


def copied(seed: int) -> Task:
    """Half of the scored examples are in train, too."""
    inputs, labels = noisy(seed)
    data = split(whole(inputs, labels, seed=seed), seed=seed)
    half = half_of(data.judged)
    return classifying("copied", data.with_parts(train=joined(data.train, half)), NEAREST)


def nearly_copied(seed: int) -> Task:
    """Half of the scored examples are in train, too, with a little noise."""
    inputs, labels = noisy(seed)
    data = split(whole(inputs, labels, seed=seed), seed=seed)
    half = half_of(data.judged)
    moved = half.inputs + 1e-3 * np.random.default_rng(seed).normal(size=half.inputs.shape)
    return classifying("nearly copied", data.with_parts(train=joined(data.train, replace(half, inputs=moved))), NEAREST)


def noisy(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that overlap, so that a copy helps."""
    rng = np.random.default_rng((seed, 10))
    labels = rng.integers(2, size=500)
    return rng.normal(size=(500, 4)) + 0.6 * labels[:, None], labels


def torn(seed: int) -> Task:
    """People whose measurements are on both sides."""
    inputs, labels, person = people(seed)
    return classifying("torn", split(whole(inputs, labels, seed=seed, groups=person), seed=seed), NEAREST)


def mixed_times(seed: int) -> Task:
    """Days that are to be predicted lie between those of train."""
    return regressing("mixed times", split(days(seed), seed=seed, iid=False), estimating(lambda _: LinearRegression()))


def conflicting(seed: int) -> Task:
    """One in twelve examples is there again, with the other label."""
    data = data_of("breast_cancer", seed)
    some = data.train.take(np.arange(len(data.train) // 12))
    assert some.labels is not None
    both = joined(data.train, replace(some, labels=1 - some.labels))
    return classifying("conflicting", data.with_parts(train=both), estimating(linear))


BROKEN: Final = (
    Experiment(name="noise, columns chosen", make=selected, broken="features selected on all data",
               line="shuffle.labels"),
    Experiment(name="breast cancer, scaled on all", make=scaled, broken="scaler fitted on all data, and told",
               line="separation.fitted"),
    Experiment(name="breast cancer, val scaled by itself", make=scaled_silently,
               broken="scored part normalised by its own statistics, untold", line="separation.fitted"),
    Experiment(name="shops, encoded on all", make=encoded, broken="target encoding fitted on all data",
               line="shuffle.labels"),
    Experiment(name="breast cancer, scored on train", make=on_train, broken="scored on what it was trained on",
               line="shuffle.labels"),
    Experiment(name="numbers of rows", make=numbered, broken="the row number codes the label", line="shuffle.inputs"),
    Experiment(name="places in the part", make=ordered, broken="the order codes the label", line="shuffle.inputs"),
    Experiment(name="times of recording", make=stamped, broken="the time codes the label", line="shuffle.inputs"),
    Experiment(name="rows copied", make=copied, broken="exact duplicates across the split",
               line="distribution.duplicates"),
    Experiment(name="people on both sides", make=torn, broken="groups across the split", line="separation.groups"),
    Experiment(name="days between days", make=mixed_times, broken="the future in train", line="separation.times"),
    Experiment(name="breast cancer, two opinions", make=conflicting, broken="one input with two labels",
               line="distribution.label_conflicts"),
    Experiment(name="rows nearly copied", make=nearly_copied, broken="near duplicates in a table",
               missed="rows that are close are no duplicates unless embeddings say so"),
)  # fmt: skip
