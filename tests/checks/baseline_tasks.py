"""Small experiments on real data, for the tests of baselines."""

from __future__ import annotations

import json.decoder
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gitrepro.checks.baseline import Settings, check_baseline
from gitrepro.checks.direct import direct
from gitrepro.checks.task import Data, Kind, Metric, Part, Predictions
from gitrepro.records.sanity import Checked


def accuracy(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean(labels == values))


def log_loss(labels: np.ndarray, values: np.ndarray) -> float:
    chosen = np.take_along_axis(values, labels[..., None], axis=-1)
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def cross_entropy(labels: np.ndarray, logits: np.ndarray) -> float:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return log_loss(labels, np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True))


def absolute_error(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.abs(labels - values).mean())


LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
QUICK = Settings(only=("majority", "linear", "neighbours"))

ACCURACY = Metric(name="accuracy", function=accuracy)
LOG_LOSS = Metric(name="log loss", function=log_loss, goal="min")
CROSS_ENTROPY = Metric(name="cross-entropy", function=cross_entropy, goal="min")
ABSOLUTE_ERROR = Metric(name="MAE", function=absolute_error, goal="min")


@dataclass(kw_only=True)
class Experiment:
    """A task whose model is a function of data and seed."""

    given: Data
    model: Callable[[Data, int], Any]
    metric: Metric = ACCURACY
    kind: Kind = "classification"
    name: str = "experiment"
    calls: list[int] = field(default_factory=list)

    def data(self) -> Data:
        return self.given

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        self.calls.append(seed)
        values = self.model(data, seed)
        return values if isinstance(values, Predictions) else Predictions(ids=data.judged.ids, values=values)

    def learner(self) -> None:
        return None


def fitted(estimator: Any, method: str = "predict") -> Callable[[Data, int], Any]:
    """The model that scikit-learn makes of flattened inputs."""

    def model(data: Data, seed: int) -> Any:
        made = clone(estimator)
        if "random_state" in made.get_params():
            made.set_params(random_state=seed)
        train, judged = (np.reshape(part.inputs, (len(part), -1)) for part in (data.train, data.judged))
        return getattr(made.fit(train, data.train.labels), method)(judged)

    return model


def constant(value: Any) -> Callable[[Data, int], Any]:
    return lambda data, _seed: np.repeat(np.asarray(value), len(data.judged))


def parts(inputs: Any, labels: Any, *, val: float = 0.5, seed: int = 0, iid: bool = True, **columns: Any) -> Data:
    """Half and half at random, or the last ones where they are no random draw."""
    count = len(inputs)
    order = np.random.default_rng(seed).permutation(count) if iid else np.arange(count)
    cut = count - round(val * count)
    whole = Part(ids=np.array([f"e{k}" for k in range(count)]), inputs=inputs, labels=labels, **columns)
    return Data(parts={"train": whole.take(np.sort(order[:cut])), "val": whole.take(np.sort(order[cut:]))}, iid=iid)


def digits(*, val: float = 0.5, images: bool = False, seed: int = 0) -> Data:
    inputs, labels = load_digits(return_X_y=True)
    return parts(inputs.reshape(-1, 8, 8) if images else inputs, labels, val=val, seed=seed)


def iris(*, val: float = 0.5) -> Data:
    return parts(*load_iris(return_X_y=True), val=val)


def cancer(*, val: float = 0.5) -> Data:
    return parts(*load_breast_cancer(return_X_y=True), val=val)


def diabetes(*, val: float = 0.5) -> Data:
    return parts(*load_diabetes(return_X_y=True), val=val)


def paragraphs() -> Data:
    """Pieces of two modules' sources, labelled by module."""
    found = {}
    for module in (textwrap, json.decoder):
        source = Path(str(module.__file__)).read_text()
        found[module.__name__] = [source[k : k + 200] for k in range(0, len(source) - 200, 200)]
    texts = [text for each in found.values() for text in each]
    labels = [name for name, each in found.items() for _ in each]
    return parts(texts, np.array(labels))


def windows(*, length: int = 16) -> Data:
    """Characters of a source file in windows, with the next character of each place as its label."""
    source = Path(textwrap.__file__).read_text()
    codes = np.unique(list(source), return_inverse=True)[1]
    count = (len(codes) - 1) // length
    inputs = codes[: count * length].reshape(count, length)
    return parts(inputs, codes[1 : count * length + 1].reshape(count, length), iid=False)


def checked(task: Experiment, settings: Settings = QUICK, **more: Any) -> Checked:
    """The one line of the check."""
    [line] = check_baseline(task, settings, direct, **more)
    return line


def replaced(data: Data, **fields: Any) -> Data:
    """The same with these fields in place of those of the scored part."""
    return data.with_parts(val=replace(data.judged, **fields))
