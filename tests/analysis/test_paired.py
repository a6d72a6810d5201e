"""The gain of one set of predictions over another: intervals that mean what they say, whatever the metric."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.analysis.intervals import t_interval
from gitrepro.analysis.paired import at_level, paired
from gitrepro.errors import UsageError
from tests.torture.cases.intervals import (
    SCENES,
    absolute_error,
    accuracy,
    area,
    balanced_accuracy,
    control_intervals,
    fewest,
    measured,
    root_square_error,
)


def classified(count: int = 300, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of three classes, and two sets of predictions that are right nine times and eight times of ten."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, size=count)
    ours, theirs = (np.where(rng.random(count) < share, labels, (labels + 1) % 3) for share in (0.9, 0.8))
    return labels, ours, theirs


def estimated(count: int = 200, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=count)
    return labels, labels + rng.normal(size=count), labels + 1.2 * rng.normal(size=count)


def test_right_and_wrong_answers_have_the_interval_of_bonett_and_price() -> None:
    # 20 wins and 10 losses in 100: shares of 21 and 11 in 102, plus and minus 1.96 standard errors.
    labels = np.array(["yes"] * 100)
    ours = np.array(["yes"] * 90 + ["no"] * 10)
    theirs = np.array(["yes"] * 70 + ["no"] * 20 + ["yes"] * 10)
    found = paired(labels, ours, theirs, score=accuracy)

    assert found.gain == pytest.approx(0.10)
    assert (found.low, found.high) == (pytest.approx(-0.0089, abs=1e-4), pytest.approx(0.2050, abs=1e-4))
    assert (found.count, found.spread.units, found.spread.method) == (100, 100, "counts")


def test_a_mean_of_numbers_has_students_interval_of_the_differences() -> None:
    labels, ours, theirs = estimated()
    expected = t_interval((np.abs(theirs - labels) - np.abs(ours - labels)).tolist())
    found = paired(labels, ours, theirs, score=absolute_error, goal="min")

    assert found.spread.method == "mean"
    assert (found.gain, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_a_gain_is_above_zero_where_less_is_better() -> None:
    labels, ours, theirs = estimated()

    assert absolute_error(labels, ours) < absolute_error(labels, theirs)
    assert paired(labels, ours, theirs, score=absolute_error, goal="min").gain > 0


def test_groups_of_one_example_change_nothing() -> None:
    labels, ours, theirs = estimated()
    alone = paired(labels, ours, theirs, score=absolute_error, goal="min")
    grouped = paired(labels, ours, theirs, score=absolute_error, goal="min", groups=np.arange(len(labels)))

    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))


def test_copies_of_examples_in_one_group_make_nothing_surer() -> None:
    labels, ours, theirs = estimated(50)
    once = paired(labels, ours, theirs, score=absolute_error, goal="min")
    copied = (np.tile(each, 20) for each in (labels, ours, theirs))
    many = paired(*copied, score=absolute_error, goal="min", groups=np.tile(np.arange(50), 20))

    assert (many.spread.units, many.count) == (50, 1000)
    assert (many.low, many.high) == pytest.approx((once.low, once.high))


@pytest.mark.parametrize("score", [balanced_accuracy, root_square_error])
def test_a_metric_that_is_no_mean_gets_a_bootstrap_that_is_the_same_each_time(score) -> None:
    labels, ours, theirs = classified(100)
    found = [paired(labels, ours, theirs, score=score, seed=seed) for seed in (1, 1, 2)]

    assert found[0].spread.method == "bootstrap"
    assert found[0] == found[1] != found[2]
    assert found[0].low < found[0].gain < found[0].high


def test_the_bootstrap_of_a_mean_agrees_with_its_formula() -> None:
    labels, ours, theirs = estimated()
    formula = paired(labels, ours, theirs, score=absolute_error, goal="min")
    # Of the mean, a thousandth of the spread of the labels is no mean.
    drawn = paired(
        labels, ours, theirs, score=lambda y, p: absolute_error(y, p) + 1e-3 * float(np.std(p) - np.std(y)), goal="min"
    )

    assert (formula.spread.method, drawn.spread.method) == ("mean", "bootstrap")
    assert drawn.high - drawn.low == pytest.approx(formula.high - formula.low, rel=0.15)


def test_whole_groups_are_resampled() -> None:
    labels, ours, theirs = classified(40)
    copied = [np.tile(each, 10) for each in (labels, ours, theirs)]
    alone = paired(*copied, score=balanced_accuracy)
    grouped = paired(*copied, score=balanced_accuracy, groups=np.tile(np.arange(40), 10))

    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_a_metric_that_most_samples_have_no_value_of_has_no_bounds() -> None:
    labels = np.array([1] + [0] * 39)
    rng = np.random.default_rng(0)
    found = paired(labels, rng.random(40), rng.random(40), score=area)

    assert (found.low, found.high) == (None, None)
    assert at_level(found, 0.5).low is None


def test_two_that_never_differ_are_not_taken_for_certainly_equal() -> None:
    labels, ours, _ = classified(30)
    found = paired(labels, ours, ours, score=accuracy)

    # Where none of 30 differs, up to 3 in 30 of others may.
    assert found.gain == 0
    assert found.low == pytest.approx(-found.high)
    assert 0.05 < found.high < 0.15


def test_equal_numbers_say_that_there_is_no_spread_to_see() -> None:
    labels, ours, _ = estimated()

    assert paired(labels, ours, ours, score=absolute_error).spread.method == "equal"


def test_one_example_has_a_gain_and_no_bounds() -> None:
    found = paired(np.array([1]), np.array([1]), np.array([0]), score=accuracy)

    assert (found.gain, found.low, found.high) == (1.0, None, None)


def test_a_hundred_thousand_examples_are_scored_in_blocks() -> None:
    labels, ours, theirs = estimated(100_000)
    calls = 0

    def counted(y: np.ndarray, p: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        return absolute_error(y, p)

    found = paired(labels, ours, theirs, score=counted, goal="min")
    differences = np.abs(theirs - labels) - np.abs(ours - labels)
    half = 1.96 * differences.std() / np.sqrt(len(labels))

    assert calls < 5_000
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize("broken", [lambda y, p: float("nan"), lambda y, p: 1 / 0], ids=["nan", "raises"])
def test_a_metric_without_a_value_is_an_error(broken) -> None:
    with pytest.raises(UsageError, match="not finite"):
        paired(*classified(), score=broken)


def test_predictions_of_other_examples_are_an_error() -> None:
    labels, ours, theirs = classified()
    for some in ((labels, ours[1:], theirs), (labels[:0], ours[:0], theirs[:0])):
        with pytest.raises(UsageError, match="same examples"):
            paired(*some, score=accuracy)


def test_what_a_metric_warns_of_in_parts_of_the_examples_stays_inside() -> None:
    def warning(y: np.ndarray, p: np.ndarray) -> float:
        if len(y) < 300:
            warnings.warn("so few", stacklevel=2)
        return balanced_accuracy(y, p)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paired(*classified(), score=warning)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=40),
    st.sampled_from([accuracy, absolute_error]),
    st.floats(0.5, 0.99),
)
@settings(max_examples=60, deadline=None)
def test_swapping_the_two_turns_the_interval_over_and_it_holds_the_gain(rows, score, level) -> None:
    labels, ours, theirs = np.array(rows).T
    one = paired(labels, ours, theirs, score=score, level=level)
    other = paired(labels, theirs, ours, score=score, level=level)

    assert other.gain == pytest.approx(-one.gain)
    if one.low is None:
        assert other.low is None
    else:
        assert (other.low, other.high) == (pytest.approx(-one.high), pytest.approx(-one.low))
        assert one.low <= one.gain <= one.high
        wider = at_level(one, (1 + level) / 2)
        assert wider.low <= one.low and one.high <= wider.high


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_examples_does_not_matter_to_a_mean(seed: int) -> None:
    some = estimated(50)
    order = np.random.default_rng(seed).permutation(50)
    found = [paired(*each, score=absolute_error) for each in (some, tuple(each[order] for each in some))]

    assert found[0].low == pytest.approx(found[1].low)


@pytest.mark.parametrize("name", ["accuracy, little apart", "absolute error, groups of 3"])
def test_of_thirty_examples_intervals_hold_as_often_as_they_say(name: str, seed: int) -> None:
    [scene] = [scene for scene in SCENES if scene.name == name]
    held, count = measured(scene, 30, random.Random(seed))

    assert held >= fewest(count)


def test_intervals_that_forget_the_groups_are_found_too_narrow(seed: int) -> None:
    assert control_intervals(None, random.Random(seed))
