"""Sums, histograms, quantiles and samples: right, and the same in whatever pieces the numbers come."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitrepro.data.statistics import bars
from gitrepro.data.statistics.apart import ks_distance, total_variation
from gitrepro.data.statistics.bins import MOST_BINS, Bins
from gitrepro.data.statistics.numbers import Stream, Tally, held_by_each
from gitrepro.data.statistics.sampling import QUANTILES, Kept, Sample, priorities
from gitrepro.data.statistics.sums import Moments, pairwise_sum

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ORDINARY = st.floats(-1e6, 1e6)


def in_pieces(values: Any, cuts: list[int]) -> list[Any]:
    return np.split(np.asarray(values, np.float64), sorted(cut % (len(values) + 1) for cut in cuts))


def stream(values: Any, *, held: int = 1 << 16, whole: bool = False) -> dict[str, Any]:
    found = Stream(held=held, whole=whole)
    found.add(np.asarray(values), priorities(0, len(values)))
    return found.document()


# -- sums


@given(st.lists(ORDINARY, max_size=300))
def test_the_sum_is_right_to_the_last_digits(values: list[float]) -> None:
    scale = math.fsum(map(abs, values))

    assert pairwise_sum(np.array(values)) == pytest.approx(math.fsum(values), abs=1e-14 * scale + 1e-300)


def test_the_sum_has_the_same_bits_whatever_the_memory_looks_like() -> None:
    values = np.random.default_rng(0).standard_normal(100_003)
    padded = np.zeros(100_004)
    padded[1:] = values
    strided = np.zeros((100_003, 3))
    strided[:, 1] = values

    assert pairwise_sum(values) == pairwise_sum(padded[1:]) == pairwise_sum(strided[:, 1])


@given(values=st.lists(ORDINARY, min_size=1, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
@example(values=[1e6 + 1e-6, 1e6, 1e6 - 1e-6], cuts=[1])
def test_mean_and_std_are_right_in_whatever_pieces(values: list[float], cuts: list[int]) -> None:
    moments = Moments()
    for piece in in_pieces(values, cuts):
        moments.add(piece)
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    std = math.sqrt(sum((value - mean) ** 2 for value in exact) / len(exact))
    scale = max(map(abs, values))

    assert moments.mean == pytest.approx(float(mean), abs=1e-12 * scale)
    assert moments.std == pytest.approx(std, rel=1e-6, abs=1e-9 * scale)


def test_a_small_spread_far_from_zero_is_not_lost() -> None:
    moments = Moments()
    values = 1e9 + np.random.default_rng(0).standard_normal(10_000)
    for piece in np.split(values, 10):
        moments.add(piece)

    assert moments.std == pytest.approx(np.std(values - 1e9), rel=1e-6)
    assert math.sqrt(abs(np.mean(values**2) - np.mean(values) ** 2)) != pytest.approx(moments.std, rel=0.1)


# -- histograms


@given(values=st.lists(FINITE, min_size=1, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
@example(values=[0.0, 5e-324], cuts=[])
@example(values=[-1.7e308, 1.7e308, 1.0], cuts=[1])
@example(values=[-5e-324, 1e300], cuts=[])
@example(values=[1e16, 1e16 + 2, 1e16 + 4], cuts=[1, 2])
def test_a_histogram_is_the_same_in_whatever_pieces_and_counts_everything(values: list[float], cuts: list[int]) -> None:
    whole, parts = Bins(), Bins()
    whole.add(np.array(values))
    for piece in reversed(in_pieces(values, cuts)):
        parts.add(piece)
    found = whole.document()

    assert found == parts.document()
    assert found is not None
    assert sum(found["counts"]) == len(values)
    assert len(found["edges"]) == len(found["counts"]) + 1 <= MOST_BINS + 1


@given(st.lists(ORDINARY, min_size=2, max_size=60))
def test_each_value_lies_in_its_bin(values: list[float]) -> None:
    bins = Bins()
    bins.add(np.array(values))
    found = bins.document()
    assert found is not None
    edges, counts = found["edges"], found["counts"]

    # Far from zero bins may be finer than the doubles there are, and then edges fall together.
    widths = {high - low for low, high in pairwise(edges)}
    if len(widths) == 1 and edges[0] < edges[-1]:
        assert counts == [sum(low <= value < high for value in values) for low, high in pairwise(edges)]
        assert math.frexp(edges[1] - edges[0])[0] == 0.5
        assert counts[0] and counts[-1]


def test_whole_numbers_have_no_bins_between_them() -> None:
    bins = Bins(whole=True)
    bins.add(np.array([0.0, 1.0, 1.0, 3.0]))

    assert bins.document() == {"edges": [0.0, 1.0, 2.0, 3.0, 4.0], "counts": [1, 2, 0, 1]}


def test_one_value_has_one_bin_without_width() -> None:
    bins = Bins()
    bins.add(np.full(7, 2.5))

    assert bins.document() == {"edges": [2.5, 2.5], "counts": [7]}
    assert Bins().document() is None


# -- quantiles and samples


@given(values=st.lists(ORDINARY, min_size=1, max_size=80))
def test_quantiles_of_few_values_are_exact(values: list[float]) -> None:
    found = stream(values)["quantiles"]

    assert "of" not in found
    for name, share in QUANTILES.items():
        assert found[name] == pytest.approx(np.quantile(values, share), abs=1e-9)


@pytest.mark.parametrize("piece", [1, 7, 1000, 100_000])
def test_a_sample_for_quantiles_does_not_depend_on_the_pieces(piece: int) -> None:
    values = np.random.default_rng(1).standard_normal(20_000)
    kept = Kept(1024)
    for start in range(0, len(values), piece):
        part = values[start : start + piece]
        kept.add(part, priorities(start, len(part)))
    found = kept.quantiles()

    whole = Kept(1024)
    whole.add(values, priorities(0, len(values)))
    assert found == whole.quantiles()
    assert 400 < found["of"] <= 1024
    assert found["p50"] == pytest.approx(0, abs=0.15)


def test_all_features_together_hold_a_bounded_number_of_values() -> None:
    assert [held_by_each(features) for features in (1, 20, 200, 100_000)] == [1 << 18, 1 << 17, 1 << 14, 1 << 12]


def test_a_sample_of_items_is_of_the_ids_alone_and_about_as_large_as_asked() -> None:
    ids = [f"file-{number}" for number in range(20_000)]
    sample = Sample.of(len(ids), at_most=2000, seed=3)
    chosen = {id for id in ids if id in sample}

    assert 1800 < len(chosen) < 2200
    assert chosen == {id for id in reversed(ids) if id in Sample.of(len(ids), at_most=2000, seed=3)}
    assert chosen != {id for id in ids if id in Sample.of(len(ids), at_most=2000, seed=4)}
    assert "anything" in Sample.of(2000, at_most=2000, seed=3)


# -- streams and tallies


def test_nan_is_missing_and_infinities_are_counted_apart() -> None:
    found = stream([1.0, math.nan, math.inf, 3.0, -math.inf])

    assert (found["count"], found["missing"], found["infinite"]) == (4, 1, 2)
    assert (found["min"], found["max"], found["mean"], found["std"]) == (1.0, 3.0, 2.0, 1.0)
    assert found["missing_rate"] == 0.2


def test_nothing_but_gaps_has_no_mean() -> None:
    found = stream([math.nan, math.nan])

    assert found == {"count": 0, "missing": 2, "missing_rate": 1.0}


def test_the_extremes_of_large_whole_numbers_keep_every_digit() -> None:
    found = stream(np.array([2**62 + 1, 2**63 - 1], np.int64), whole=True)

    assert (found["min"], found["max"]) == (2**62 + 1, 2**63 - 1)


def test_negative_zero_is_zero() -> None:
    assert str(stream([-0.0])["min"]) == str(stream([0.0, -0.0])["min"]) == "0.0"


@given(st.lists(st.integers(0, 255), min_size=1, max_size=80), st.sampled_from([1, 255]))
def test_a_tally_agrees_with_a_stream(values: list[int], scale: int) -> None:
    tally = Tally(scale=scale)
    tally.add(np.array(values, np.uint8))
    found = tally.document()
    expected = stream(np.array(values) / scale if scale > 1 else np.array(values), whole=scale == 1)

    assert found["count"] == expected["count"]
    for name in ("min", "max", "mean", "std"):
        assert found[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9)
    assert found["quantiles"] == pytest.approx(expected["quantiles"])
    assert found["histogram"] == expected["histogram"]


def test_signed_bytes_are_tallied() -> None:
    tally = Tally()
    tally.add(np.array([-128, 127, 0], np.int8))

    assert (tally.document()["min"], tally.document()["max"]) == (-128, 127)


# -- distances


def test_total_variation_is_half_the_differences_of_shares() -> None:
    assert total_variation({"a": 5, "b": 5}, {"a": 9, "b": 1}) == 0.4
    assert total_variation({"a": 1}, {"b": 9}) == 1.0
    assert total_variation({"a": 1, "b": 1}, {"a": 50, "b": 50}) == 0.0
    assert total_variation({}, {"a": 1}) == 1.0


@given(st.lists(ORDINARY, min_size=1, max_size=50), st.lists(ORDINARY, min_size=1, max_size=50))
def test_the_distance_of_histograms_is_at_most_that_of_the_values(one: list[float], other: list[float]) -> None:
    every = sorted({*one, *other})
    true = max(abs(sum(v <= at for v in one) / len(one) - sum(v <= at for v in other) / len(other)) for at in every)
    found = []
    for values in (one, other):
        bins = Bins()
        bins.add(np.array(values))
        found.append(bins.document())
    assert found[0] is not None
    assert found[1] is not None

    assert ks_distance(found[0], found[1]) <= true + 1e-11
    assert ks_distance(found[0], found[0]) == 0


# -- bars


def test_bars_show_every_count_that_is_not_zero() -> None:
    assert bars([0, 1, 4, 8], 10) == " ▁▄█"
    assert bars([1000, 1], 2) == "█▁"
    assert bars([], 5) == bars([1], 0) == ""
    assert bars([0, 0], 5) == "  "


@given(st.lists(st.integers(0, 10**9), max_size=50), st.integers(1, 30))
def test_bars_never_are_wider_than_asked(counts: list[int], width: int) -> None:
    assert len(bars(counts, width)) <= width
