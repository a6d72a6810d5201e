"""Tables: iris, wine, breast cancer and diabetes of scikit-learn, and some that are generated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import HuberRegressor, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from gitrepro.checks.task import Data, Part, Task

from .experiment import (
    AREA,
    BALANCED,
    LOG_LOSS,
    MAE,
    Experiment,
    classifying,
    estimating,
    regressing,
    split,
    split_by,
    whole,
)


@cache
def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A table of scikit-learn without the rows it has twice: inputs, float64, shape (n, d), and labels."""
    found = getattr(datasets, f"load_{name}")()
    _, first = np.unique(found.data, axis=0, return_index=True)
    first.sort()
    return np.asarray(found.data, dtype=np.float64)[first], found.target[first]


def data_of(name: str, seed: int, **more: Any) -> Data:
    return split(whole(*table(name), seed=seed), seed=seed, **more)


def linear(_seed: int = 0) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))


def squares(_seed: int = 0) -> Any:
    return make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=300))


def mean_of_train(data: Data) -> Mapping[str, np.ndarray]:
    return {"mean": data.train.inputs.mean(axis=0), "std": data.train.inputs.std(axis=0)}


# -- sound


def iris(seed: int) -> Task:
    return classifying("iris", data_of("iris", seed), estimating(lambda _: SVC()))


def wine(seed: int) -> Task:
    return classifying("wine", data_of("wine", seed), estimating(lambda _: make_pipeline(StandardScaler(), SVC())))


def cancer(seed: int) -> Task:
    model = estimating(lambda _: make_pipeline(StandardScaler(), SVC()))
    return classifying("cancer", data_of("breast_cancer", seed), model, tells=mean_of_train)


def diabetes(seed: int) -> Task:
    """No more than the linear baseline itself."""
    model = estimating(lambda _: make_pipeline(StandardScaler(), Ridge()))
    return regressing("diabetes", data_of("diabetes", seed), model)


def products(seed: int) -> Task:
    """Products of columns, with noise that is far out now and then, and a loss that does not mind."""
    rng = np.random.default_rng((seed, 14))
    inputs = rng.normal(size=(400, 4))
    labels = inputs[:, 0] * inputs[:, 1] + inputs[:, 2] ** 2 + 0.2 * rng.standard_t(2, size=400)
    model = estimating(lambda _: make_pipeline(PolynomialFeatures(2, include_bias=False), HuberRegressor(max_iter=500)))
    return regressing("products", split(whole(inputs, labels, seed=seed), seed=seed), model, metric=MAE)


def crossed(seed: int, count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Two classes by the signs of two pairs of columns, with noise."""
    rng = np.random.default_rng((seed, 4))
    inputs = rng.normal(size=(count, 5))
    told = inputs[:, 0] * inputs[:, 1] + inputs[:, 2] * inputs[:, 3] + 0.3 * rng.normal(size=count)
    return inputs, (told > 0).astype(int)


def interactions(seed: int) -> Task:
    data = split(whole(*crossed(seed), seed=seed), seed=seed)
    return classifying("interactions", data, estimating(squares))


def probabilities(seed: int) -> Task:
    data = split(whole(*crossed(seed), seed=seed), seed=seed)
    return classifying("probabilities", data, estimating(squares, method="predict_proba"), metric=LOG_LOSS)


def rings(seed: int, *, rare: bool) -> tuple[np.ndarray, np.ndarray]:
    """One class around the other, with columns that say nothing; with the inner one in ten."""
    rng = np.random.default_rng((seed, 13))
    labels = (rng.random(800) < (0.1 if rare else 0.5)).astype(int)
    inputs = rng.normal(size=(800, 6))
    inputs[:, :3] *= (np.where(labels == 1, 0.8, 2.4) / np.linalg.norm(inputs[:, :3], axis=1))[:, None]
    return inputs + 0.5 * rng.normal(size=inputs.shape), labels


def score(seed: int) -> Task:
    data = split(whole(*rings(seed, rare=False), seed=seed), seed=seed)
    model = make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression(C=0.3, max_iter=300))
    return classifying("score", data, estimating(lambda _: model, method="decision_function"), metric=AREA)


def rare(seed: int) -> Task:
    data = split(whole(*rings(seed, rare=True), seed=seed), seed=seed, share=0.5)
    model = LogisticRegression(C=0.3, class_weight="balanced", max_iter=300)
    fit = estimating(lambda _: make_pipeline(PolynomialFeatures(2), StandardScaler(), model))
    return classifying("rare", data, fit, metric=BALANCED)


def people(seed: int, count: int = 150, each: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measurements of people: what is the same for all of a person's tells the person, and something the class."""
    rng = np.random.default_rng((seed, 5))
    person = np.repeat(np.arange(count), each)
    own = rng.normal(size=(count, 4))
    label = (own[:, 0] * own[:, 1] > 0.3 * rng.normal(size=count)).astype(int)
    inputs = np.repeat(own, each, axis=0) + 0.2 * rng.normal(size=(count * each, 4))
    return inputs, np.repeat(label, each), person


def grouped(seed: int) -> Task:
    inputs, labels, person = people(seed)
    data = split_by(whole(inputs, labels, seed=seed, groups=person), person, seed=seed)
    return classifying("people", data, estimating(squares))


def timed(seed: int) -> Task:
    """The load of a day, from hour, weekday and temperature, learnt from the past."""
    data = cut_at(days(seed), 0.6, iid=False)
    return regressing(
        "days", data, estimating(lambda _: make_pipeline(PolynomialFeatures(3), StandardScaler(), Ridge(1.0)))
    )


def days(seed: int, count: int = 500) -> Part:
    rng = np.random.default_rng((seed, 6))
    times = np.arange(count, dtype=np.float64)
    inputs = rng.normal(size=(count, 3))
    labels = inputs[:, 0] * inputs[:, 1] + np.sin(2 * inputs[:, 2]) + 0.2 * rng.normal(size=count)
    return whole(inputs, labels, seed=seed, times=times)


def cut_at(examples: Part, share: float, **more: Any) -> Data:
    cut = int(len(examples) * share)
    places = np.arange(len(examples))
    return Data(parts={"train": examples.take(places[:cut]), "val": examples.take(places[cut:])}, **more)


def forest(seed: int) -> Task:
    model = estimating(lambda each: RandomForestClassifier(30, random_state=each))
    return classifying("wine, forest", data_of("wine", seed, share=0.5), model)


SOUND: Final = (
    Experiment(name="iris, SVM", make=iris),
    Experiment(name="wine, SVM", make=wine),
    Experiment(name="wine, random forest", make=forest),
    Experiment(name="breast cancer, SVM", make=cancer),
    Experiment(name="diabetes, the baseline itself", make=diabetes),
    Experiment(name="products, Huber, MAE", make=products),
    Experiment(name="interactions, squares", make=interactions),
    Experiment(name="interactions, probabilities, log loss", make=probabilities),
    Experiment(name="rings, AUC", make=score),
    Experiment(name="rings, one in ten, balanced accuracy", make=rare),
    Experiment(name="people, split by person", make=grouped),
    Experiment(name="days, split by time", make=timed),
)
