"""Estimators of scikit-learn: their parameters, the curve they leave, and their scores."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gitrepro
from gitrepro.errors import UsageError
from gitrepro.integrations.sklearn import record_fit
from tests.integrations.conftest import known


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def iris() -> Any:
    x, y = load_iris(return_X_y=True)
    return x[::2], y[::2], (x[1::2], y[1::2])


def test_a_fit_is_a_run_with_parameters_and_scores(here: Path) -> None:
    x, y, val = iris()
    fitted = record_fit(LogisticRegression(C=0.5), x, y, val=val, scoring={"f1": "f1_macro"}, group="iris")
    [found] = known(here)

    assert (found.record["status"], found.record["group"]) == ("finished", "iris")
    assert (found.config["estimator"], found.config["C"]) == ("LogisticRegression", 0.5)
    assert found.record["summary"]["val/score"] == fitted.score(*val)
    assert {"train/score", "val/f1", "fit_seconds"} <= found.record["summary"].keys()


def test_the_loss_curve_of_a_network_is_a_metric_of_the_run_that_is_open(here: Path) -> None:
    x, y, _ = iris()
    with gitrepro.record() as run, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge in five iterations
        fitted = record_fit(MLPClassifier((4,), max_iter=5, random_state=0), x, y)
        assert run.status == "running"
    [found] = known(here)

    assert [value for _, value in found.curve("train/loss")] == fitted.loss_curve_


def test_the_parameters_of_every_step_of_a_pipeline_are_on_record(here: Path) -> None:
    x, y, _ = iris()
    record_fit(make_pipeline(StandardScaler(with_mean=False), LogisticRegression(C=2.0, max_iter=1000)), x, y)
    [found] = known(here)

    assert (found.config["standardscaler__with_mean"], found.config["logisticregression__C"]) == (False, 2.0)


def test_a_fit_that_fails_is_a_failed_run(here: Path) -> None:
    x, y, _ = iris()
    with pytest.raises(ValueError):
        record_fit(LogisticRegression(), x, y[:3])

    assert known(here)[0].record["status"] == "failed"


def test_what_is_no_estimator_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match="no estimator"):
        record_fit(object(), [[1.0]], [1])
