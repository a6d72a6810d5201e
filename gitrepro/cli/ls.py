"""`gitrepro ls`: list runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, final

import click

from ..query import Query, parse, term
from ..records.term import Term
from ..records.used import DATA, SPLIT
from ..store.index import ATTEMPTS, NEWEST_FIRST, Index
from ..store.repository import Repository
from . import here
from .columns import OWN, SPARE, Column, Shown, asked, filled, standard
from .present import clean, emit, note, table
from .progress import progress

if TYPE_CHECKING:
    from ..records.facts import Facts
    from .underway import Underway

_NEWEST: Final = 50

_EPILOG: Final = """\b
A query joins conditions with and, or, not and brackets:
  gitrepro ls "group == wd-study and val/accuracy > 0.9"
  gitrepro ls "config.lr < 1e-3 and seed in 0..4 and not dirty"
  gitrepro ls "status in (failed, crashed) and started > -7d"
  gitrepro ls "label == keep or note contains 'paper'"
  gitrepro ls 'name ~ "otter*" and duration > 2h'
  gitrepro ls 'data == digits@v1 and split == default'
  gitrepro ls 'text "cosine schedule"'
\b
Fields: id name kind status group label started ended duration seed commit
branch tree dirty actor email host note argv lineage resumes set data split.
Any other name is a metric, when there is one, else a key of the config;
metric.NAME and config.KEY say which, and quotes hold odd ones: config."a.b".
\b
A run without the value matches no condition on it: `x != 1` is another x
than 1, `not x == 1` all else. `x is missing` and `x exists` ask for it.
Times are UTC; a date is its whole day. `data == digits` is any version of
it; a digest may be cut short: `data == b3:2555`.
"""


@click.command(epilog=_EPILOG)
@click.argument("query", nargs=-1)
@click.option("--limit", "-n", type=click.IntRange(min=1), default=_NEWEST, show_default=True, help="How many runs.")
@click.option("--all", "-a", "everything", is_flag=True, help="All runs.")
@click.option("--columns", "-c", help="Show these instead, as `name,config.lr,val/acc`; after a + these as well.")
@click.option("--sort", "-s", help="Order by a field, metric or config key; -NAME from the greatest to the least.")
@click.option("--reverse", "-r", is_flag=True, help="The other way round.")
@click.option("--sets", "by_set", is_flag=True, help="One row a seed set: runs that differ in nothing but the seed.")
@click.option(
    "--pareto", metavar="METRIC:COST", help="Only runs that no other beats for less: `val/accuracy:gpu_hours`."
)
@click.option("--attempts", is_flag=True, help="Each attempt at a resumed run in a row of its own.")
@click.option("--removed", is_flag=True, help="Runs that were removed, and no others.")
@click.option("--mine", is_flag=True, help="Only runs of mine, by the e-mail address Git knows.")
@click.option("--group", help="Only runs of this group.")
@click.option("--status", "state", help="Only runs that stand so, as `finished` or `running`.")
@click.option("--kind", help="Only runs of this kind, as `train` or `baseline`.")
@click.option("--label", help="Only runs with this label.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of runs as JSON.")
def ls(
    query: tuple[str, ...],
    limit: int,
    everything: bool,
    columns: str | None,
    sort: str | None,
    reverse: bool,
    by_set: bool,
    pareto: str | None,
    attempts: bool,
    removed: bool,
    mine: bool,
    group: str | None,
    state: str | None,
    kind: str | None,
    label: str | None,
    as_json: bool,
) -> None:
    """List runs, newest first: those under way and those on record. QUERY says which."""
    found = here.repository()
    options = {"group": group, "status": state, "kind": kind, "email": _email(found) if mine else None}
    with Index(found, on_progress=progress("indexing runs")) as index:
        live = [] if removed else _live(found)
        names = _Names(index, live)
        wanted = parse(" ".join(query), names=names, now=datetime.datetime.now(datetime.UTC))
        wanted = wanted.narrowed({name: value for name, value in options.items() if value is not None}, label=label)
        search = _Search(
            query=wanted,
            folded=not attempts,
            removed=removed,
            order=_order(sort, reverse, names),
            limit=None if everything else limit,
        )
        if by_set:
            from .seedsets import print_sets

            where, values = index.condition(wanted, folded=search.folded, removed=removed)
            print_sets(index, where=where, values=values, limit=search.limit, as_json=as_json)
            return
        if pareto is not None:
            from .pareto import print_front

            condition = index.condition(wanted, folded=search.folded, removed=removed)
            print_front(found, index, pareto, condition=condition, names=names, as_json=as_json)
            return
        extra = asked((columns or "").removeprefix("+"), names)
        shown, matching = _found(index, live, search, [column.term for column in extra if column.term])
        own = [] if columns and not columns.startswith("+") else standard(run.listing for run in shown)
        nothing = not shown and not live and not index.count(where="1")
        troubles = index.troubles()
    if as_json:
        emit([_document(run, extra) for run in shown])
    else:
        _print(shown, [*own, *extra])
    if len(shown) < matching:
        note(f"{len(shown)} of {matching} runs; `gitrepro ls --all` shows all")
    for path, what in troubles.items():
        note(f"damaged: {clean(path)}: {clean(what)}")
    if not shown and not nothing:
        note("no run matches")
    if nothing:
        note("no runs yet; `gitrepro record -- python train.py` makes the first")
    here.mention_dead_runs(found)


def _email(found: Repository) -> str:
    # Only this asks Git anything; a plain list stays quick.
    from ..store import worktree
    from ..store.fold import Identity

    return worktree.identity(found, fallback=Identity(name="", email="")).email


def _live(found: Repository) -> list[Underway]:
    if not here.has_live_runs(found):
        return []
    # What reads their records: most lists show none, and are quicker without.
    from .underway import underway

    return list(underway(found))


# -- which runs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Which runs are wanted, in which order, and how many of them."""

    query: Query
    folded: bool
    removed: bool
    order: tuple[Term, bool] | None
    """The term, and whether the greatest comes first; None is newest first."""
    limit: int | None


@final
class _Names:
    """The metrics and config keys of runs on record and under way."""

    def __init__(self, index: Index, live: Sequence[Underway]) -> None:
        self._index = index
        self._live = {key for run in live for key in run.facts.config}

    def has(self, kind: str, key: str) -> bool:
        return self._index.has(kind, key) or (kind == "config" and key in self._live)

    def all(self, kind: str) -> Iterable[str]:
        return chain(self._index.all(kind), self._live if kind == "config" else ())


def _order(sort: str | None, reverse: bool, names: _Names) -> tuple[Term, bool] | None:
    if sort is None:
        return (term("started", names=names), False) if reverse else None
    return term(sort.removeprefix("-"), names=names), sort.startswith("-") != reverse


def _found(index: Index, live: list[Underway], search: _Search, terms: Sequence[Term]) -> tuple[list[Shown], int]:
    """The runs of a search, and how many there are without its limit."""
    matching = [run for run in live if search.query.matches(run.facts)]
    where, values = index.condition(search.query, folded=search.folded, removed=search.removed)
    begun = [str(run.facts.fields["lineage"]) for run in live if search.folded and "lineage" in run.facts.fields]
    if begun:
        # Its newest attempt is under way.
        where += f" AND coalesce(lineage, id) NOT IN ({', '.join('?' * len(begun))})"
        values = [*values, *begun]
    asked_for = [*terms, *([search.order[0]] if search.order else []), ATTEMPTS]
    order = index.order(search.order[0], descending=search.order[1]) if search.order else NEWEST_FIRST
    recorded = list(index.table(asked_for, where=where, values=values, order=order, limit=search.limit))
    shown = [Shown(listing=run, values=dict(zip(asked_for, held, strict=True))) for run, held in recorded]
    ahead = [Shown(listing=run.listing, values=_held(index, run.facts, asked_for)) for run in matching]
    # All of them are here where there is room for more: to count them would be to search once again.
    count = index.count(where=where, values=values) if len(recorded) == search.limit else len(recorded)
    return _merged(ahead, shown, search)[: search.limit], len(matching) + count


def _held(index: Index, found: Facts, terms: Iterable[Term]) -> dict[Term, Any]:
    held = {term: found.values(term) for term in terms if term != ATTEMPTS}
    texts = {term: _text(term, found, values) for term, values in held.items() if values}
    return {**texts, ATTEMPTS: 1 + index.attempts(str(found.fields.get("lineage", "")))}


def _text(term: Term, found: Facts, values: Sequence[Any]) -> Any:
    if term.kind in (DATA, SPLIT):
        return found.fields[term.kind]
    return " ".join(map(str, values)) if term.kind == "label" else values[0]


def _merged(live: list[Shown], recorded: list[Shown], search: _Search) -> list[Shown]:
    if search.order is None:
        return [*live, *recorded]
    by, descending = search.order

    def known(run: Shown) -> bool:
        value = run.values.get(by)
        return value is not None and value == value  # NaN comes last, with what is missing

    runs = [*live, *recorded]
    numbers = [run for run in runs if known(run) and not isinstance(run.values[by], str)]
    texts = [run for run in runs if known(run) and isinstance(run.values[by], str)]
    for part in (numbers, texts):
        part.sort(key=lambda run: run.values[by], reverse=descending)
    return [*numbers, *texts, *(run for run in runs if not known(run))]


# -- how they are shown


def _document(run: Shown, extra: Sequence[Column]) -> dict[str, Any]:
    if not extra:
        return run.listing
    return {**run.listing, "columns": {column.title: _of(run, column) for column in extra}}


def _of(run: Shown, column: Column) -> object:
    return run.values.get(column.term) if column.term else column.cell(run)


def _print(runs: list[Shown], columns: Sequence[Column]) -> None:
    kept, rows = filled(columns, runs)
    titles = [column.title for column in kept]
    more = [title for title in titles if title not in OWN]
    table(
        rows,
        [clean(title) for title in titles],
        right=[place for place, column in enumerate(kept) if column.right],
        elastic=titles.index("name") if "name" in titles else 0,
        spare=[titles.index(name) for name in (*SPARE, *reversed(more[1:])) if name in titles],
    )
