"""Bold is only what the interval says is best."""

from __future__ import annotations

import math
import random

import pytest

from gitrepro.records.seedset import spread_of
from gitrepro.report.tables import Row, best_of
from gitrepro.report.tables.best import difference

SEEDS = 5


def row(name: str, values: list[float], *, data: str = "b3:00", seeds: list[int] | None = None) -> Row:
    named = seeds or list(range(len(values)))
    draws = {str(seed): f"{name}{seed}" for seed in named}
    spread = spread_of([(f"{name}{seed}", str(seed), value) for seed, value in zip(named, values, strict=True)])
    return Row(
        labels=(name,), draws=draws, failed=(), repeated=(), unseeded=(), spreads={"m": spread}, data=frozenset({data})
    )


def test_a_clear_gain_is_best() -> None:
    rows = [row("a", [0.80, 0.82, 0.81]), row("b", [0.90, 0.92, 0.91]), row("c", [0.7, 0.71, 0.69])]

    found = best_of(rows, "m", "max")

    assert (found.place, found.clear) == (1, True)
    assert best_of(rows, "m", "min").place == 2


def test_a_gain_within_the_noise_is_not() -> None:
    found = best_of([row("a", [0.80, 0.86, 0.83]), row("b", [0.84, 0.82, 0.88])], "m", "max")

    assert (found.place, found.clear) == (1, False)
    assert "the gain is" in found.why


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (row("b", [0.1, 0.2, 0.15], data="b3:11"), "different data"),
        (row("b", [0.1]), "too few seeds"),
        (row("b", [0.1, math.nan, 0.2]), "not finite"),
    ],
)
def test_what_cannot_be_compared_makes_nothing_best(other: Row, why: str) -> None:
    found = best_of([row("a", [0.9, 0.91, 0.92]), other], "m", "max")

    assert not found.clear
    assert why in found.why


def test_equal_values_are_no_gain() -> None:
    assert not best_of([row("a", [0.5] * 3), row("b", [0.5] * 3)], "m", "max").clear


def test_a_lone_row_and_a_column_of_nan_have_no_best() -> None:
    assert best_of([row("a", [1.0, 1.1, 1.2])], "m", "max").clear is False
    assert best_of([row("a", [math.nan])], "m", "max").place is None


def test_pairs_of_seeds_are_compared_where_there_are_three() -> None:
    # The seeds move both alike: only the pairs show the gain.
    ours, theirs = row("a", [0.1, 0.5, 0.9]), row("b", [0.09, 0.49, 0.89])
    paired = difference(ours.spreads["m"], theirs.spreads["m"], 0.95)
    apart = row("b", [0.09, 0.49, 0.89], seeds=[7, 8, 9])

    assert paired is not None
    assert paired[0] == pytest.approx(0.01)
    unpaired = difference(ours.spreads["m"], apart.spreads["m"], 0.95)
    assert unpaired is not None
    assert unpaired[0] < 0 < unpaired[1]


def test_welchs_interval_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = [1.0, 2.0, 4.0, 3.0], [2.0, 6.0, 9.0, 5.0, 4.0]
    found = difference(row("a", a).spreads["m"], row("b", b, seeds=[7, 8, 9, 10, 11]).spreads["m"], 0.95)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)

    assert found is not None
    # Ours has whole degrees of freedom, rounded down: never narrower.
    assert found[0] <= theirs.low
    assert found[1] >= theirs.high
    assert found[1] - found[0] == pytest.approx(theirs.high - theirs.low, rel=0.1)


@pytest.mark.parametrize("count", [2, 4])
def test_equal_rows_are_seldom_told_apart(count: int, seed: int) -> None:
    draw, tables = random.Random(seed), 250
    wrong = 0
    for _ in range(tables):
        rows = [row(str(place), [draw.gauss(0, 1) for _ in range(SEEDS)]) for place in range(count)]
        wrong += best_of(rows, "m", "max").clear
    # Five in a hundred at most, and four standard errors of the simulation.
    assert wrong / tables <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / tables)
