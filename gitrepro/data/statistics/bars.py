"""Histograms of one line, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BLOCKS: Final = "▁▂▃▄▅▆▇█"


def bars(counts: Sequence[float], width: int) -> str:
    """Counts as blocks of an eighth to eight eighths; empty bins are spaces, and whatever is not empty shows.

    Args:
        counts: not negative; more than `width` are added up in runs of equal length.
        width: columns at most.
    """
    if width < 1 or not counts:
        return ""
    run = -(-len(counts) // width)
    summed = [sum(counts[place : place + run]) for place in range(0, len(counts), run)]
    most = max(summed)
    return "".join(_block(count, most) for count in summed)


def _block(count: float, most: float) -> str:
    if count <= 0:
        return " "
    return BLOCKS[int(-(-count * len(BLOCKS) // most)) - 1]
