"""Baselines that learn, with scikit-learn: linear, boosted trees on histograms, neighbours. None is tuned."""

from __future__ import annotations

import warnings
from typing import Any, Final, Literal

import numpy as np

from ..task import Data, pick
from .features import Material, columns, pixels
from .forms import Form, codes_of

Learner = Literal["linear", "boosting", "neighbours"]
BY_MATERIAL: Final[dict[Material, tuple[Learner, ...]]] = {
    "table": ("linear", "boosting", "neighbours"),
    # Trees on hundreds of pixels, or thousands of words, take longer than they are worth as a first guess.
    "images": ("linear", "neighbours"),
    "texts": ("linear", "neighbours"),
    "tokens": (),
    "other": (),
}
CLASSES_AT_MOST: Final = 100
"""Boosting grows a tree for each class in each round; beyond this it is no longer cheap."""
PAIRS_AT_MOST: Final = 500_000_000
"""Of a train and a scored example: more distances than these take neighbours longer than a minute."""
_NEIGHBOURS: Final = 5
_ROUNDS: Final = 100
_STEPS: Final = 500
_WORDS: Final = 50_000
_CATEGORIES: Final = 32


def learn(name: Learner, material: Material, data: Data, form: Form, *, seed: int, examples: int) -> np.ndarray:
    """Fit a cheap model to the train part, and predict the part that is scored.

    Args:
        examples: how many of the train part it sees at most, drawn at random.

    Returns:
        Values in the form of the task's own predictions.
    """
    from threadpoolctl import threadpool_limits

    # Threads gain nothing on so few examples. On a busy machine they wait for each other, a hundred times as long.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # One that has not converged is a baseline all the same, and a weaker one.
        warnings.simplefilter("ignore")
        return _learnt(name, material, data, form, seed=seed, examples=examples)


def _learnt(name: Learner, material: Material, data: Data, form: Form, *, seed: int, examples: int) -> np.ndarray:
    assert data.train.labels is not None
    places = chosen(len(data.train), examples, seed)
    train, judged = _inputs(material, pick(data.train.inputs, places), data.judged.inputs)
    labels = data.train.labels[places]
    if form.classes is None:
        return np.asarray(_model(name, material, True, seed, len(places)).fit(train, labels).predict(judged))
    fitted = _model(name, material, False, seed, len(places)).fit(train, codes_of(labels, form.classes))
    if form.style == "labels":
        return form.certain(fitted.predict(judged))
    probabilities = np.zeros((len(data.judged), len(form.classes)))
    probabilities[:, fitted.classes_] = fitted.predict_proba(judged)
    return form.shaped(probabilities)


def chosen(count: int, most: int, seed: int) -> np.ndarray:
    """The places of at most so many examples, in their order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size=most, replace=False))


def _inputs(material: Material, train: Any, judged: Any) -> tuple[Any, Any]:
    if material == "images":
        both = pixels([*train, *judged]) if isinstance(train, list) else None
        return (pixels(train), pixels(judged)) if both is None else (both[: len(train)], both[len(train) :])
    if material == "texts":
        return list(train), list(judged)
    return _table(train, judged)


def _table(train: Any, judged: Any) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.preprocessing import OneHotEncoder

    # Together: whether a column is of numbers must come out alike for both.
    both = np.concatenate([np.asarray(train), np.asarray(judged)])
    numbers, others = columns(both)
    # A column without a value in the train part teaches nothing, and trees cannot divide it.
    numbers = numbers[:, ~np.isnan(numbers[: len(train)]).all(axis=0)]
    if others is None:
        return numbers[: len(train)], numbers[len(train) :]
    encoder = OneHotEncoder(handle_unknown="ignore", max_categories=_CATEGORIES, sparse_output=False)
    encoder.fit(others[: len(train)])
    every = np.hstack([numbers, encoder.transform(others)])
    return every[: len(train)], every[len(train) :]


def _model(name: Learner, material: Material, numbers: bool, seed: int, count: int) -> Any:
    from sklearn.pipeline import make_pipeline

    if name == "boosting":
        return _boosting(numbers, seed)
    last = _linear(material, numbers) if name == "linear" else _nearest(numbers, count)
    return make_pipeline(*_prepared(material), last)


def _prepared(material: Material) -> list[Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    if material == "texts":
        return [TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=_WORDS)]
    return [SimpleImputer(keep_empty_features=True), StandardScaler()]


def _linear(material: Material, numbers: bool) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

    if not numbers:
        return LogisticRegression(max_iter=_STEPS)
    return Ridge() if material == "texts" else RidgeCV(alphas=np.logspace(-2, 3, 6))


def _boosting(numbers: bool, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    return kind(max_iter=_ROUNDS, random_state=seed)


def _nearest(numbers: bool, count: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    kind = KNeighborsRegressor if numbers else KNeighborsClassifier
    # Rows of TF-IDF have length one, so that Euclidean neighbours are those by cosine.
    return kind(n_neighbors=min(_NEIGHBOURS, count))
