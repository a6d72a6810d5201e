"""Runs as one Arrow table: a row a run, a column for each field, metric and config key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..errors import UsageError
from .seeds import the_seed
from .term import flat
from .used import DATA, SPLIT, shown, used

_INT64: Final = 2**63


def run_table(listings: Sequence[Mapping[str, Any]]) -> Any:
    """A `pyarrow.Table` of runs: `id, name, ...`, metrics by their names, config keys as `config.lr`.

    A column whose values are all integers is int64, all booleans bool, all numbers float64; any other is text, in which
    what is not text is JSON. A metric whose name is taken is `metric.NAME`. `data` and `split` are `digits@v1`, several
    with a space between.
    """
    import pyarrow as pa

    rows = [_row(listing) for listing in listings]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column([row.get(name) for row in rows]) for name in names or _row(_NOTHING)}
    return pa.table(columns)


def data_frame(table: Any) -> Any:
    """An Arrow table as a `pandas.DataFrame`.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        raise UsageError("a DataFrame needs pandas", do="pip install pandas, or use the Arrow table") from None
    return table.to_pandas()


_NOTHING: Final[dict[str, Any]] = {
    "code": {}, "actor": {}, "seeds": {}, "labels": [], "config": {}, "summary": {}, "data": [],
}  # fmt: skip


def _row(listing: Mapping[str, Any]) -> dict[str, Any]:
    code, held = listing["code"], used(listing["data"])
    own = {
        **{
            name: listing.get(name)
            for name in ("id", "name", "kind", "status", "started_at", "duration_seconds", "group")
        },
        "labels": " ".join(map(str, listing["labels"])),
        "actor": listing["actor"].get("name"),
        "email": listing["actor"].get("email"),
        "commit": code.get("commit"),
        "dirty": code.get("dirty"),
        "seed": the_seed(listing["seeds"]),
        **{kind: shown(held, kind) or None for kind in (DATA, SPLIT)},
    }
    config = {f"config.{key}": value for key, value in flat(listing["config"])}
    metrics = {
        f"metric.{name}" if name in own or name in config else name: listing["summary"][name]
        for name in listing["summary"]
    }
    return {**own, **metrics, **config}


def _column(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and _fit(values):
        return pa.array(values, pa.int64())
    if kinds and kinds <= {int, float} and _fit(values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([_text(value) for value in values], pa.string())


def _fit(values: Iterable[Any]) -> bool:
    return all(-_INT64 <= value < _INT64 for value in values if isinstance(value, int))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
