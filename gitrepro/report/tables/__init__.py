"""Tables for papers: each number knows the runs it comes from, and can be held against them again."""

from __future__ import annotations

from .best import Best, best_of
from .building import label, rows_of
from .checking import Judged, judge
from .latex import latex
from .markdown import markdown
from .nouns import Row, Source, Table
from .printed import Printed, printed_in
from .reference import Reference, parse, reference_of
from .tidy import tidy

__all__ = [
    "Best",
    "Judged",
    "Printed",
    "Reference",
    "Row",
    "Source",
    "Table",
    "best_of",
    "judge",
    "label",
    "latex",
    "markdown",
    "parse",
    "printed_in",
    "reference_of",
    "rows_of",
    "tidy",
]
