"""A table as CSV: one line for each number, unrounded, with its runs."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from .nouns import Row, Table
from .reference import reference_of
from .text import one_line

COLUMNS = ("metric", "mean", "std", "n", "failed", "best", "result", "tag", "runs", "reference")


def tidy(table: Table) -> str:
    """The table; `best` is empty where nobody said which way the metric is better."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*map(_text, table.by), *COLUMNS])
    for place, row in enumerate(table.rows):
        for name in table.metrics:
            writer.writerow([*map(_text, row.labels), *_values(table, row, place, name)])
    return out.getvalue()


def _values(table: Table, row: Row, place: int, metric: str) -> list[Any]:
    spread = row.spreads.get(metric)
    result = [row.source.id, row.source.tag] if row.source else ["", ""]
    if spread is None:
        return [_text(metric), "", "", 0, len(row.failed), "", *result, "", ""]
    best = "" if metric not in table.goals else str(table.best.get(metric) == place).lower()
    std = "" if spread.std is None else _number(spread.std * table.scale)
    runs = " ".join(run for run, _, _ in spread.values)
    numbers = [_text(metric), _number(spread.mean * table.scale), std, spread.n, len(row.failed), best]
    return [*numbers, *result, runs, str(reference_of(row, metric, scale=table.scale))]


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _text(text: str) -> str:
    # A spreadsheet takes what begins so for a formula, and would run it.
    shown = one_line(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown
