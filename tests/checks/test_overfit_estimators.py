"""Estimators, which nothing can look into: do they learn a handful of examples by heart?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from gitrepro.checks.direct import direct
from gitrepro.checks.estimator import from_arrays
from gitrepro.checks.overfit import Settings, check_overfit, judge
from gitrepro.records.result import Verdict


def checked(estimator, X, y, **more):
    lines = check_overfit(from_arrays(estimator, X, y, **more), Settings(), direct)
    assert all(judge(each.name, each.observed, each.parameters) is each.verdict for each in lines)
    assert {str(each.verdict) for each in lines[1:]} == {"NOT_APPLICABLE"}
    return lines[0]


@pytest.mark.parametrize(
    "estimator",
    [DecisionTreeClassifier(), make_pipeline(StandardScaler(), LogisticRegression(C=100)), KNeighborsClassifier(1)],
    ids=["tree", "logistic", "neighbour"],
)
def test_an_estimator_that_learns_by_heart_passes(estimator):
    assert checked(estimator, *load_digits(return_X_y=True)).verdict is Verdict.PASS


def test_probabilities_are_read_as_classes():
    assert checked(DecisionTreeClassifier(), *load_digits(return_X_y=True), metric="log_loss").verdict is Verdict.PASS


def test_numbers_are_learnt_by_heart_too():
    assert checked(DecisionTreeRegressor(), *load_diabetes(return_X_y=True)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("estimator", "load"),
    [(DummyClassifier(), load_digits), (LinearRegression(), load_diabetes)],
    ids=["constant", "line"],
)
def test_a_model_of_low_capacity_is_inconclusive_and_no_failure(estimator, load):
    found = checked(estimator, *load(return_X_y=True))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "same 32 examples" in found.why


def test_an_estimator_that_cannot_be_fitted_on_so_few_is_inconclusive():
    found = checked(KNeighborsClassifier(50), *load_digits(return_X_y=True))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "cannot be run" in found.why


def test_a_part_that_is_too_small_says_how_many_are_needed():
    inputs, labels = np.arange(8.0)[:, None], np.array([0, 1] * 4)

    found = checked(DecisionTreeClassifier(), inputs, labels, parts={"train": range(5), "val": [5, 6, 7]})

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "at least 8" in found.why
