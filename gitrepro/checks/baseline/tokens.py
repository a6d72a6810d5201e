"""Baselines for the next token: how frequent it is, and how frequent it is after the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from ..task import Data, Part
from .forms import Form, codes_of


def unigram(data: Data, form: Form, _seed: int) -> np.ndarray:
    """Tokens as frequent as in the train part, each counted once more than it occurs."""
    asked = _asked(data.judged, form)
    shares = _frequencies(_learnt(data.train, form)[1], form)
    return np.broadcast_to(form.shaped(shares), asked.shape + _columns(form)).copy()


def bigram(data: Data, form: Form, _seed: int) -> np.ndarray:
    """Tokens as frequent as after the one before.

    Smoothed by Witten and Bell's method C (1991): of a token that so many different ones follow, as many more are
    drawn from the unigrams.
    """
    assert form.classes is not None
    before, after = _learnt(data.train, form)
    counts = _Counts.of(before, after, _frequencies(after, form))
    asked = _asked(data.judged, form)
    tokens, places = np.unique(asked, return_inverse=True)
    rows = np.empty((len(tokens), *_columns(form)), dtype=np.float64 if _columns(form) else form.classes.dtype)
    for k, token in enumerate(tokens):
        rows[k] = form.shaped(counts.after(int(token)))
    return rows[places.reshape(asked.shape)]


def _columns(form: Form) -> tuple[int, ...]:
    assert form.classes is not None
    return () if form.style == "labels" else (len(form.classes),)


def _frequencies(codes: np.ndarray, form: Form) -> np.ndarray:
    assert form.classes is not None
    counts = np.bincount(codes, minlength=len(form.classes)) + 1.0
    return np.asarray(counts / counts.sum())


def _asked(part: Part, form: Form) -> np.ndarray:
    """The code of the token before each place that is predicted, in the shape of the labels; -1 for padding."""
    assert form.classes is not None
    inputs = np.asarray(part.inputs)
    if part.labels is None:
        return codes_of(inputs[:, :-1], form.classes)
    return codes_of(inputs[:, -1] if part.labels.ndim == 1 else inputs, form.classes)


def _learnt(part: Part, form: Form) -> tuple[np.ndarray, np.ndarray]:
    """The codes of all tokens that follow another one, shape (m,), and of those before them."""
    assert form.classes is not None
    inputs, labels = np.asarray(part.inputs), part.labels
    if labels is None or labels.ndim == 1:
        # Windows of a text: what is inside of them follows each other too.
        pairs = [(inputs[:, :-1].reshape(-1), inputs[:, 1:].reshape(-1))]
        pairs += [] if labels is None else [(inputs[:, -1], labels)]
    else:
        pairs = [(inputs.reshape(-1), labels.reshape(-1))]
    before, after = (codes_of(np.concatenate(each), form.classes) for each in zip(*pairs, strict=True))
    known = (before >= 0) & (after >= 0)
    return before[known], after[known]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Counts:
    """How often which token follows which: pairs, sorted, with their counts."""

    first: np.ndarray
    second: np.ndarray
    count: np.ndarray
    shares: np.ndarray

    @staticmethod
    def of(before: np.ndarray, after: np.ndarray, shares: np.ndarray) -> _Counts:
        pairs, count = np.unique(before.astype(np.int64) * len(shares) + after, return_counts=True)
        return _Counts(first=pairs // len(shares), second=pairs % len(shares), count=count, shares=shares)

    def after(self, token: int) -> np.ndarray:
        """The probabilities of what follows a token, shape (number of tokens,)."""
        start, stop = np.searchsorted(self.first, [token, token + 1])
        kinds = int(stop - start)
        if not kinds:
            return self.shares
        row = kinds * self.shares
        row[self.second[start:stop]] += self.count[start:stop]
        return np.asarray(row / row.sum())
