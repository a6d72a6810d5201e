"""Statistics of a data set's version, computed once and kept with it: plain data, the same for the same bytes.

describe           all of it
sums bins sampling numbers strings columns     one pass, small memory, the same bits everywhere
tables arrays folders                          by what the items are
classes duplicates prints                      labels, and items equal to an earlier one
moved              how statistics moved from one version to the next
bars               a histogram for a terminal
"""

from __future__ import annotations

from .bars import bars
from .describe import ALGORITHM, describe
from .moved import Move, moved

__all__ = ["ALGORITHM", "Move", "bars", "describe", "moved"]
