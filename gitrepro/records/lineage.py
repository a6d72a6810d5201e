"""The rows of several attempts at one run, as the rows of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .metrics import RESERVED


def joined(attempts: Sequence[Any]) -> Any:
    """One `pyarrow.Table` of the tables of all attempts, the oldest first.

    A row of an attempt is superseded, and left out, when its step was reached again: when it is at or beyond the first
    step of a later attempt. `_seq` counts anew. `_time_seconds` goes on where the attempt before ended: it is the time
    spent on the run, without the pauses between.
    """
    import pyarrow as pa

    kept: list[Any] = []
    first_step: int | None = None
    for table in reversed(attempts):
        if table.num_rows:
            kept.append(_before(table, first_step))
            lowest = min(table.column("_step").to_pylist()[:1])
            first_step = lowest if first_step is None else min(first_step, lowest)
    kept.reverse()
    if not kept:
        return attempts[-1]
    types = _types(kept)
    tables = [_shaped(table, types) for table in _in_time(kept)]
    whole = pa.concat_tables(tables)
    return whole.set_column(0, "_seq", pa.array(range(whole.num_rows), pa.int64()))


def _before(table: Any, step: int | None) -> Any:
    import pyarrow.compute as pc

    return table if step is None else table.filter(pc.less(table.column("_step"), step))


def _in_time(tables: Sequence[Any]) -> list[Any]:
    import pyarrow.compute as pc

    place = RESERVED.index("_time_seconds")
    found = []
    spent_seconds = 0.0
    for table in tables:
        moved = pc.add(table.column(place), spent_seconds)
        found.append(table.set_column(place, "_time_seconds", moved))
        spent_seconds = max([spent_seconds, *moved.slice(max(table.num_rows - 1, 0)).to_pylist()])
    return found


def _types(tables: Sequence[Any]) -> dict[str, Any]:
    """Every column with a type that takes the values of all attempts; metrics in the order of their names."""
    import pyarrow as pa

    found: dict[str, Any] = {}
    for table in tables:
        for field in table.schema:
            known = found.setdefault(field.name, field.type)
            found[field.name] = known if known == field.type else pa.float64()
    return {name: found[name] for name in (*RESERVED, *sorted(found.keys() - set(RESERVED)))}


def _shaped(table: Any, types: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    columns = [
        table.column(name).cast(kind, safe=False) if name in table.column_names else pa.nulls(table.num_rows, kind)
        for name, kind in types.items()
    ]
    return pa.table(dict(zip(types, columns, strict=True)))
