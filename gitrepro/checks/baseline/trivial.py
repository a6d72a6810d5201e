"""Baselines that look at no input: the frequent class, the mean, the last value."""

from __future__ import annotations

import numpy as np

from ..task import Data
from .forms import Form, codes_of


def _codes(data: Data, form: Form) -> np.ndarray:
    assert form.classes is not None and data.train.labels is not None
    return codes_of(data.train.labels, form.classes)


def _shares(data: Data, form: Form) -> np.ndarray:
    assert form.classes is not None
    counts = np.bincount(_codes(data, form), minlength=len(form.classes))
    return np.asarray(counts / counts.sum())


def prior(data: Data, form: Form, _seed: int) -> np.ndarray:
    """The share of each class in the train part, for every example; as a label the most frequent one."""
    return np.repeat(form.shaped(_shares(data, form)[None]), len(data.judged), axis=0)


def stratified(data: Data, form: Form, seed: int) -> np.ndarray:
    """Classes at random, as frequent as in the train part."""
    shares = _shares(data, form)
    draws = np.random.default_rng(seed).choice(len(shares), size=len(data.judged), p=shares)
    return form.certain(draws)


def mean(data: Data, _form: Form, _seed: int) -> np.ndarray:
    """The mean of the train labels."""
    assert data.train.labels is not None
    return _repeated(data, data.train.labels.mean(axis=0))


def median(data: Data, _form: Form, _seed: int) -> np.ndarray:
    """The median of the train labels, which has the least absolute error of all constants."""
    assert data.train.labels is not None
    return _repeated(data, np.median(data.train.labels, axis=0))


def _repeated(data: Data, value: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(value, dtype=np.float64)[None], len(data.judged), axis=0)


def last(data: Data, form: Form, _seed: int) -> np.ndarray:
    """The label of the latest train example that is not later; of the earliest where all are."""
    train, judged = data.train, data.judged
    assert train.labels is not None and train.times is not None and judged.times is not None
    order = np.argsort(train.times, kind="stable")
    places = np.searchsorted(np.asarray(train.times)[order], judged.times, side="right") - 1
    latest = order[np.maximum(places, 0)]
    if form.classes is None:
        return np.asarray(train.labels[latest])
    return form.certain(_codes(data, form)[latest])
