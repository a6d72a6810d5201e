"""Predictions of other places than there are labels."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from gitrepro.checks.baseline import Settings, check_baseline
from gitrepro.checks.direct import direct
from gitrepro.checks.task import Data, Metric, Part, Predictions
from gitrepro.records.result import Verdict


class OneTooMany:
    """Says something behind the last token, which nothing follows."""

    name, kind = "letters", "language"
    metric = Metric(name="first", function=lambda labels, values: float(values[:, 0].mean()))

    def data(self) -> Data:
        tokens = np.random.default_rng(0).integers(0, 5, (40, 6))
        ids = np.array([f"i{number}" for number in range(40)])
        whole = Part(ids=ids, inputs=tokens)
        return Data(parts={"train": whole.take(np.arange(30)), "val": whole.take(np.arange(30, 40))})

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        return Predictions(ids=data.judged.ids, values=np.zeros((len(data.judged), 6, 5)))

    def learner(self) -> None:
        return None


def test_predictions_of_more_places_than_there_are_labels_are_told_and_not_compared() -> None:
    [found] = check_baseline(OneTooMany(), Settings(), direct)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "(10, 6, 5)" in found.why and "(10, 5)" in found.why
