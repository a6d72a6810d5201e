"""Metric tables: what a run logged, as Parquet columns that come back exactly or not at all.

`TableBuilder` collects points in memory; `TableWriter` takes any number of them, some at a time, and writes the files;
`read` gives them back, `Reducer` makes a small labelled stand-in for a large table, `Summary` keeps the line a person
looks at first. `FORMAT.md` has the columns.

NumPy and pyarrow are imported where they are used: a list of runs needs neither. Arrow arrays are built from buffers,
because `pa.array` and `pa.table` import pandas wherever it is installed.
"""

from __future__ import annotations

from .batch import Batch
from .build import TableBuilder
from .decode import MAX_ROWS
from .files import by_rank
from .frame import RESERVED, Point, check_name
from .layout import Layout, layout_of_kinds
from .reduced import Bucket, ReducedTable, Reducer, read_reduced, reduce
from .summary import Summary, summarise
from .table import MetricTable, read
from .write import TableFile, TableWriter

__all__ = [
    "MAX_ROWS",
    "RESERVED",
    "Batch",
    "Bucket",
    "Layout",
    "MetricTable",
    "Point",
    "ReducedTable",
    "Reducer",
    "Summary",
    "TableBuilder",
    "TableFile",
    "TableWriter",
    "by_rank",
    "check_name",
    "layout_of_kinds",
    "read",
    "read_reduced",
    "reduce",
    "summarise",
]
