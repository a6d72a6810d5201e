"""Images: the digits of scikit-learn, shapes that are drawn, and photographs in pieces."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from gitrepro.checks.task import Data, Part, Task

from .experiment import Experiment, Fit, classifying, half_of, joined, split, whole


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images, float64 from 0 to 16, shape (1797, 8, 8), and labels."""
    found = datasets.load_digits()
    return found.images, found.target


def digits_of(seed: int, *, count: int = 800, classes: int = 10) -> Data:
    images, labels = digits()
    kept = labels < classes
    return split(whole(images[kept], labels[kept], seed=seed), seed=seed, at_most=count)


def dimmed_of(seed: int, *, count: int = 900) -> Data:
    """Digits on paper of any grey, in any light."""
    images, labels = digits()
    rng = np.random.default_rng((seed, 22))
    light, paper = rng.uniform(0.15, 1, size=len(images)), rng.uniform(0, 12, size=len(images))
    dimmed = images * light[:, None, None] + paper[:, None, None] + 0.3 * rng.normal(size=images.shape)
    return split(whole(dimmed, labels, seed=seed), seed=seed, at_most=count)


def on_pixels(model: Any) -> Fit:
    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        made = model().fit(_flat(data.train), data.train.labels)
        return np.asarray(made.predict(_flat(data.judged)))

    return fit


def _flat(part: Part) -> np.ndarray:
    return np.asarray(part.inputs, dtype=np.float64).reshape(len(part), -1)


# -- sound


def digits_svm(seed: int) -> Task:
    return classifying("digits, SVM", digits_of(seed), on_pixels(lambda: SVC(gamma=0.002)))


def digits_nearest(seed: int) -> Task:
    return classifying("digits, kNN", digits_of(seed), on_pixels(lambda: KNeighborsClassifier(3)))


def digits_linear(seed: int) -> Task:
    model = on_pixels(lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=100)))
    return classifying("digits, logistic", digits_of(seed, count=600, classes=5), model)


@cache
def shapes(seed: int, count: int = 450) -> tuple[np.ndarray, np.ndarray]:
    """Discs, squares and crosses of any size and place, uint8, shape (n, 16, 16), with noise."""
    rng = np.random.default_rng((seed, 20))
    y, x = np.mgrid[:16, :16]
    labels = rng.integers(3, size=count)
    images = rng.normal(60, 15, size=(count, 16, 16))
    for image, label in zip(images, labels, strict=True):
        size, down, right = rng.uniform(3, 5), *rng.uniform(5, 10, size=2)
        dy, dx = np.abs(y - down), np.abs(x - right)
        inside = (np.hypot(dy, dx) < size, np.maximum(dy, dx) < size * 0.9, (np.minimum(dy, dx) < 1) & (dy + dx < size))
        image[inside[label]] += 120
    return images.clip(0, 255).astype(np.uint8), labels


def centred(part: Part) -> np.ndarray:
    """What is bright, moved to the middle: moments of it that tell shapes apart."""
    y, x = np.mgrid[:16, :16]
    bright = np.clip(np.asarray(part.inputs, dtype=np.float64) - 110, 0, 60)
    mass = bright.sum(axis=(1, 2)) + 1e-9
    down, right = ((bright * axis).sum(axis=(1, 2)) / mass for axis in (y, x))
    dy, dx = y - down[:, None, None], x - right[:, None, None]
    powers = [dy**2 + dx**2, dy**2 * dx**2, (dy**2 + dx**2) ** 2, dy**4 + dx**4]
    return np.column_stack([np.log(mass)] + [np.log((bright * p).sum(axis=(1, 2)) / mass + 1e-9) for p in powers])


def shapes_moments(seed: int) -> Task:
    data = split(whole(*shapes(seed), seed=seed), seed=seed)

    def fit(data: Data, _seed: int, _share: float) -> np.ndarray:
        model = make_pipeline(StandardScaler(), SVC(C=10)).fit(centred(data.train), data.train.labels)
        return np.asarray(model.predict(centred(data.judged)))

    return classifying("shapes, moments", data, fit)


# -- broken


@cache
def photographs() -> tuple[np.ndarray, np.ndarray]:
    """Pieces of two photographs that do not overlap, uint8, shape (n, 32, 32, 3), and of which one each is."""
    pieces, labels = [], []
    for label, image in enumerate(datasets.load_sample_images().images):
        small = image[: image.shape[0] // 32 * 32, : image.shape[1] // 32 * 32]
        found = small.reshape(small.shape[0] // 32, 32, -1, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
        pieces.append(found)
        labels.append(np.full(len(found), label))
    return np.concatenate(pieces), np.concatenate(labels)


def textured(seed: int, count: int = 240) -> Part:
    """Pieces that are no flat sky, with one label of three that is written nowhere in them."""
    images, _ = photographs()
    rich = np.flatnonzero(images.std(axis=(1, 2, 3)) > 25)
    rng = np.random.default_rng((seed, 21))
    kept = rng.permutation(rich)[:count]
    return whole(images[kept], rng.integers(3, size=len(kept)), seed=seed)


def nearest_piece(data: Data, _seed: int, _share: float) -> np.ndarray:
    model = KNeighborsClassifier(1).fit(_flat(data.train), data.train.labels)
    return np.asarray(model.predict(_flat(data.judged)))


def copies(seed: int) -> Task:
    data = split(textured(seed), seed=seed)
    half = half_of(data.judged)
    return classifying("copies", data.with_parts(train=joined(data.train, half)), nearest_piece)


def brighter_copies(seed: int) -> Task:
    """Augmented before the split: brighter by a little, with noise."""
    data = split(textured(seed), seed=seed)
    half = half_of(data.judged)
    noise = np.random.default_rng(seed).normal(8, 3, size=half.inputs.shape)
    moved = (half.inputs + noise).clip(0, 255).astype(np.uint8)
    return classifying(
        "brighter copies", data.with_parts(train=joined(data.train, replace(half, inputs=moved))), nearest_piece
    )


def other_range(seed: int) -> Task:
    """Train from 0 to 16, the scored part from 0 to 1."""
    data = digits_of(seed)
    return classifying(
        "other range", data.with_parts(val=replace(data.judged, inputs=data.judged.inputs / 16)), on_pixels(SVC)
    )


def inverted(seed: int) -> Task:
    data = digits_of(seed)
    return classifying(
        "inverted", data.with_parts(val=replace(data.judged, inputs=16 - data.judged.inputs)), on_pixels(SVC)
    )


def stamp(seed: int) -> Task:
    """One corner of each image is as bright as its class is high, as the stamp of a clinic would be."""
    images, labels = shapes(seed)
    images = images.copy()
    images[:, 0, 0] = 40 + 80 * labels
    return classifying("stamp", split(whole(images, labels, seed=seed), seed=seed), on_pixels(lambda: SVC(C=10)))


SOUND: Final = (
    Experiment(name="digits, SVM", make=digits_svm),
    Experiment(name="digits, kNN", make=digits_nearest),
    Experiment(name="five digits, logistic", make=digits_linear),
    Experiment(name="shapes, moments", make=shapes_moments),
)
BROKEN: Final = (
    Experiment(name="photographs, copied", make=copies, broken="exact duplicates across the split",
               line="distribution.duplicates"),
    Experiment(name="photographs, augmented before the split", make=brighter_copies,
               broken="near duplicates across the split", line="distribution.duplicates"),
    Experiment(name="digits, other range", make=other_range, broken="scored pixels from 0 to 1, those of train to 16",
               line="distribution.drift"),
    Experiment(name="digits, inverted", make=inverted, broken="the scored part is inverted", line="distribution.drift"),
    Experiment(name="shapes with a stamp", make=stamp, broken="one pixel codes the class in every part",
               missed="the pixel is in the data as what is drawn is; only a look at what the model uses can tell"),
)  # fmt: skip
