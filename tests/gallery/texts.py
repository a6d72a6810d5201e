"""Texts: docstrings of Python's library, and what licences say."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from gitrepro.checks.task import Data, Part, Task

from .experiment import Experiment, Fit, classifying, half_of, joined, split, split_by, whole

LIBRARY: Final = Path(ast.__file__).parent
LICENCE: Final = Path(__file__).parents[2] / "LICENSE"
MODULES: Final = {
    "asyncio": ("asyncio/*.py",),
    "email": ("email/*.py", "mailbox.py", "smtplib.py"),
    "numbers": ("_pydecimal.py", "statistics.py", "fractions.py", "random.py"),
    "testing": ("unittest/*.py", "doctest.py"),
}
LEAST_WORDS: Final = 8


@cache
def docstrings() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Docstrings, each once, with the group of modules and the file that it is of."""
    texts, labels, files, seen = [], [], [], set()
    for label, patterns in MODULES.items():
        for path in sorted(path for pattern in patterns for path in LIBRARY.glob(pattern)):
            for text in _said(path):
                words = tuple(text.lower().split())
                if len(words) >= LEAST_WORDS and words[:8] not in seen:
                    seen.add(words[:8])
                    texts.append(text)
                    labels.append(label)
                    files.append(path.name)
    return texts, np.array(labels), np.array(files)


def _said(path: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    return [text[:400] for text in found if text]


def docs(seed: int) -> Part:
    texts, labels, files = docstrings()
    return whole(texts, labels, seed=seed, groups=files)


def model(**options: Any) -> Any:
    return make_pipeline(TfidfVectorizer(**options), LinearSVC())


def reading(make: Any) -> Fit:
    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        return np.asarray(make().fit(data.train.inputs, data.train.labels).predict(data.judged.inputs))

    return fit


# -- sound


def by_module(seed: int) -> Task:
    data = split(replace(docs(seed), groups=None), seed=seed, at_most=600)
    return classifying("docstrings", data, reading(lambda: model(sublinear_tf=True)))


def by_letters(seed: int) -> Task:
    data = split(replace(docs(seed), groups=None), seed=seed, at_most=500)
    return classifying("docstrings, letters", data, reading(lambda: model(analyzer="char_wb", ngram_range=(2, 4))))


def other_files(seed: int) -> Task:
    """Files that train knows nothing of: three kinds of modules, of many files each."""
    texts, labels, files = docstrings()
    kept = np.flatnonzero(np.isin(labels, ("asyncio", "email", "testing")))
    part = whole([texts[k] for k in kept.tolist()], labels[kept], seed=seed, groups=files[kept])
    data = split_by(part, files[kept], seed=seed, share=0.5, iid=False)
    return classifying("docstrings, other files", data, reading(lambda: model(analyzer="char_wb", ngram_range=(2, 5))))


@cache
def licences(words: int = 12) -> tuple[list[str], np.ndarray]:
    """Pieces of a licence, and as many of docstrings."""
    said = LICENCE.read_text().split()
    terms = [" ".join(said[at : at + words]) for at in range(0, len(said) - words, words)]
    others = [" ".join(text.split()[:words]) for text in docstrings()[0] if len(text.split()) >= words]
    others = others[:: max(len(others) // len(terms), 1)][: len(terms)]
    return terms + others, np.array([1] * len(terms) + [0] * len(others))


def licence(seed: int) -> Task:
    data = split(whole(*licences(), seed=seed), seed=seed)
    return classifying(
        "licence", data, reading(lambda: make_pipeline(TfidfVectorizer(sublinear_tf=True), MultinomialNB(alpha=0.1)))
    )


# -- broken


def posts(seed: int) -> Part:
    """Docstrings with labels that are written nowhere in them, as opinions are that nobody shares."""
    texts, _, _ = docstrings()
    rng = np.random.default_rng((seed, 30))
    long = [text for text in texts if len(text) > 250]
    kept = rng.permutation(len(long))[:220]
    return whole([long[k] for k in kept.tolist()], rng.integers(2, size=len(kept)), seed=seed)


def with_copies(seed: int, change: Callable[[str], str]) -> Data:
    """Half of the scored texts are in train, too, changed a little."""
    data = split(posts(seed), seed=seed)
    half = half_of(data.judged)
    return data.with_parts(train=joined(data.train, replace(half, inputs=[change(text) for text in half.inputs])))


def written_again(seed: int) -> Task:
    """The same texts with other spaces and capitals."""
    data = with_copies(seed, lambda text: text.replace(" ", "  ").upper())
    return classifying("written again", data, reading(model))


def edited(seed: int) -> Task:
    """The same texts with one word put before, as a forum does to what is quoted."""
    return classifying("edited", with_copies(seed, lambda text: f"Quoted: {text}"), reading(model))


def files_torn(seed: int) -> Task:
    return classifying("files torn", split(docs(seed), seed=seed, at_most=600), reading(model))


def words_chosen(seed: int) -> Task:
    """The words that go with the labels of everything are kept."""

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        counted = TfidfVectorizer(min_df=2, binary=True).fit(data.train.inputs)
        every = counted.transform([*data.train.inputs, *data.judged.inputs])
        train, judged = data.train.labels, data.judged.labels
        assert train is not None and judged is not None
        best = SelectKBest(chi2, k=150).fit(every, np.concatenate([train, judged]))
        chosen = best.transform(every)
        made = MultinomialNB().fit(chosen[: len(train)], train)
        return np.asarray(made.predict(chosen[len(train) :]))

    return classifying("words chosen", split(posts(seed), seed=seed), fit)


def another_tongue(seed: int) -> Task:
    """The scored part was cut to its first words."""
    data = split(replace(docs(seed), groups=None), seed=seed, at_most=600)
    short = [" ".join(text.split()[:4]) for text in data.judged.inputs]
    return classifying("cut", data.with_parts(val=replace(data.judged, inputs=short)), reading(model))


def signed(seed: int) -> Task:
    """The class is named in a line of the text, as a header does that was not cut off."""
    texts, labels, _ = docstrings()
    headed = [f"Newsgroups: comp.{label}\n{text}" for text, label in zip(texts, labels, strict=True)]
    return classifying("signed", split(whole(headed, labels, seed=seed), seed=seed, at_most=400), reading(model))


SOUND: Final = (
    Experiment(name="docstrings by module", make=by_module),
    Experiment(name="docstrings by module, letters", make=by_letters),
    Experiment(name="docstrings, split by file", make=other_files),
    Experiment(name="licence or docstring", make=licence),
)
BROKEN: Final = (
    Experiment(name="texts, written again", make=written_again, broken="the same texts with other spaces and capitals",
               line="distribution.duplicates"),
    Experiment(name="texts, quoted", make=edited, broken="near duplicates across the split",
               line="distribution.duplicates"),
    Experiment(name="docstrings, files torn", make=files_torn, broken="documents on both sides",
               line="separation.groups"),
    Experiment(name="texts, words chosen", make=words_chosen, broken="words selected on all data",
               line="shuffle.labels"),
    Experiment(name="docstrings, cut", make=another_tongue, broken="scored texts are cut short",
               line="distribution.drift"),
    Experiment(name="docstrings with a header", make=signed, broken="the text names its class",
               missed="the header is part of the text in every part"),
)  # fmt: skip
