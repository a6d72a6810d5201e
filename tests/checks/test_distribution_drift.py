"""Drift between parts: what differs by more than chance, and by enough to matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris

from gitrepro.checks.distribution import alike, drift
from gitrepro.checks.task import Data
from gitrepro.records.result import Verdict
from tests.checks.distribution_tasks import ERROR, Scaled, checked, part_of, split, with_val

DIGITS, CANCER, DIABETES, IRIS = load_digits(), load_breast_cancer(), load_diabetes(), load_iris()
LINE = "distribution.drift"


def cancer(seed: int = 0) -> Data:
    return split(part_of(CANCER.data, CANCER.target), seed=seed, features=list(CANCER.feature_names))


def verdict_of(data: Data) -> Verdict:
    return alike.judge(drift.look(data, "classification", seed=0), alike.PARAMETERS).verdict


@pytest.mark.parametrize("seed", range(5))
def test_random_parts_of_one_source_are_alike(seed: int) -> None:
    assert verdict_of(cancer(seed)) is Verdict.PASS
    assert verdict_of(split(part_of(DIGITS.data, DIGITS.target), seed=seed)) is Verdict.PASS


def test_inputs_in_another_unit_fail() -> None:
    data = cancer()
    inches = data.parts["val"].inputs / 25.4

    line = checked(Scaled(with_val(data, inputs=inches)), LINE)

    assert line.verdict is Verdict.FAIL
    assert "deviations away" in line.why


def test_a_single_column_in_another_unit_fails_and_is_named() -> None:
    data = cancer()
    inputs = data.parts["val"].inputs.copy()
    inputs[:, 3] *= 2

    line = checked(Scaled(with_val(data, inputs=inputs)), LINE)

    assert line.verdict is Verdict.FAIL
    assert line.observed["parts"]["val"]["mean"]["feature"] == "mean area"


def test_parts_that_are_said_to_differ_are_warned_of_and_do_not_fail() -> None:
    data = with_val(cancer(), inputs=cancer().parts["val"].inputs / 25.4)

    line = checked(Scaled(Data(parts=data.parts, iid=False)), LINE)

    assert line.verdict is Verdict.WARN


def test_a_small_shift_of_many_examples_is_a_warning() -> None:
    generator = np.random.default_rng(0)
    train, val = generator.normal(size=(4000, 5)), generator.normal(size=(2000, 5))
    val[:, 2] += 0.25
    data = Data(parts={"train": part_of(train, prefix="a"), "val": part_of(val, prefix="b")})

    assert verdict_of(data) is Verdict.WARN


def test_the_same_shift_of_few_examples_is_not_enough_to_tell() -> None:
    generator = np.random.default_rng(0)
    train, val = generator.normal(size=(60, 5)), generator.normal(size=(20, 5))
    val[:, 2] += 0.25
    data = Data(parts={"train": part_of(train, prefix="a"), "val": part_of(val, prefix="b")})

    judged = alike.judge(drift.look(data, "classification", seed=0), alike.PARAMETERS)

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "are needed" in judged.repair


def test_a_wider_spread_with_the_same_mean_is_a_warning() -> None:
    generator = np.random.default_rng(0)
    parts = {"train": part_of(generator.normal(size=(2000, 3)), prefix="a")}
    parts["val"] = part_of(generator.normal(size=(2000, 3)) * 2, prefix="b")

    assert verdict_of(Data(parts=parts)) is Verdict.WARN


def test_missing_values_that_only_one_part_has_are_a_warning() -> None:
    data = cancer()
    inputs = data.parts["val"].inputs.copy()
    inputs[::3, 7] = np.nan

    judged = alike.judge(drift.look(with_val(data, inputs=inputs), "classification", seed=0), alike.PARAMETERS)

    assert judged.verdict is Verdict.WARN
    assert "missing values of mean concave points" in judged.why


def test_values_that_train_has_never_shown_are_a_warning() -> None:
    generator = np.random.default_rng(0)
    train, val = generator.random((2000, 3)), generator.random((1000, 3))
    val[:40, 0] = 1.3
    data = Data(parts={"train": part_of(train, prefix="a"), "val": part_of(val, prefix="b")})

    judged = alike.judge(drift.look(data, "classification", seed=0), alike.PARAMETERS)

    assert judged.verdict is Verdict.WARN
    assert "41 values of x0" in judged.why


def test_a_column_that_wakes_up_after_train_is_named() -> None:
    data = cancer()
    train, val = data.train.inputs.copy(), data.parts["val"].inputs
    train[:, 5] = 0.0
    woken = data.with_parts(train=part_of(train, data.train.labels, prefix="t"))

    judged = alike.judge(drift.look(woken, "classification", seed=0), alike.PARAMETERS)

    assert judged.verdict is Verdict.FAIL
    assert "does not vary in train" in judged.why
    assert val.std(axis=0)[5] > 0


def test_inputs_that_do_not_vary_at_all_fail() -> None:
    data = split(part_of(np.ones((100, 4)), np.arange(100) % 2))

    assert checked(Scaled(data), LINE).verdict is Verdict.FAIL


def test_constant_columns_beside_others_are_counted_and_no_fault() -> None:
    line = checked(Scaled(split(part_of(DIGITS.data, DIGITS.target))), LINE)

    assert line.verdict is Verdict.PASS
    assert line.observed["constant_count"] >= 3


def test_groups_are_dealt_out_whole() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 50)
    inputs = generator.normal(size=(40, 1))[groups] + 0.1 * generator.normal(size=(2000, 1))
    whole = part_of(inputs, groups=groups.astype(str))
    train, val = whole.take(np.flatnonzero(groups < 28)), whole.take(np.flatnonzero(groups >= 28))
    grouped = drift.look(Data(parts={"train": train, "val": val}), "other", seed=0)["parts"]["val"]["mean"]

    # Of 40 groups with means of their own, twelve are far from the others by chance alone.
    assert grouped["by_chance"] > 0.6


def test_numbers_to_be_predicted_are_a_column_too() -> None:
    data = split(part_of(DIABETES.data, DIABETES.target))
    shifted = with_val(data, labels=data.parts["val"].labels + 100)

    line = checked(Scaled(shifted, kind="regression", metric=ERROR), LINE)

    assert line.verdict is Verdict.FAIL
    assert line.observed["parts"]["val"]["mean"]["feature"] == "label"


def test_images_that_are_brighter_fail() -> None:
    images = DIGITS.images.astype(np.uint8)
    data = split(part_of(images, DIGITS.target))
    assert verdict_of(data) is Verdict.PASS

    assert verdict_of(with_val(data, inputs=data.parts["val"].inputs * 3)) is Verdict.FAIL


def test_images_of_several_sizes_are_compared_by_their_sizes() -> None:
    small, large = [np.zeros((8, 8)) + k % 5 for k in range(200)], [np.zeros((16, 12)) + k % 5 for k in range(60)]
    data = Data(parts={"train": part_of(small, prefix="a"), "val": part_of(large, prefix="b")})

    judged = alike.judge(drift.look(data, "other", seed=0), alike.PARAMETERS)

    assert judged.verdict is Verdict.FAIL
    assert "height" in judged.why or "width" in judged.why


def test_texts_of_another_length_fail() -> None:
    texts = [f"line {k} of a short text" + " and on" * (k % 7) for k in range(400)]
    data = split(part_of(texts, np.arange(400) % 2))
    assert verdict_of(data) is Verdict.PASS

    assert verdict_of(with_val(data, inputs=[each * 3 for each in data.parts["val"].inputs])) is Verdict.FAIL


def test_categories_of_a_mixed_table_are_compared() -> None:
    generator = np.random.default_rng(1)
    rows = np.empty((600, 2), dtype=object)
    rows[:, 0], rows[:, 1] = generator.normal(size=600), generator.choice(["red", "green"], size=600)
    data = split(part_of(rows))
    assert verdict_of(data) is Verdict.PASS

    painted = data.parts["val"].inputs.copy()
    painted[:, 1] = "red"

    assert verdict_of(with_val(data, inputs=painted)) is Verdict.WARN


def test_inputs_of_no_known_form_have_nothing_to_compare() -> None:
    data = split(part_of([{"x": k} for k in range(100)]))

    assert checked(Scaled(data, kind="other"), LINE).verdict is Verdict.NOT_APPLICABLE


def test_a_handful_of_examples_says_nothing() -> None:
    data = split(part_of(IRIS.data[::12], IRIS.target[::12]))

    assert verdict_of(data) is Verdict.INCONCLUSIVE


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e6]), st.sampled_from([0.0, -3.0, 1e4]))
def test_the_unit_and_the_zero_of_a_column_do_not_matter(seed: int, unit: float, zero: float) -> None:
    generator = np.random.default_rng(seed)
    train, val = generator.normal(size=(50, 3)), generator.normal(size=(30, 3))

    def means(scale: float, shift: float) -> float:
        one, two = part_of(train * scale + shift * scale, prefix="a"), part_of(val * scale + shift * scale, prefix="b")
        found = drift.look(Data(parts={"train": one, "val": two}), "other", seed=0)
        return float(found["parts"]["val"]["mean"]["greatest"])

    assert means(unit, zero) == pytest.approx(means(1.0, 0.0), rel=1e-6)


def test_the_verdict_can_be_drawn_again_from_what_is_on_record() -> None:
    line = checked(Scaled(cancer()), LINE)

    assert alike.judge(line.observed, line.parameters) == (line.verdict, line.why, line.repair)
