"""How much too good the best of several test scores is: against the tables of order statistics, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gitrepro.analysis.optimism import expected_optimism, in_words
from gitrepro.errors import UsageError


@pytest.mark.parametrize(
    ("openings", "known"), [(0, 0.0), (1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi))]
)
def test_it_is_the_known_mean_of_the_greatest(openings: int, known: float) -> None:
    assert expected_optimism(openings) == pytest.approx(known, abs=1e-9)


@pytest.mark.parametrize(
    ("openings", "unrelated", "related"),
    [(2, 0.56, 0.25), (5, 1.16, 0.52), (10, 1.54, 0.69), (20, 1.87, 0.84), (100, 2.51, 1.12)],
)
def test_it_is_that_of_the_tables(openings: int, unrelated: float, related: float) -> None:
    assert expected_optimism(openings) == pytest.approx(unrelated, abs=0.006)
    assert expected_optimism(openings, 0.8) == pytest.approx(related, abs=0.006)


def test_it_is_that_of_a_simulation_of_related_models(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count, rho = 5, 0.6
    common, own = draw.standard_normal((20_000, 1)), draw.standard_normal((20_000, count))
    best = (math.sqrt(rho) * common + math.sqrt(1 - rho) * own).max(axis=1)
    assert expected_optimism(count, rho) == pytest.approx(best.mean(), abs=5 * best.std() / math.sqrt(len(best)))


def test_models_that_are_all_the_same_are_not_too_good() -> None:
    assert expected_optimism(50, 1.0) == 0.0


@pytest.mark.parametrize(("openings", "rho"), [(-1, 0.0), (3, 1.5), (3, -0.1), (3, math.nan)])
def test_what_makes_no_sense_is_a_usage_error(openings: int, rho: float) -> None:
    with pytest.raises(UsageError):
        expected_optimism(openings, rho)


def test_it_is_said_in_words() -> None:
    assert in_words(0) == "opened never"
    assert in_words(1) == "opened once"
    assert in_words(5).startswith("opened 5 times: the best of these is 0.52 (related models) to 1.16 (unrelated ones)")
