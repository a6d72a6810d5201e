"""Thresholds of checks by name: those of the checks themselves, and only ever made stricter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.checks import baseline, overfit, shuffle
from gitrepro.checks.distribution import alike, classes, proof, repeated
from gitrepro.records.thresholds import THRESHOLDS, given_for, held_to

OF_CHECKS: Mapping[str, Mapping[str, Any]] = {
    "baseline": baseline.Settings().document(),
    "distribution": {**alike.PARAMETERS, **classes.PARAMETERS, **repeated.PARAMETERS, **repeated.OF_LABELS},
    "overfit": overfit.Settings().document(),
    "separation": proof.PARAMETERS,
    "shuffle": shuffle.Settings().document(),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_threshold_is_that_of_its_check(name: str) -> None:
    rule, _, key = name.partition(".")

    assert OF_CHECKS[rule][key] == THRESHOLDS[name].default
    assert type(OF_CHECKS[rule][key]) is type(THRESHOLDS[name].default)
    assert THRESHOLDS[name].fault(THRESHOLDS[name].default) == ""


@given(st.sampled_from(sorted(THRESHOLDS)), st.floats(0, 100), st.floats(0, 100))
def test_what_is_held_to_is_never_laxer_than_the_default_the_record_or_the_policy(
    name: str, recorded: float, wanted: float
) -> None:
    rule, _, key = name.partition(".")
    threshold = THRESHOLDS[name]
    policy = {name: wanted} if threshold.fault(wanted) == "" else {}
    found = held_to(rule, {key: recorded, "other": "kept"}, policy)

    assert found["other"] == "kept"
    for each in (recorded, threshold.default, *policy.values()):
        assert threshold.stricter_of(found[key], each) == found[key]
    assert found[key] in (recorded, threshold.default, *policy.values())


def test_a_rule_gets_its_own_thresholds() -> None:
    assert given_for("shuffle", {"shuffle.draws": 3, "shuffled.x": 1, "curves.steps": 2}) == {"draws": 3}
    assert held_to("shuffle", {"seed": 1}, {"shuffle.leaked_at_most": 0.05}) == {"seed": 1}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("shuffle.leaked_at_most", 0.2, "from 0 to 0.1"),
        ("shuffle.warn_below", 0.001, "from 0.01 to 1.0"),
        ("shuffle.warn_below", 2.0, "from 0.01 to 1.0"),
        ("shuffle.least_scored", 10, "from 20 up"),
        ("shuffle.least_scored", 20.5, "an integer"),
    ],
)
def test_a_laxer_value_is_none(name: str, value: float, says: str) -> None:
    assert says in THRESHOLDS[name].fault(value)
