"""What curves show: each detector finds what it is for, passes what is healthy, and agrees with its streaming form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.analysis import curves
from gitrepro.analysis.judging import judge, worth_judging
from gitrepro.records.stopping import DivergenceRule
from gitrepro.training.guards import Guard
from gitrepro.training.stopping import NoLearning
from gitrepro.training.stopping.diverging import Diverging
from gitrepro.training.stopping.learning import trend

LOSSES = st.floats(min_value=-1e3, max_value=1e3, width=32) | st.sampled_from([0.0, 0.5, 1.0, math.nan, math.inf])


def falling(length: int, *, noise: float = 0.15, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.3 + 2.0 * np.exp(-np.arange(length) / 200)) * np.maximum(1 + rng.normal(0, noise, length), 0.01)


def flat(length: int, *, noise: float = 0.15, seed: int = 0) -> np.ndarray:
    return 2.3 * (1 + np.random.default_rng(seed).normal(0, noise, length))


# -- the streaming forms say the same


@given(st.lists(LOSSES, min_size=1, max_size=400), st.integers(2, 25), st.integers(1, 25))
@settings(max_examples=150, deadline=None)
def test_a_curve_seen_value_by_value_diverges_where_the_whole_one_does(losses, window, hold):
    rule = DivergenceRule(window=window, hold=hold, noise_window=7)
    watched = Diverging(rule)
    at = next((place for place, value in enumerate(losses) if watched.add(value)), None)
    judged = curves.diverged(np.array(losses), rule)

    assert bool(judged.found) == (at is not None)
    if at is not None:
        assert judged.seen["at"] == at
    if judged.found is not None:
        assert (watched.median, watched.best, watched.first, watched.limit, watched.noise, watched.above) == tuple(
            judged.seen[name] for name in ("median", "best_median", "began_at", "limit", "noise", "above_values")
        )


@given(st.integers(0, 10_000), st.floats(0.001, 1.0), st.floats(-3.0, 30.0))
@settings(max_examples=60, deadline=None)
def test_a_blow_up_is_seen_at_the_same_value_by_both_forms(seed, noise, doublings):
    curve = falling(400, noise=noise, seed=seed)
    curve[200:] *= 2.0 ** (np.arange(200) * doublings / 200)
    watched = Diverging(DivergenceRule())
    at = next((place for place, value in enumerate(curve.tolist()) if watched.add(value)), None)
    judged = curves.diverged(curve)

    assert (judged.seen["at"] if judged.found else None) == at


@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.integers(300, 1100))
@settings(max_examples=60, deadline=None)
def test_a_rule_that_watches_warns_where_the_whole_curve_does_not_fall(seed, share, length):
    curve = share * falling(length, seed=seed) + (1 - share) * flat(length, seed=seed + 1)
    found = []
    guard = Guard([NoLearning()], on_finding=found.append)
    for step, value in enumerate(curve.tolist()):
        guard.see({"loss": value}, step)
    judged = curves.not_falling(curve)

    looks = [each.seen["values"] for each in found]
    assert bool(judged.found) == (looks == [500, 1000][: 1 + (length >= 1000)])


@given(st.lists(LOSSES, min_size=40, max_size=60), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_trend_seen_in_a_list_is_that_of_the_array(losses, seed):
    # What Hypothesis draws stands in the middle of a thousand values.
    losses = [*flat(500, seed=seed).round(1), *losses, *falling(500 - len(losses), seed=seed)]
    whole = curves.not_falling(np.array(losses))
    streamed = trend(list(map(float, losses[: whole.seen["values"]])))

    assert whole.found == (not streamed.falls(0.01))
    assert whole.seen["s"] == streamed.s
    assert (whole.seen["p"], whole.seen["head_p"]) == pytest.approx((streamed.p, streamed.head_p), abs=1e-12)


# -- what they find


@pytest.mark.parametrize("noise", [0.05, 0.15, 0.30])
def test_a_healthy_loss_falls_and_does_not_diverge(noise):
    for seed in range(20):
        curve = falling(1500, noise=noise, seed=seed)

        assert curves.not_falling(curve).found is False
        assert curves.diverged(curve).found is False


def test_a_stuck_loss_is_found_in_nearly_all_runs():
    found = [curves.not_falling(flat(1000, seed=seed)).found for seed in range(100)]

    assert sum(found) >= 95


def test_a_loss_that_fell_in_its_first_steps_alone_has_fallen():
    curve = flat(1000, noise=0.3)
    curve[:15] *= 4

    assert curves.not_falling(curve).found is False


def test_too_few_values_of_a_flat_loss_show_nothing_yet():
    assert curves.not_falling(flat(499)).found is None
    assert curves.not_falling(flat(500)).found is True
    assert curves.not_falling(falling(300)).found is False


def test_a_doubling_loss_is_found_soon_and_with_its_numbers():
    curve = falling(600)
    curve[400:] *= 2.0 ** (np.arange(200) / 10)
    judged = curves.diverged(curve)

    assert judged.found and 400 < judged.seen["at"] < 450
    assert judged.seen["median"] > judged.seen["limit"] > judged.seen["best_median"]
    assert judged.parameters["window"] == 20


def test_a_loss_near_zero_may_double():
    curve = np.concatenate([falling(400), np.full(200, 1e-6), np.full(200, 1e-4)])

    assert curves.diverged(curve).found is False


def test_a_negative_loss_diverges_when_it_loses_what_it_gained():
    fell = -np.linspace(0, 5, 300)

    assert curves.diverged(np.concatenate([fell, np.full(100, -3.0)])).found is False
    assert curves.diverged(np.concatenate([fell, np.full(100, 4.0)])).found is True


def test_a_spike_is_found_where_it_is():
    curve = flat(300, noise=0.05)
    curve[250] = 9.0
    judged = curves.spikes(curve)

    assert judged.found and judged.seen["at"] == [250]
    assert curves.spikes(flat(300, noise=0.05)).found is False


def test_a_loss_that_swings_by_more_than_half_its_fall_oscillates():
    steps = np.arange(400)

    assert curves.oscillates(3 - steps / 400 + np.where(steps % 2, 1.0, -1.0)).found is True
    assert curves.oscillates(falling(400)).found is False
    assert curves.oscillates(np.linspace(1, 2, 400)).found is None


def test_a_plateau_is_a_slope_whose_interval_holds_zero():
    assert curves.plateau(np.concatenate([np.linspace(3, 1, 400), flat(100, noise=0.05)])).found is True
    judged = curves.plateau(np.linspace(3, 1, 2000))

    assert judged.found is False
    assert judged.seen["slope"] == pytest.approx(-2 / 1999, rel=1e-6)


def test_validation_that_worsens_while_training_improves_overfits():
    steps = np.arange(40.0)
    train = (steps, 1 / (1 + steps))
    apart = (steps, np.abs(steps - 10) / 40 + 0.5)

    assert curves.overfits(apart, train, mode="min").found is True
    assert curves.overfits((steps, 1 / (1 + steps) + 0.1), train, mode="min").found is False
    assert curves.overfits(apart, (steps, np.ones(40)), mode="min").found is False
    assert curves.overfits((steps, 1 - apart[1]), (steps, 1 - train[1]), mode="max").found is True


@pytest.mark.parametrize("values", [[], [1.0], [math.nan] * 50, [math.inf, 1.0]])
def test_of_nothing_and_of_what_is_not_finite_no_detector_says_anything(values):
    array = np.array(values, dtype=np.float64)
    detectors = (curves.diverged, curves.spikes, curves.oscillates, curves.plateau, curves.not_falling)

    assert [detect(array).found for detect in detectors] == [None] * 5


def test_the_field_of_a_record_holds_verdicts_with_their_inputs():
    steps = np.arange(600.0)
    field = judge({"train/loss": (steps, falling(600)), "acc": (steps, steps / 600)}, {"acc": "max"})

    loss = field["metrics"]["train/loss"]
    assert set(loss["verdicts"]) == {"plateau", "not-falling", "divergence", "oscillation", "spikes"}
    assert loss["verdicts"]["not-falling"]["found"] is False
    assert loss["best"]["value"] == falling(600).min()
    assert field["parameters"]["not-falling"]["warn_after_values"] == 500
    assert field["metrics"]["acc"]["best"] == {"step": 599, "value": 599 / 600}


def test_only_metrics_that_are_known_to_be_good_or_bad_are_judged():
    counts = {"train/loss": 100, "lr": 100, "val/acc": 100, "loss": 5, "odd": 100}

    assert worth_judging(counts, {"odd": "min"}) == ["train/loss", "val/acc", "odd"]


@pytest.mark.parametrize("huge", [1e308, -1e308, 1e-308])
def test_numbers_at_the_ends_of_what_a_float_holds_are_judged_as_others(huge):
    steps = np.arange(1000.0)
    losses = np.where(steps % 3, huge, huge / 2)
    field = judge({"train/loss": (steps, losses), "val/loss": (steps, losses)}, {})

    assert field["metrics"]["train/loss"]["verdicts"]["not-falling"]["found"] is True
    assert trend(losses.tolist()).s == field["metrics"]["train/loss"]["verdicts"]["not-falling"]["seen"]["s"]
