"""Small real experiments for the tests of the data checks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gitrepro.checks.direct import direct
from gitrepro.checks.distribution import DataSettings, check_data
from gitrepro.checks.task import Data, Kind, Learner, Metric, Part, Predictions
from gitrepro.records.sanity import Checked

ACCURACY = Metric(name="accuracy", function=lambda labels, values: float((labels == values).mean()))
ERROR = Metric(name="mae", function=lambda labels, values: float(np.abs(labels - values).mean()), goal="min")


def part_of(inputs: Any, labels: Any = None, *, prefix: str = "i", **more: Any) -> Part:
    ids = np.array([f"{prefix}{k}" for k in range(len(inputs))])
    return Part(ids=ids, inputs=inputs, labels=None if labels is None else np.asarray(labels), **more)


def split(whole: Part, *, share: float = 0.25, seed: int = 0, **more: Any) -> Data:
    """A random split."""
    order = np.random.default_rng(seed).permutation(len(whole))
    cut = int(len(whole) * share)
    return Data(parts={"train": whole.take(order[cut:]), "val": whole.take(order[:cut])}, **more)


@dataclass
class Scaled:
    """A linear model on standardised columns, as it should be."""

    given: Data
    kind: Kind = "classification"
    metric: Metric = ACCURACY
    name: str = "scaled"
    calls: list[float] = field(default_factory=list)

    def data(self) -> Data:
        return self.given

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        self.calls.append(share)
        model = make_pipeline(StandardScaler(), self.model(seed))
        model.fit(data.train.inputs, data.train.labels)
        return Predictions(ids=data.judged.ids, values=model.predict(data.judged.inputs))

    def model(self, seed: int) -> Any:
        return Ridge() if self.kind == "regression" else LogisticRegression(max_iter=100)

    def learner(self) -> Learner | None:
        return None


def checked(task: Any, name: str, **settings: Any) -> Checked:
    """The one line of this name; runs that look for influence are left out unless they are asked for."""
    options = {"influence": False, **settings}
    return next(line for line in check_data(task, DataSettings(**options), direct) if line.name == name)


def with_val(data: Data, **changes: Any) -> Data:
    return data.with_parts(val=replace(data.parts["val"], **changes))
