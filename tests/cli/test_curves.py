"""Curves in a terminal: they fit, they go where the numbers go, and they survive any numbers."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gitrepro.cli.curves import HEIGHT, Curve, chart, shared_bounds
from gitrepro.records.metrics import TableBuilder
from tests.recorded_runs import record_run


def drawn(values: list[float], *, width: int = 60, fine: bool = False) -> list[str]:
    return list(chart(Curve(name="loss", steps=list(range(len(values))), values=values), width=width, fine=fine))


def test_a_rising_curve_rises() -> None:
    rows = drawn([0.0, 1.0, 2.0, 3.0], width=40)[1 : 1 + HEIGHT]

    heads = [row.index("*") for row in rows]
    assert heads == sorted(heads, reverse=True)
    assert rows[0].split("|")[0].strip() == "3"
    assert rows[-1].split("|")[0].strip() == "0"


def test_a_spike_between_columns_is_seen() -> None:
    values = [0.0] * 10_000
    values[5_003] = 1.0

    assert "*" in drawn(values)[1]


def test_values_that_are_not_finite_leave_the_others_alone() -> None:
    assert drawn([1.0, math.nan, math.inf, 2.0])[1].split("|")[0].strip() == "2"
    assert "no finite value" in "".join(drawn([math.nan, -math.inf]))


@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=50),
    width=st.integers(1, 200),
    fine=st.booleans(),
)
def test_a_chart_of_any_numbers_fits(values: list[float], width: int, fine: bool) -> None:
    rows = drawn(values, width=width, fine=fine)

    assert all(len(row) <= max(width, 31) for row in rows)


def test_two_curves_share_their_axis() -> None:
    curves = [
        Curve(name=name, steps=[0, 1], values=values) for name, values in (("a", [0.0, 1.0]), ("b", [5.0, math.nan]))
    ]

    assert shared_bounds(curves) == (0.0, 5.0)


def test_show_draws_what_is_asked_for(repo: Path, cli) -> None:
    table = TableBuilder()
    for step in range(30):
        table.add(seq=step, step=step, time_seconds=float(step), values={"train/loss": 1 / (step + 1), "lr": 0.1})
    facts = {"count": 30, "last": 0.1, "min": 0.1, "max": 1.0, "nonfinite": 0}
    record_run(repo, files=table.files(), metrics={"train/loss": facts, "lr": facts})

    assert "Curves" not in cli("show", cwd=repo).stdout
    assert "Curves" in cli("show", "--curves", cwd=repo).stdout
    one = cli("show", "--metric", "train/loss", cwd=repo).stdout.partition("Curves")[2]
    assert "train/loss" in one
    assert "  lr" not in one
    assert cli("show", "--metric", "los", cwd=repo).returncode == 3
