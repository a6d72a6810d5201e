"""Metric tables: what a run logged, as Parquet columns that come back exactly or not at all.

`TableBuilder` collects points and writes them, `read` gives them back, `reduce` makes a small labelled stand-in for a
large table, `Summary` keeps the line a person looks at first. `FORMAT.md` has the columns.

NumPy and pyarrow are imported where they are used: a list of runs needs neither. Arrow arrays are built from buffers,
because `pa.array` and `pa.table` import pandas wherever it is installed.
"""

from __future__ import annotations

from .build import TableBuilder, by_rank
from .frame import RESERVED, Point, check_name
from .reduced import Bucket, ReducedTable, read_reduced, reduce
from .summary import Summary, summarise
from .table import MetricTable, read

__all__ = [
    "RESERVED",
    "Bucket",
    "MetricTable",
    "Point",
    "ReducedTable",
    "Summary",
    "TableBuilder",
    "by_rank",
    "check_name",
    "read",
    "read_reduced",
    "reduce",
    "summarise",
]
