"""From runs to the rows of a table. A row is one seed set: a mean over configurations is nobody's repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ...errors import UsageError
from ...records.seeds import seed_text
from ...records.seedset import SeedSet, seed_set, spread_of, without_seeds
from ...records.term import flat
from .nouns import Row, Source

Listing = Mapping[str, Any]
_SHOWN_AT_MOST: Final = 5
_MISSING: Final = "–"


def rows_of(
    found: Iterable[tuple[Listing, str, tuple[object, ...]]],
    *,
    metrics: Sequence[str],
    sources: Mapping[frozenset[str], Source],
    pool: bool = False,
) -> list[Row]:
    """The rows of runs, in the order of their labels; numbers before text.

    Args:
        found: runs, newest first: each as `ls --json` has it, its seed set, and its values of what the table is by.
        metrics: those that are wanted.
        sources: the results on record, by the ids of their runs.
        pool: let a row hold several configurations.

    Raises:
        UsageError: a row has several configurations, and nobody wanted them pooled.
    """
    grouped: dict[tuple[object, ...], dict[str, list[Listing]]] = {}
    for listing, key, values in found:
        grouped.setdefault(values, {}).setdefault(key, []).append(listing)
    rows = []
    for values in sorted(grouped, key=_in_order):
        sets = [seed_set(key, runs) for key, runs in grouped[values].items()]
        labels = tuple(_MISSING if value is None else label(value) for value in values)
        if len(sets) > 1 and not pool:
            raise _mixed(labels, sets)
        rows.append(_row(labels, sets, metrics, sources))
    return rows


def label(value: object) -> str:
    """A value of a config as a row is called: 3 for 3.0, as people write it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def _in_order(values: tuple[object, ...]) -> list[tuple[int, float, str]]:
    return [
        (0, float(value), "") if isinstance(value, int | float) else (2 if value is None else 1, 0.0, str(value))
        for value in values
    ]


def _row(
    labels: tuple[str, ...], sets: Sequence[SeedSet], metrics: Sequence[str], sources: Mapping[frozenset[str], Source]
) -> Row:
    draws = {_seed(each, seed, len(sets)): str(run["id"]) for each in sets for seed, run in each.draws.items()}
    spreads = {}
    for name in metrics:
        values = [
            (run, _seed(each, seed, len(sets)), value)
            for each in sets
            if name in each.metrics
            for run, seed, value in each.metrics[name].values
        ]
        if values:
            spreads[name] = spread_of(values)
    return Row(
        labels=labels,
        draws=draws,
        failed=tuple(run for each in sets for run in _failed(each)),
        repeated=tuple(run for each in sets for run in each.repeated),
        unseeded=tuple(run for each in sets for run in each.unseeded),
        spreads=spreads,
        configurations=len(sets),
        data=frozenset(name for each in sets for run in each.draws.values() for name in _data(run)),
        source=sources.get(frozenset(draws.values())),
    )


def _seed(each: SeedSet, seed: str, sets: int) -> str:
    return seed if sets == 1 else f"{each.key[:8]}:{seed}"


def _failed(each: SeedSet) -> Iterator[str]:
    by_id = {str(run["id"]): run for run in each.runs}
    return (run for run in each.unfinished if seed_text(by_id[run]["seeds"]) not in each.draws)


def _data(run: Listing) -> Iterator[str]:
    for entry in run["data"]:
        yield str(entry.get("digest") or entry.get("name"))
        yield from (str(split.get("digest") or split.get("name")) for split in entry.get("splits") or ())


def _mixed(labels: tuple[str, ...], sets: Sequence[SeedSet]) -> UsageError:
    differ = differing([each.newest for each in sets])
    shown = ", ".join(differ[:_SHOWN_AT_MOST]) or "its code, data or command"
    keys = [name for name in differ if name.startswith("config.")]
    first = f"add `--by {keys[0]}`, or " if keys else ""
    return UsageError(
        f"the row {' / '.join(labels)} has {len(sets)} configurations",
        why=f"they differ in {shown}; a spread over seeds is of one configuration",
        do=f"{first}narrow the query; `--pool` takes them together all the same",
    )


def differing(runs: Sequence[Listing]) -> list[str]:
    """In what runs of several seed sets differ, as a query names it."""
    keys: dict[str, set[str]] = {}
    leaves = [dict(flat(without_seeds(run["config"]))) for run in runs]
    for name in dict.fromkeys(name for each in leaves for name in each):
        keys[f"config.{name}"] = {repr(each.get(name)) for each in leaves}
    keys["kind"] = {str(run["kind"]) for run in runs}
    keys["commit"] = {str((run["code"] or {}).get("commit")) for run in runs}
    keys["dirty"] = {str((run["code"] or {}).get("dirty")) for run in runs}
    keys["data"] = {" ".join(sorted(_data(run))) for run in runs}
    return [name for name, values in keys.items() if len(values) > 1]
