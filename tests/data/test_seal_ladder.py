"""The ladder tells of a better score and of nothing else, and who asks it 500 times learns next to nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split

from gitrepro.analysis.ladder import COMPARABLE, Ladder, climb, height, losses
from gitrepro.analysis.metrics import named
from gitrepro.errors import UsageError
from tests.data.sealed_set import IRIS
from tests.torture.cases.ladder import LEAKED, MOST, SCENES, everything, ladder, reached

FLOATS = st.lists(st.floats(0, 10), min_size=2, max_size=30)


def test_the_first_score_is_told_and_one_as_good_is_not() -> None:
    right = np.zeros(100)
    right[:20] = 1

    first, told = climb(Ladder(), right)
    _, again = climb(first, right)

    assert told.told and told.gain is None
    assert not again.told and again.gain == 0


def test_a_gain_has_to_exceed_what_so_many_tries_reach_by_luck() -> None:
    before, after = np.zeros(400), np.zeros(400)
    before[:60], after[:48] = 1, 1
    state = Ladder(tries=1, best=before)

    _, second = climb(state, after)
    _, late = climb(Ladder(tries=499, best=before), after)

    standard_error = (before - after).std(ddof=1) / 20
    assert second.gain == pytest.approx(0.03)
    assert second.step == pytest.approx(height(2) * standard_error)
    assert (second.told, late.told) == (True, False)


@pytest.mark.parametrize("attack", [SCENES[0], SCENES[2]], ids=lambda each: each.name)
def test_strangers_learn_little_from_the_ladder(attack: object, seed: int) -> None:
    # The full counts are in `make torture`; the margin is luck, of 12 strangers.
    assert reached(attack, ladder, seed, count=12) <= MOST + 3 * 0.018 / 12**0.5  # type: ignore[arg-type]


def test_where_each_score_is_told_in_full_strangers_learn_much(seed: int) -> None:
    assert reached(SCENES[0], everything, seed, count=6) > LEAKED


@given(FLOATS, st.integers(0, 1000))
def test_what_is_told_was_better_and_what_is_not_changes_nothing(values: list[float], tries: int) -> None:
    best = np.array(values)
    for other in (best[::-1], best * 0.5, best + 1, np.zeros(len(best))):
        state, step = climb(Ladder(tries=tries, best=best), other)
        assert state.tries == tries + 1
        if step.told:
            assert state.best is other and other.mean() < best.mean()
        else:
            assert state.best is best


def test_the_step_never_falls_as_tries_go_on() -> None:
    steps = [height(tries) for tries in range(1, 2000)]

    assert steps == sorted(steps)
    assert steps[0] == 1


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [np.inf, 0.0]])
def test_losses_that_are_no_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(UsageError, match="no finite loss"):
        climb(Ladder(), np.array(values))


def test_losses_of_other_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        climb(Ladder(tries=1, best=np.zeros(3)), np.zeros(4))


# -- the loss of each example


def test_the_mean_loss_is_what_the_metric_says() -> None:
    inside, outside, known, truth = train_test_split(IRIS.data[:, :2], IRIS.target, random_state=0)
    scores = LogisticRegression().fit(inside, known).predict_proba(outside)
    labels = scores.argmax(axis=1)
    classes = np.arange(3)

    for name, values in (("accuracy", labels), ("balanced_accuracy", labels), ("top_2", scores)):
        found = losses(named(name), truth, values, classes=classes)
        assert 1 - found.mean() == pytest.approx(named(name)(truth, values, classes=classes))
    found = losses(named("log_loss"), truth, scores, classes=classes)
    assert found.mean() == pytest.approx(named("log_loss")(truth, scores, classes=classes))


def test_the_mean_loss_of_numbers_is_what_the_metric_says() -> None:
    model = LinearRegression().fit(IRIS.data[:, :2], IRIS.data[:, 2])
    truth, values = IRIS.data[:, 2], model.predict(IRIS.data[:, :2])

    squared = losses(named("rmse"), truth, values)

    assert losses(named("mae"), truth, values).mean() == pytest.approx(named("mae")(truth, values))
    assert squared.mean() ** 0.5 == pytest.approx(named("rmse")(truth, values))
    assert 1 - squared.sum() / np.square(truth - truth.mean()).sum() == pytest.approx(named("r2")(truth, values))


def test_metrics_that_are_no_mean_over_examples_are_refused() -> None:
    for name in ("f1", "auc", "calibration_error"):
        with pytest.raises(UsageError, match=f"cannot compare two values of {name}") as error:
            losses(named(name), np.array([0, 1]), np.array([0, 1]))
        assert all(each in error.value.why for each in COMPARABLE)
