"""What is declared of columns, and what must hold in any case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris

from gitrepro.checks.distribution import DataSettings, schema
from gitrepro.checks.task import Data
from gitrepro.errors import UsageError
from gitrepro.records.result import Verdict
from tests.checks.distribution_tasks import ERROR, Scaled, checked, part_of, split, with_val

DIGITS, IRIS, DIABETES = load_digits(), load_iris(), load_diabetes()
LINE = "distribution.schema"
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


def iris() -> Data:
    return split(part_of(IRIS.data, IRIS.target), features=NAMES)


def test_data_that_keep_what_is_declared_pass() -> None:
    declared = {
        "sepal length": {"dtype": "float", "low": 4, "high": 8, "missing": False},
        "label": {"dtype": "int", "allowed": [0, 1, 2]},
    }

    line = checked(Scaled(iris()), LINE, schema=declared)

    assert line.verdict is Verdict.PASS
    assert line.parameters["schema"] == declared


@pytest.mark.parametrize(
    ("column", "said", "count"),
    [
        ("sepal length", {"high": 7.0}, 12),
        ("sepal length", {"low": 5.0}, 22),
        ("label", {"allowed": [0, 1]}, 50),
        ("petal width", {"dtype": "int"}, 2),
    ],
)
def test_what_breaks_a_declared_rule_fails_and_is_counted(column: str, said: dict[str, Any], count: int) -> None:
    line = checked(Scaled(iris()), LINE, schema={column: said})

    assert line.verdict is Verdict.FAIL
    assert sum(fault["count"] for fault in line.observed["faults"]) == count


def test_examples_that_break_a_rule_are_shown() -> None:
    line = checked(Scaled(iris()), LINE, schema={"sepal length": {"high": 7.5}})

    shown = [each.ids[0] for each in line.examples]
    assert shown and all(IRIS.data[int(each[1:]), 0] > 7.5 for each in shown)


def test_a_missing_value_that_may_not_be_missing_fails() -> None:
    inputs = IRIS.data.copy()
    inputs[5, 1] = np.nan
    data = split(part_of(inputs, IRIS.target), features=NAMES)

    assert checked(Scaled(data), LINE).observed["missing"] != {"train": 0, "val": 0}
    assert checked(Scaled(data), LINE).verdict is Verdict.PASS
    assert checked(Scaled(data), LINE, schema={"sepal width": {"missing": False}}).verdict is Verdict.FAIL


def test_a_column_that_is_declared_and_not_there_fails() -> None:
    assert checked(Scaled(iris()), LINE, schema={"height": {"low": 0}}).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "wrong",
    [{"x": {"lowest": 0}}, {"x": {"dtype": "number"}}, {"x": {"low": "0"}}, {"x": {"allowed": "ab"}}, {"x": 3}, [1]],
)
def test_a_slip_in_the_schema_is_an_error(wrong: Any) -> None:
    with pytest.raises(UsageError):
        DataSettings(schema=wrong)


def test_sizes_of_images_can_be_declared() -> None:
    images = [np.zeros((8, 8), np.uint8), *[np.ones((8, 6), np.uint8)] * 79]
    data = split(part_of(images, np.arange(80) % 2))

    assert checked(Scaled(data), LINE, schema={"height": {"low": 8, "high": 8}}).verdict is Verdict.PASS
    assert checked(Scaled(data), LINE, schema={"width": {"low": 8}}).verdict is Verdict.FAIL


def test_columns_of_text_can_be_declared() -> None:
    rows = np.array([["red", 1.0], ["green", 2.0], ["blue", 3.0], ["red", 4.0]] * 20, dtype=object)
    data = split(part_of(rows), features=["colour", "size"])
    colours = {"colour": {"allowed": ["red", "green"], "dtype": "text"}}

    line = checked(Scaled(data, kind="other"), LINE, schema=colours)

    assert line.verdict is Verdict.FAIL
    assert sum(fault["count"] for fault in line.observed["faults"]) == 20


def test_infinite_values_fail() -> None:
    inputs = IRIS.data.copy()
    inputs[3, 2] = np.inf
    line = checked(Scaled(split(part_of(inputs, IRIS.target), features=NAMES)), LINE)

    assert line.verdict is Verdict.FAIL
    assert "petal length is infinite" in line.why


def test_labels_that_are_missing_fail() -> None:
    labels = DIABETES.target.copy()
    labels[::50] = np.nan
    task = Scaled(split(part_of(DIABETES.data, labels)), kind="regression", metric=ERROR)

    line = checked(task, LINE)

    assert line.verdict is Verdict.FAIL
    assert "the label is missing" in line.why


def test_labels_of_several_types_fail() -> None:
    labels = IRIS.target.astype(object)
    labels[:75] = [str(each) for each in labels[:75]]

    assert checked(Scaled(split(part_of(IRIS.data, labels))), LINE).verdict is Verdict.FAIL


def test_labels_of_another_type_in_one_part_fail() -> None:
    data = iris()

    line = checked(Scaled(with_val(data, labels=data.parts["val"].labels.astype(str))), LINE)

    assert line.verdict is Verdict.FAIL
    assert "of several types" in line.why


def test_a_scored_part_without_labels_fails() -> None:
    assert checked(Scaled(with_val(iris(), labels=None)), LINE).verdict is Verdict.FAIL


def test_parts_with_another_number_of_columns_fail() -> None:
    data = iris()

    line = checked(Scaled(with_val(data, inputs=data.parts["val"].inputs[:, :3])), LINE)

    assert line.verdict is Verdict.FAIL
    assert "inputs have 3 columns, and 4 in train" in line.why


def test_names_of_features_that_do_not_fit_fail() -> None:
    assert checked(Scaled(replace(iris(), features=NAMES[:3])), LINE).verdict is Verdict.FAIL
    assert checked(Scaled(replace(iris(), features=[*NAMES[:3], NAMES[0]])), LINE).verdict is Verdict.FAIL


def test_whole_numbers_in_one_part_and_fractions_in_the_other_are_a_warning() -> None:
    data = split(part_of(DIGITS.data, DIGITS.target))

    line = checked(Scaled(with_val(data, inputs=data.parts["val"].inputs.astype(np.int32))), LINE)

    assert line.verdict is Verdict.WARN


def test_empty_documents_are_counted_as_a_warning() -> None:
    texts = ["a few words", "", "  \n", "and more"] * 20
    line = checked(Scaled(split(part_of(texts)), kind="other"), LINE)

    assert line.verdict is Verdict.WARN
    assert sum(fault["count"] for fault in line.observed["faults"]) == 40


def test_data_that_are_others_each_time_fail() -> None:
    class Restless(Scaled):
        def data(self) -> Data:
            self.calls.append(0.0)
            return split(part_of(IRIS.data, IRIS.target), seed=len(self.calls))

    line = checked(Restless(iris()), LINE)

    assert line.verdict is Verdict.FAIL
    assert "others each time" in line.why


def test_what_is_seen_in_pieces_is_what_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"x0": {"high": 0}, "x20": {"low": 1, "high": 15}}
    data = split(part_of(DIGITS.data, DIGITS.target))
    whole = schema.look(data, "classification", declared, now={}, again={})

    monkeypatch.setattr("gitrepro.checks.distribution.seen.VALUES_AT_MOST", 1000)

    assert schema.look(data, "classification", declared, now={}, again={}) == whole
