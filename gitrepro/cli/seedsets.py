"""`gitrepro ls --sets`: runs that differ in nothing but the seed, one row a set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..records.seedset import SeedSet, Spread, seed_set
from ..store.index import Index
from .columns import common_metrics
from .present import clean, emit, note, number, table


def print_sets(index: Index, *, where: str, values: Sequence[Any], limit: int | None, as_json: bool) -> None:
    """Print the seed sets of these runs, the one with the newest run first."""
    keys = index.sets(where=where, values=values, limit=limit)
    sets = [_set(index, key, where, values) for key in keys]
    if as_json:
        emit([_document(each) for each in sets])
    else:
        _print(sets)
    total = index.count_sets(where=where, values=values) if len(keys) == limit else len(keys)
    if len(keys) < total:
        note(f"{len(keys)} of {total} seed sets; `gitrepro ls --sets --all` shows all")
    repeated = sum(len(each.repeated) for each in sets)
    if repeated:
        note(f"{repeated} runs repeat a seed of their set; of each seed the newest finished run counts")
    if not sets:
        note("no runs; `gitrepro repeat RUN -n 5` makes a seed set of a run")


def _set(index: Index, key: str, where: str, values: Sequence[Any]) -> SeedSet:
    return seed_set(key, list(index.members(key, where=where, values=values)))


def _print(sets: Sequence[SeedSet]) -> None:
    metrics = common_metrics(dict.fromkeys(each.metrics, 0.0) for each in sets)
    header = ["id", "name", "kind", "runs", "n", "seeds", "group", *metrics]
    table(
        [_row(each, metrics) for each in sets],
        [clean(name) for name in header],
        right=[3, 4, *range(7, len(header))],
        elastic=1,
        spare=[2, 6, *reversed(range(8, len(header)))],
    )


def _row(each: SeedSet, metrics: Sequence[str]) -> list[object]:
    newest = each.newest
    shown = [_spread(each.metrics.get(name), n=len(each.draws)) for name in metrics]
    return [
        newest["id"][-8:],
        newest["name"],
        newest["kind"],
        len(each.runs),
        len(each.draws),
        _seeds(each),
        newest["group"] or "",
        *shown,
    ]


def _seeds(each: SeedSet) -> str:
    """`0 1 2, 1 repeated, 2 not finished`: which draws there are, and which runs are none."""
    parts = [" ".join(each.draws)] if each.draws else []
    for word, runs in (("repeated", each.repeated), ("not finished", each.unfinished), ("unseeded", each.unseeded)):
        if runs:
            parts.append(f"{len(runs)} {word}")
    return ", ".join(parts)


def _spread(spread: Spread | None, *, n: int) -> str:
    if spread is None:
        return ""
    # Fewer values than draws: not every run of the set has this metric.
    count = f" ({spread.n})" if spread.n != n else ""
    if spread.std is None or math.isnan(spread.mean):
        return f"{number(spread.mean)}{count}"
    return f"{number(spread.mean)} ± {spread.std:.2g}{count}"


def _document(each: SeedSet) -> dict[str, Any]:
    newest = each.newest
    return {
        "schema": 1,
        "set": each.key,
        "name": newest["name"],
        "kind": newest["kind"],
        "group": newest["group"],
        "config": newest["config"],
        "n": len(each.draws),
        "seeds": list(each.draws),
        "runs": [run["id"] for run in each.runs],
        "repeated": list(each.repeated),
        "unfinished": list(each.unfinished),
        "unseeded": list(each.unseeded),
        "metrics": {name: _spread_document(spread) for name, spread in each.metrics.items()},
    }


def _spread_document(spread: Spread) -> dict[str, Any]:
    values = [{"run": run, "seed": seed, "value": value} for run, seed, value in spread.values]
    return {"mean": spread.mean, "std": spread.std, "n": spread.n, "values": values}
