"""Distances between two distributions that are known as counts."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import floor
from typing import Any

from .numbers import rounded


def total_variation(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Half the sum of the differences of shares: 0 for equal shares, 1 when no name is in both."""
    one, other = sum(before.values()), sum(after.values())
    if not one or not other:
        return float(bool(one) != bool(other))
    names = before.keys() | after.keys()
    apart = sum(abs(Fraction(after.get(name, 0), other) - Fraction(before.get(name, 0), one)) for name in names)
    return rounded(float(apart / 2))


def ks_distance(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """The greatest difference of the cumulative shares at the edges that both histograms have.

    Edges are multiples of powers of two, so the finer histogram is brought to the coarser without loss. What lies
    between the edges is not seen: the distance of the values is at least this.
    """
    width = max(_width(before), _width(after))
    if not width:
        return float(before["edges"][0] != after["edges"][0])
    one, other = _at_places(before, width), _at_places(after, width)
    here = there = largest = Fraction(0)
    for place in sorted(one.keys() | other.keys()):
        here += Fraction(one.get(place, 0), sum(one.values()))
        there += Fraction(other.get(place, 0), sum(other.values()))
        largest = max(largest, abs(here - there))
    return rounded(float(largest))


def _width(histogram: Mapping[str, Any]) -> float:
    edges = histogram["edges"]
    return float(edges[1] - edges[0])


def _at_places(histogram: Mapping[str, Any], width: float) -> dict[int, int]:
    places: dict[int, int] = {}
    # The lower edges only: for one value both edges are that value.
    for edge, count in zip(histogram["edges"], histogram["counts"], strict=False):
        place = floor(Fraction(edge) / Fraction(width))
        places[place] = places.get(place, 0) + count
    return places
