"""How `gitrepro table` shows a table: aligned for people, as TSV in a pipe, as JSON for programs."""

from __future__ import annotations

from typing import Any, Final

from ..report.tables import Row, Table, reference_of
from ..report.tables.rounding import fixed
from ..report.tables.text import counted_draws, heading, shown_decimals
from .present import clean
from .present import table as print_table

SCHEMA: Final = 1


def print_made(made: Table) -> None:
    header = [*made.by, *(heading(made, name) for name in made.metrics), "n", "result"]
    rows = [[*row.labels, *_cells(made, row, place), counted_draws(row), _result(row)] for place, row in _places(made)]
    first = len(made.by)
    print_table(rows, [clean(each) for each in header], right=range(first, first + len(made.metrics) + 1), elastic=None)


def _places(made: Table) -> list[tuple[int, Row]]:
    return list(enumerate(made.rows))


def _result(row: Row) -> str:
    return f"{row.source.tag} {row.source.id[-8:]}" if row.source else ""


def _cells(made: Table, row: Row, place: int) -> list[str]:
    return [_cell(made, row, name, is_best=made.best.get(name) == place) for name in made.metrics]


def _cell(made: Table, row: Row, metric: str, *, is_best: bool) -> str:
    if metric not in row.spreads:
        return ""
    spread, decimals = row.spreads[metric], shown_decimals(made)[metric]
    std = "" if spread.std is None else f" ± {fixed(spread.std * made.scale, decimals)}"
    fewer = f" ({spread.n})" if spread.n != len(row.draws) else ""
    return f"{'* ' if is_best else ''}{fixed(spread.mean * made.scale, decimals)}{std}{fewer}"


def made_document(made: Table) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "by": list(made.by),
        "metrics": list(made.metrics),
        "goals": dict(made.goals),
        "rows": [_row(made, row, place) for place, row in _places(made)],
        "remarks": list(made.remarks),
    }


def _row(made: Table, row: Row, place: int) -> dict[str, Any]:
    return {
        "labels": list(row.labels),
        "seeds": dict(row.draws),
        "failed": list(row.failed),
        "repeated": list(row.repeated),
        "unseeded": list(row.unseeded),
        "configurations": row.configurations,
        "result": {"id": row.source.id, "tag": row.source.tag} if row.source else None,
        "cells": {name: _numbers(made, row, place, name) for name in made.metrics if name in row.spreads},
    }


def _numbers(made: Table, row: Row, place: int, metric: str) -> dict[str, Any]:
    spread = row.spreads[metric]
    return {
        "mean": spread.mean,
        "std": spread.std,
        "n": spread.n,
        "best": made.best.get(metric) == place if metric in made.goals else None,
        "values": [{"run": run, "seed": seed, "value": value} for run, seed, value in spread.values],
        "reference": str(reference_of(row, metric, scale=made.scale)),
    }
