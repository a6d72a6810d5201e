"""Which baselines fit which data, and why the others were left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Final, final

import numpy as np

from ..task import Data
from . import tokens, trivial
from .features import Material, material_of
from .forms import Form
from .learners import BY_MATERIAL, CLASSES_AT_MOST, PAIRS_AT_MOST, Learner, learn

Fit = Callable[[Data, Form, int], np.ndarray]
NAMES: Final = (
    "majority", "prior", "stratified", "mean", "median", "last",
    "unigram", "bigram", "linear", "boosting", "neighbours",
)  # fmt: skip


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Baseline:
    """One cheap model.

    Attributes:
        trivial: whether it looks at no input.
        fit: learns from the train part and predicts the scored one, in the given form, with a seed.
        examples: of the train part that it learns from.
    """

    name: str
    trivial: bool
    fit: Fit
    examples: int


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """The baselines to run, and of the others that would fit why not."""

    material: Material
    baselines: tuple[Baseline, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def choose(data: Data, form: Form, *, only: Sequence[str] = (), examples: int) -> Choice:
    """The baselines for these data, the cheapest first.

    Args:
        only: names to choose from; all where it is empty.
        examples: how many of the train part those that learn with scikit-learn see at most.
    """
    material = material_of(data.train.inputs, language=form.problem == "tokens")
    found = _trivial(data, form, material) if form.problem != "tokens" else _of_tokens(data, material)
    learners, left_out = _learners(data, form, material, examples) if form.problem != "tokens" else ((), {})
    every = (*found, *learners)
    unwanted = {each.name: "not asked for" for each in every if only and each.name not in only}
    kept = tuple(each for each in every if each.name not in unwanted)
    return Choice(material=material, baselines=kept, left_out={**left_out, **unwanted})


def _trivial(data: Data, form: Form, _material: Material) -> tuple[Baseline, ...]:
    fits: dict[str, Fit] = {"mean": trivial.mean, "median": trivial.median}
    if form.problem == "classes":
        # A label at random has no worth as a probability: its logarithm may be infinite.
        fits = {"prior": trivial.prior} if form.style != "labels" else {"majority": trivial.prior}
        fits |= {"stratified": trivial.stratified} if form.style == "labels" else {}
    if data.train.times is not None and data.judged.times is not None:
        fits["last"] = trivial.last
    return tuple(Baseline(name=name, trivial=True, fit=fit, examples=len(data.train)) for name, fit in fits.items())


def _of_tokens(data: Data, material: Material) -> tuple[Baseline, ...]:
    if material != "tokens":
        return ()
    fits: dict[str, Fit] = {"unigram": tokens.unigram, "bigram": tokens.bigram}
    return tuple(
        Baseline(name=name, trivial=name == "unigram", fit=fit, examples=len(data.train)) for name, fit in fits.items()
    )


def _learners(data: Data, form: Form, material: Material, examples: int) -> tuple[tuple[Baseline, ...], dict[str, str]]:
    names = BY_MATERIAL[material]
    if find_spec("sklearn") is None:
        return (), dict.fromkeys(names, "scikit-learn is not installed: pip install 'gitrepro[checks]'")
    left_out = {}
    if form.classes is not None and len(form.classes) > CLASSES_AT_MOST and "boosting" in names:
        left_out["boosting"] = f"{len(form.classes)} classes are too many for it to be cheap"
    if min(len(data.train), examples) * len(data.judged) > PAIRS_AT_MOST and "neighbours" in names:
        left_out["neighbours"] = f"{len(data.judged):,} examples have too many distances for it to be cheap"
    kept = tuple(_learner(each, material, data, examples) for each in names if each not in left_out)
    return kept, left_out


def _learner(name: Learner, material: Material, data: Data, examples: int) -> Baseline:
    return Baseline(
        name=name,
        trivial=False,
        fit=partial(_fit, name, material, examples),
        examples=min(len(data.train), examples),
    )


def _fit(name: Learner, material: Material, examples: int, data: Data, form: Form, seed: int) -> np.ndarray:
    return learn(name, material, data, form, seed=seed, examples=examples)
