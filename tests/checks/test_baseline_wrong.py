"""What a task, its data or a setting have wrong is told, and is never a pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.svm import SVC

from gitrepro.checks.baseline import Settings, check_baseline
from gitrepro.checks.direct import direct
from gitrepro.checks.task import Data, Metric, Predictions
from gitrepro.errors import TaskFailed, UsageError
from gitrepro.records.result import Verdict
from tests.checks.baseline_tasks import (
    Experiment,
    checked,
    constant,
    digits,
    fitted,
    iris,
    parts,
)


def test_labels_that_are_all_alike_are_inconclusive() -> None:
    data = parts(np.random.default_rng(0).normal(size=(100, 2)), np.ones(100, dtype=int))
    line = checked(Experiment(given=data, model=constant(1)))

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "all labels of the part 'train' are 1" in line.why


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.array([1, "a", None] * 50, dtype=object), "of several types"),
        (np.where(np.arange(150) % 7, np.arange(150.0), np.nan), "labels of the part 'train' are NaN"),
    ],
    ids=["mixed", "missing"],
)
def test_labels_that_cannot_be_scored_are_inconclusive(labels: np.ndarray, says: str) -> None:
    data = parts(np.zeros((150, 2)), labels)
    line = checked(Experiment(given=data, model=constant(1)))

    assert line.verdict is Verdict.INCONCLUSIVE and says in line.why


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda data, _: np.full((75, 3), np.nan), "75 of 75 are NaN"),
        (lambda data, _: np.zeros(3), "75 ids and values of shape (3,)"),
        (lambda data, _: np.zeros((75, 7)), "shape (75, 7)"),
        (lambda data, _: Predictions(ids=data.judged.ids[:5], values=np.zeros(5, int)), "predicted 5 examples"),
        (lambda data, _: Predictions(ids=np.array(["e0"] * 75), values=np.zeros(75, int)), "predicted 75 examples"),
        (lambda data, _: np.array(["setosa"] * 75, dtype=object)[:, None], "shape (75, 1)"),
    ],
    ids=["NaN", "too few values", "too many classes", "too few ids", "repeated ids", "odd shape"],
)
def test_predictions_that_cannot_be_scored_are_inconclusive_and_named(model, says: str) -> None:
    line = checked(Experiment(given=iris(), model=model))

    assert line.verdict is Verdict.INCONCLUSIVE
    assert says in line.why


def test_a_metric_that_fails_is_inconclusive_and_named() -> None:
    metric = Metric(name="odd", function=lambda labels, values: 1 / 0)
    line = checked(Experiment(given=iris(), model=fitted(SVC()), metric=metric))

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "the metric odd fails on the predictions of experiment; ZeroDivisionError" in line.why


def test_a_task_that_changes_its_data_is_told_so() -> None:
    def changing(data: Data, _seed: int) -> np.ndarray:
        data.train.inputs[:] = 0
        return np.zeros(len(data.judged), dtype=int)

    with pytest.raises(UsageError, match="changes the examples that it is given, in the part 'train'"):
        checked(Experiment(given=iris(), model=changing))


def test_a_task_that_crashes_is_an_error_of_ours_that_says_so() -> None:
    def crashing(data: Data, seed: int) -> np.ndarray:
        raise RuntimeError("halfway")

    with pytest.raises(TaskFailed, match="halfway"):
        checked(Experiment(given=iris(), model=crashing))


def test_data_that_cannot_be_made_are_an_error_of_ours_that_says_so() -> None:
    class Broken(Experiment):
        def data(self) -> Data:
            raise OSError("no such disk")

    with pytest.raises(TaskFailed, match="OSError: no such disk"):
        checked(Broken(given=iris(), model=constant(0)))


@pytest.mark.parametrize("kind", ["self-supervised", "reinforcement"])
def test_what_has_no_labels_is_not_applicable_with_the_reason(kind) -> None:
    data = iris()
    bare = {name: replace(part, labels=None) for name, part in data.parts.items()}
    line = checked(Experiment(given=data.with_parts(**bare), model=constant(0), kind=kind))

    assert line.verdict is Verdict.NOT_APPLICABLE
    assert "no labels that a cheap model could predict" in line.why


def test_a_baseline_that_cannot_be_made_is_named_and_the_others_run() -> None:
    data = parts(["!"] * 200, np.arange(200) % 2)
    line = checked(Experiment(given=data, model=constant(0)), Settings())

    assert list(line.observed["baselines"]) == ["majority", "stratified"]
    assert "empty vocabulary" in line.observed["failed"]["linear"]


def test_settings_that_make_no_sense_are_refused() -> None:
    task = Experiment(given=iris(), model=constant(0))
    for wrong in (Settings(only=("oracle",)), Settings(level=1.5), Settings(examples=0)):
        with pytest.raises(UsageError):
            check_baseline(task, wrong, direct)


def test_a_part_is_left_as_it_was() -> None:
    data = digits(images=True)
    before = {name: (part.inputs.copy(), part.labels.copy()) for name, part in data.parts.items()}
    checked(Experiment(given=data, model=fitted(SVC())))

    for name, part in data.parts.items():
        np.testing.assert_array_equal(part.inputs, before[name][0])
        np.testing.assert_array_equal(part.labels, before[name][1])
