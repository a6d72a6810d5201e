"""`gitrepro data diff`: what changed from one version to another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import click

from ...data.compare import Comparison, compare
from ...data.rows import Changes, TableChanges
from ...store.catalog import Catalog
from .. import here
from ..present import clean, coloured, emit, line, note, number, size, table
from .numbers import beside
from .parts import SCHEMA, document

_NAMED_AT_MOST = 10
_MOVES_AT_MOST = 20
_SIGNS = (("+", "added", "green"), ("-", "removed", "red"), ("~", "changed", "yellow"))


@click.command()
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--all", "everything", is_flag=True, help="Name everything that changed, up to 1,000 of each.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def diff(context: click.Context, old: str, new: str, everything: bool, as_json: bool) -> None:
    """Compare two versions: files, rows, statistics.

    The exit code is 0 when they hold the same, and 1 when they differ. Rows are compared by their ids where the data
    set has an id column, else by what they hold; up to 1,000,000 of them.
    """
    found = here.repository()
    with Catalog(found) as catalog:
        records = [catalog.dataset(text) for text in (old, new)]
    comparison = compare(found, *records)
    if as_json:
        emit(_document(comparison))
    else:
        _print(comparison, everything=everything)
    context.exit(1 if comparison.differ else 0)


def _print(comparison: Comparison, *, everything: bool) -> None:
    old, new = comparison.old, comparison.new
    line(f"{old.ref} → {new.ref}")
    if not comparison.differ:
        line("nothing differs")
        return
    rows = [_counts("files", comparison.files)]
    if comparison.table:
        by = comparison.table.by
        rows.append(_counts(f"rows by {by}" if by else "rows by content", comparison.table.rows))
    table(rows, ("what", "before", "after", "added", "removed", "changed"), right=(1, 2, 3, 4, 5))
    line(f"{size(comparison.size_added_bytes)} came, {size(comparison.size_removed_bytes)} went")
    if comparison.table:
        _print_columns(comparison.table)
    _print_names(comparison.table.rows if comparison.table else comparison.files, everything=everything)
    if comparison.unread:
        note(f"rows were not compared: {clean(comparison.unread)}")
    _print_moves(comparison, everything=everything)


def _counts(what: str, changes: Changes) -> list[str]:
    numbers = (changes.before, changes.after, changes.added, changes.removed, changes.changed)
    return [what, *(f"{count:,}" for count in numbers)]


def _print_columns(changes: TableChanges) -> None:
    for sign, colour, names in (("+", "green", changes.columns_added), ("-", "red", changes.columns_removed)):
        for name in names:
            line(coloured(f"  {sign} column {name}", colour))
    for name, (before, after) in changes.retyped.items():
        line(coloured(f"  ~ column {name}: {before} → {after}", "yellow"))


def _print_names(changes: Changes, *, everything: bool) -> None:
    for sign, what, colour in _SIGNS:
        names, count = getattr(changes, f"names_{what}"), getattr(changes, what)
        shown = names if everything else names[:_NAMED_AT_MOST]
        for name in shown:
            line(coloured(f"  {sign} {name}", colour))
        if count > len(shown):
            line(coloured(f"  {sign} and {count - len(shown):,} more {what}", "dim"))


def _print_moves(comparison: Comparison, *, everything: bool) -> None:
    if comparison.moves is None:
        note(f"the statistics were not compared: {clean(comparison.unmoved)}")
        return
    shown = comparison.moves if everything else comparison.moves[:_MOVES_AT_MOST]
    if not shown:
        line("the statistics did not move")
        return
    line()
    rows = [
        [each.feature or "(all)", each.what, _value(each.before), _value(each.after), _moved(each.size)]
        for each in shown
    ]
    table(rows, ("moved", "what", "before", "after", "by"), right=(2, 3, 4))
    if len(comparison.moves) > len(shown):
        line(coloured(f"  and {len(comparison.moves) - len(shown):,} more; --all shows them", "dim"))
    _print_histograms(comparison, [each.feature for each in shown])


def _print_histograms(comparison: Comparison, features: Iterable[str]) -> None:
    """The features that moved, before and after."""
    rows = []
    for name in list(dict.fromkeys(features))[:_NAMED_AT_MOST]:
        shown = beside(*(_histogram(statistics, name) for statistics in comparison.statistics))
        if shown and shown[0] != shown[1]:
            rows.append([name, *shown])
    if rows:
        line()
        table(rows, ("feature", f"{comparison.old.version}", f"{comparison.new.version}"))


def _histogram(statistics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for part in ("features", "channels", "sizes", "lengths"):
        about = (statistics.get(part) or {}).get(name)
        if isinstance(about, dict):
            found = about.get("histogram") or (about.get("lengths") or {}).get("histogram")
            return found if isinstance(found, dict) else {}
    return {}


def _value(value: object) -> str:
    return "-" if value is None else number(value)


def _moved(distance: float) -> str:
    return f"{distance:.3g}" if math.isfinite(distance) else "entirely"


# -- JSON


def _document(comparison: Comparison) -> dict[str, Any]:
    moves = comparison.moves
    return {
        "schema": SCHEMA,
        "differ": comparison.differ,
        "old": document(comparison.old),
        "new": document(comparison.new),
        "files": _changes(comparison.files),
        "added_bytes": comparison.size_added_bytes,
        "removed_bytes": comparison.size_removed_bytes,
        "rows": _table(comparison.table) if comparison.table else None,
        "rows_not_compared": comparison.unread or None,
        "statistics": None if moves is None else [
            {"feature": each.feature, "what": each.what, "before": each.before, "after": each.after, "size": each.size}
            for each in moves
        ],
    }  # fmt: skip


def _changes(changes: Changes) -> dict[str, Any]:
    return {
        "before": changes.before,
        "after": changes.after,
        "added": changes.added,
        "removed": changes.removed,
        "changed": changes.changed,
        "names_added": list(changes.names_added),
        "names_removed": list(changes.names_removed),
        "names_changed": list(changes.names_changed),
    }


def _table(changes: TableChanges) -> dict[str, Any]:
    return {
        **_changes(changes.rows),
        "by": changes.by,
        "columns_added": list(changes.columns_added),
        "columns_removed": list(changes.columns_removed),
        "columns_retyped": {name: {"old": old, "new": new} for name, (old, new) in changes.retyped.items()},
    }
