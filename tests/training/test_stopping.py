"""The rules, each fed value by value: when it speaks, what it says, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gitrepro.errors import UsageError
from gitrepro.records.stopping import ADVICE, Effect, Finding
from gitrepro.training.guards import Guard, Stop
from gitrepro.training.stopping import Budget, Divergence, EarlyStopping, NoLearning, NonFinite, Rule, Surroundings


class Told:
    """A guard with what it was heard to say."""

    def __init__(self, *rules: Rule, **world: Any) -> None:
        self.found: list[Finding] = []
        self.stops: list[Stop] = []
        self.faults: list[str] = []
        self.guard = Guard(
            rules,
            world=Surroundings(**world),
            on_finding=self.found.append,
            on_stop=self.stops.append,
            on_fault=self.faults.append,
        )

    def feed(self, name: str, values: Any, *, first: int = 0) -> int | None:
        """Give the values one a step, until it should stop; the step where it should."""
        for step, value in enumerate(values, start=first):
            self.guard.see({name: value}, step)
            if self.guard.should_stop():
                return step
        return None

    @property
    def codes(self) -> list[str]:
        return [each.code for each in self.found]


def noisy(length: int, *, seed: int = 0) -> list[float]:
    return (2.3 + np.random.default_rng(seed).normal(0, 0.2, length)).tolist()


def falling(length: int, *, seed: int = 0) -> list[float]:
    noise = 1 + np.random.default_rng(seed).normal(0, 0.1, length)
    return ((0.3 + 2 * np.exp(-np.arange(length) / 150)) * noise).tolist()


# -- early stopping


def test_a_metric_that_does_not_improve_for_patience_evaluations_ends_the_training():
    told = Told(EarlyStopping("val/loss", patience=3))

    assert told.feed("val/loss", [1.0, 0.8, 0.9, 0.85, 0.8, 0.7]) == 4
    assert told.guard.reason.effect is Effect.END
    assert told.guard.reason.seen["best"] == 0.8
    assert told.guard.reason.seen["best_step"] == 1
    assert told.guard.reason.seen["values"] == [0.8, 0.9, 0.85, 0.8]


def test_a_metric_that_goes_on_improving_is_let_go_on():
    assert Told(EarlyStopping("val/loss", patience=2)).feed("val/loss", [1 / n for n in range(1, 50)]) is None


def test_an_improvement_within_min_delta_is_none():
    values = [1.0, 0.99, 0.98, 0.97]

    assert Told(EarlyStopping("val/loss", patience=3, min_delta=0.05)).feed("val/loss", values) == 3
    assert Told(EarlyStopping("val/loss", patience=3)).feed("val/loss", values) is None


def test_of_an_accuracy_half_its_standard_error_is_no_improvement():
    values = [0.80, 0.805, 0.81]  # of 100 examples the error is 0.04

    assert Told(EarlyStopping("val/accuracy", patience=2, examples=100)).feed("val/accuracy", values) == 2
    assert Told(EarlyStopping("val/accuracy", patience=2, examples=100_000)).feed("val/accuracy", values) is None


@pytest.mark.parametrize(
    ("metric", "values"), [("val/loss", [1, 2]), ("val_acc", [2, 1]), ("eval/f1", [2, 1]), ("valError", [1, 2])]
)
def test_the_name_of_a_metric_tells_what_is_better(metric, values):
    assert Told(EarlyStopping(metric, patience=1)).feed(metric, values) == 1
    assert Told(EarlyStopping(metric, patience=1)).feed(metric, values[::-1]) is None


def test_a_goal_that_somebody_set_stands_over_the_name():
    rule = EarlyStopping("val/loss", patience=1)

    assert Told(rule, goals={"val/loss": "max"}).feed("val/loss", [2.0, 1.0]) == 1


def test_a_metric_of_which_nobody_knows_what_is_better_is_refused():
    with pytest.raises(UsageError, match="mode="):
        Told(EarlyStopping("val/thing"))


def test_validation_that_worsens_while_training_improves_is_called_overfitting():
    told = Told(EarlyStopping("val/loss", patience=3))
    for step in range(10):
        told.guard.see({"train/loss": 1 / (step + 1), "val/loss": abs(step - 2) + 1.0}, step)
        told.guard.should_stop()

    assert told.guard.reason.code == "overfitting"
    assert "in training it went from" in told.guard.reason.said


def test_a_metric_that_is_always_nan_ends_the_training():
    told = Told(EarlyStopping("val/loss", patience=4))

    assert told.feed("val/loss", [math.nan] * 9) == 3
    assert told.guard.reason.seen["best"] is None


@pytest.mark.parametrize("part", ["train", "test"])
def test_to_stop_by_training_or_test_data_is_warned_of_at_once(part):
    assert Told(EarlyStopping(f"{part}/loss")).codes == [f"chosen-by-{part}"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping("val/loss", patience=0),
        lambda: EarlyStopping("val/loss", patience=-3),
        lambda: EarlyStopping("val/loss", patience=2.5),
        lambda: EarlyStopping("val/loss", min_delta=-0.1),
        lambda: EarlyStopping("val/loss", min_delta=math.nan),
        lambda: EarlyStopping("val/loss", mode="least"),
        lambda: EarlyStopping(""),
        lambda: EarlyStopping(None),
        lambda: NoLearning(warn_after_values=10),
        lambda: NoLearning(stop_after_values=200),
        lambda: NoLearning(alpha=0),
        lambda: Divergence(ratio=1.0),
        lambda: Divergence(hold=0),
        lambda: NonFinite(every_steps=0),
        lambda: NonFinite(tolerate=-1),
        lambda: NonFinite(gradients="yes"),
        lambda: Budget(),
        lambda: Budget(hours=0),
        lambda: Budget(hours=math.inf),
        lambda: Budget(steps=0),
        lambda: Budget(steps=1.5),
        lambda: Told("val/loss"),
        lambda: Told(NonFinite),
    ],
)
def test_what_cannot_be_is_refused_at_once(make):
    with pytest.raises(UsageError):
        make()


# -- no learning


def test_a_flat_loss_warns_after_500_values_and_stops_only_when_asked():
    told = Told(NoLearning())

    assert told.feed("train/loss", noisy(1200)) is None
    assert [(each.code, each.effect, each.step) for each in told.found] == [
        ("not-falling", Effect.WARN, 499),
        ("not-falling", Effect.WARN, 999),
    ]
    assert Told(NoLearning(stop=True)).feed("train/loss", noisy(1200)) == 999


def test_a_loss_that_falls_is_let_go_on_and_may_be_flat_afterwards():
    told = Told(NoLearning(stop=True))

    assert told.feed("train/loss", [*falling(600), *noisy(3000)]) is None
    assert told.found == []


def test_values_of_the_warm_up_are_not_judged():
    told = Told(NoLearning(warm_up_values=300))
    told.feed("loss", noisy(801))

    assert [each.step for each in told.found] == [799]


def test_a_loss_that_stays_equal_to_the_last_digit_does_not_fall():
    told = Told(NoLearning())
    told.feed("train/loss", [2.302585] * 500)

    assert told.codes == ["not-falling"]


# -- divergence


def test_a_loss_that_doubles_again_and_again_aborts():
    told = Told(Divergence())
    curve = falling(400) + [0.5 * 2 ** (n / 10) for n in range(100)]
    at = told.feed("train/loss", curve)

    assert 400 < at < 450
    assert told.guard.reason.effect is Effect.ABORT
    assert told.guard.reason.seen["median"] > told.guard.reason.seen["limit"]


def test_a_healthy_loss_with_a_single_spike_does_not_diverge():
    curve = falling(2000)
    curve[1000] = 1e6

    assert Told(Divergence()).feed("train/loss", curve) is None


def test_gradients_that_stay_ten_times_too_large_abort():
    norms = np.random.default_rng(0).uniform(0.5, 1.5, 100).tolist() + [20.0] * 12

    assert Told(Divergence()).feed("grad_norm", norms) == 109
    assert Told(Divergence()).feed("grad_norm", norms[:105] + norms[:100]) is None


def test_gradients_that_grow_while_the_loss_is_at_its_best_are_healthy():
    told = Told(Divergence())
    for step in range(200):
        told.guard.see({"loss": 200.0 - step, "grad_norm": 1.0 if step < 100 else 50.0}, step)

    assert not told.guard.should_stop()


# -- not finite


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_loss_that_is_not_finite_aborts_at_its_step(value):
    told = Told(NonFinite())

    assert told.feed("train/loss", [1.0, 0.9, value]) == 2
    assert (told.guard.reason.code, told.guard.reason.seen["last_finite"]) == ("nonfinite-loss", 0.9)


def test_a_loss_that_was_never_finite_is_said_to_be_so():
    told = Told(NonFinite())

    assert told.feed("loss", [math.nan]) == 0
    assert "never finite" in told.guard.reason.said


def test_so_many_as_are_tolerated_are_let_pass():
    assert Told(NonFinite(tolerate=2)).feed("loss", [math.nan, 1.0, math.nan, 1.0, math.nan]) == 4


def test_other_metrics_may_be_nan():
    assert Told(NonFinite()).feed("val/accuracy", [math.nan] * 5) is None


# -- budgets


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_of_hours_ends_the_training_when_it_is_used_up():
    clock = Clock()
    told = Told(Budget(hours=2), clock=clock)
    clock.now += 7199

    assert not told.guard.should_stop()
    clock.now += 2
    assert told.guard.should_stop()
    assert (told.guard.reason.code, told.guard.reason.effect) == ("budget-hours", Effect.END)


def test_a_clock_that_goes_backwards_neither_ends_nor_extends_the_budget():
    clock = Clock()
    told = Told(Budget(hours=1), clock=clock)
    for moment in (1900.0, 10.0, 1000.0):
        clock.now = moment
        assert not told.guard.should_stop()
    clock.now = 1000.0 + 3600 - 1800 - 990 + 1

    assert told.guard.should_stop()


def test_a_budget_of_steps_ends_with_its_last_step():
    assert Told(Budget(steps=10)).feed("loss", [1.0] * 50) == 9
    assert Told(Budget(steps=10)).feed("loss", [1.0] * 50, first=20) == 20


@pytest.mark.parametrize("unit", ["cost", "energy_joules"])
def test_a_budget_of_money_or_energy_reads_its_counter_once_a_second(unit):
    clock, reads = Clock(), []
    told = Told(Budget(**{unit: 5}), clock=clock, **{unit: lambda: (reads.append(1), clock.now / 10)[1]})
    for _ in range(490):
        clock.now += 0.1
        assert not told.guard.should_stop()
    clock.now += 5

    assert told.guard.should_stop()
    assert told.guard.reason.seen["used"] >= 5
    assert len(reads) < 60


def test_a_budget_that_nothing_can_measure_is_refused_with_what_to_do():
    with pytest.raises(UsageError, match="prices: "):
        Told(Budget(cost=10))
    with pytest.raises(UsageError, match="hours="):
        Told(Budget(energy_joules=1e6))


# -- several together


def test_of_two_rules_that_fire_at_once_the_one_that_aborts_is_the_reason():
    told = Told(EarlyStopping("val/loss", patience=1), Budget(steps=2), NonFinite())
    told.guard.see({"val/loss": 1.0}, 0)
    told.guard.see({"val/loss": math.nan}, 1)

    assert told.guard.should_stop()
    assert told.guard.reason.code == "nonfinite-loss"
    assert [each.code for each in told.stops[0].also] == ["no-improvement", "budget-steps"]


def test_the_reason_is_told_once_however_often_it_is_asked():
    told = Told(Budget(steps=1))
    told.guard.see({"loss": 1.0}, 0)

    assert [told.guard.should_stop() for _ in range(5)] == [True] * 5
    assert len(told.stops) == len(told.found) == 1


def test_one_rule_may_watch_two_trainings():
    rule = EarlyStopping("val/loss", patience=2)
    first, second = Told(rule), Told(rule)

    assert first.feed("val/loss", [1, 2, 3]) == 2
    assert second.feed("val/loss", [1, 2]) is None


def test_a_metric_that_was_never_logged_is_told_at_the_end_with_what_is_near():
    told = Told(EarlyStopping("val/loss"))
    told.feed("valid/loss", [1.0] * 5)
    told.guard.close()

    assert told.codes == ["never-logged"]
    assert "valid/loss" in told.found[0].said


def test_a_metric_that_is_missing_from_very_many_rows_is_told_while_it_runs():
    told = Told(EarlyStopping("val/loss"))
    told.feed("loss", [1.0] * 10_000)

    assert told.codes == ["never-logged"]
    told.guard.close()
    assert told.codes == ["never-logged"]


def test_a_guard_that_nobody_asked_says_so_at_the_end():
    told = Told(NonFinite())
    told.guard.see({"loss": math.nan}, 0)
    told.guard.close()

    assert told.codes == ["nonfinite-loss", "not-stopped"]
    assert told.stops == []


def test_a_guard_goes_on_after_values_that_are_no_numbers():
    told = Told(NonFinite(), EarlyStopping("val/loss", patience=1))
    for value in ("high", None, [1.0, 2.0], object(), 1 + 2j):
        told.guard.see({"val/loss": value, "loss": value}, 0)

    assert told.feed("val/loss", [1.0, 2.0]) == 1
    assert told.faults == []


def test_a_rule_of_somebody_else_that_breaks_is_told_once_and_stops_nothing():
    class Broken:
        def parameters(self):
            return {}

        def begin(self, world):
            from gitrepro.training.stopping import Watch

            class Breaks(Watch):
                def row(self, step):
                    raise ZeroDivisionError("oh")

            return Breaks()

    told = Told(Broken())

    assert told.feed("loss", [1.0] * 10) is None
    assert told.faults == ["ZeroDivisionError: oh"]


def test_every_code_has_advice_and_every_advice_says_what_is_risked():
    said = {
        "overfitting", "no-improvement", "not-falling", "divergence", "gradient-explosion", "nonfinite-loss",
        "nonfinite-gradients", "nonfinite-weights", "budget-hours", "budget-steps", "budget-cost", "budget-energy",
        "never-logged", "chosen-by-train", "chosen-by-test", "not-stopped", "another-rank",
    }  # fmt: skip

    assert set(ADVICE) == said
    assert all(each.do and each.risk for each in ADVICE.values())
