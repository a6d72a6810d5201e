"""`gitrepro table`: a paper's table out of the record, and a paper's numbers held against the record."""

from __future__ import annotations

import datetime
import difflib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from ..errors import NotFound, UsageError
from ..query import parse, term
from ..records.metricnames import part_of
from ..records.term import Term
from ..report import tables
from ..store.index import NEWEST_FIRST, Index
from ..store.repository import Repository
from ..store.runs import RunTree
from . import here
from .cited import sources_of
from .goals import declared_goals
from .openings import openings
from .paper import check_papers
from .present import clean, emit, note
from .progress import progress
from .tabled import made_document, print_made

if TYPE_CHECKING:
    from ..report.tables import Row, Table

KINDS: Final = ("train", "eval", "baseline")
"""The kinds of runs that a number of a paper comes from; a query that speaks of kinds decides for itself."""
_Run: TypeAlias = "tuple[dict[str, Any], str, tuple[object, ...]]"
_FORMATS: Final = {"latex": tables.latex, "md": tables.markdown, "csv": tables.tidy}

_EPILOG: Final = """\b
  gitrepro table "group == study" --by config.model --metric test/accuracy
  gitrepro table "group == study" --by config.model --metric test/accuracy --format latex > table.tex
  gitrepro table --check paper.tex
\b
In LaTeX each number stands in \\gitrepro{where it is from}{what is printed}, in Markdown before a
comment. Such a number may be moved, and written by hand in the text as well:
  \\gitrepro{test/accuracy of result/vit}{91.2 \\pm 0.4}
"""


@click.command(name="table", epilog=_EPILOG)
@click.argument("query", nargs=-1)
@click.option("--by", multiple=True, metavar="NAME", help="A row for each value of it, as `config.model`; repeatable.")
@click.option("--metric", "-m", "metrics", multiple=True, metavar="NAME", help="A column; may be repeated.")
@click.option("--format", "form", type=click.Choice([*_FORMATS]), help="What to print; by default a table to look at.")
@click.option("--percent", is_flag=True, help="Print the numbers times 100.")
@click.option("--digits", type=click.IntRange(0, 12), help="Decimals; by default as the standard deviation wants.")
@click.option("--pool", is_flag=True, help="Let a row hold several configurations.")
@click.option(
    "--check", "papers", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Compare FILE's numbers."
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def table(
    query: tuple[str, ...],
    by: tuple[str, ...],
    metrics: tuple[str, ...],
    form: Literal["latex", "md", "csv"] | None,
    percent: bool,
    digits: int | None,
    pool: bool,
    papers: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Print the table of a paper: mean and standard deviation over seeds of the finished runs of QUERY.

    A row is one configuration with several seeds. The best number is bold where the interval says that it is best,
    and only there. With --check, compare the numbers that a paper prints with the record; exits 1 when one differs.
    """
    found = here.repository()
    if papers:
        _check_alone(query, by, metrics, form)
        return check_papers(found, papers, as_json=as_json)
    if not metrics:
        raise UsageError("no metric is named", do="add `--metric test/accuracy`; `gitrepro ls` shows what there is")
    made = _made(found, " ".join(query), by=by, metrics=metrics, pool=pool)
    made = replace(made, scale=100 if percent else 1, digits=digits, made_by=_command())
    if as_json:
        emit(made_document(made))
    elif form:
        sys.stdout.write(_FORMATS[form](made))
    else:
        print_made(made)
    for remark in made.remarks:
        note(clean(remark))
    return 0


def _check_alone(query: Sequence[str], by: Sequence[str], metrics: Sequence[str], form: str | None) -> None:
    if query or by or metrics or form:
        raise UsageError(
            "--check takes a paper, and nothing else", why="each printed number says itself where it is from"
        )


def _command() -> str:
    return shlex.join(["gitrepro", *sys.argv[1:]])


# -- the table


def _made(found: Repository, query: str, *, by: Sequence[str], metrics: Sequence[str], pool: bool) -> Table:
    with Index(found, on_progress=progress("indexing runs")) as index, RunTree(found) as tree:
        for metric in metrics:
            _check_metric(index, metric)
        terms = [term(each, names=index) for each in by]
        runs = _runs(index, query, terms)
        if not runs:
            raise NotFound("no run matches", why="only runs on record are in a table", do="`gitrepro ls QUERY` lists")
        runs, without = _with_labels(runs, by)
        rows = tables.rows_of(runs, metrics=metrics, sources=sources_of(found, tree), pool=pool)
        drawn = [run for row in rows for run in row.draws.values()]
        goals = declared_goals(found, tree, metrics, drawn)
        used = _openings(tree, runs, drawn, metrics) if any(map(_is_test, metrics)) else []
    best = {name: tables.best_of(rows, name, goals[name]) for name in metrics if name in goals and len(rows) > 1}
    clear = {name: each.place for name, each in best.items() if each.clear and each.place is not None}
    remarks = [*without, *_remarks(rows, metrics, goals, best), *used]
    titles = tuple(by) or ("runs",)
    return tables.Table(
        by=titles, metrics=tuple(metrics), rows=tuple(rows), goals=goals, best=clear, remarks=tuple(remarks)
    )


def _openings(tree: RunTree, runs: Sequence[_Run], drawn: Sequence[str], metrics: Sequence[str]) -> list[str]:
    counted = {*drawn}
    data = [entry for listing, *_ in runs if listing["id"] in counted for entry in listing["data"]]
    return openings(tree, drawn, data, metrics)


def _is_test(metric: str) -> bool:
    return part_of(metric) == "test"


def _check_metric(index: Index, metric: str) -> None:
    if index.has("metric", metric):
        return
    known = list(index.all("metric"))
    near = difflib.get_close_matches(metric, known, n=3)
    raise NotFound(
        f"no run has a metric {metric!r:.80}",
        why=f"nearest: {', '.join(near)}" if near else f"there are {', '.join(known[:6]) or 'none at all'}",
        do="`gitrepro show RUN` lists the metrics of a run",
    )


def _runs(index: Index, query: str, terms: Sequence[Term]) -> list[_Run]:
    """The runs, each with its seed set and its values of the terms; without terms, by what people call its set."""
    wanted = parse(query, names=index, now=datetime.datetime.now(datetime.UTC))
    where, values = index.condition(wanted, folded=True)
    if "kind" not in query:
        where, values = f"({where}) AND kind IN ({', '.join('?' * len(KINDS))})", [*values, *KINDS]
    asked = [Term("field", "set_key"), *terms]
    found = list(index.table(asked, where=where, values=values, order=NEWEST_FIRST))
    if terms:
        return [(listing, str(key), tuple(held)) for listing, (key, *held) in found]
    called: dict[str, str] = {}
    for listing, (key, *_) in found:
        called.setdefault(str(key), f"{listing['group'] or listing['name']} ({listing['id'][-8:]})")
    return [(listing, str(key), (called[str(key)],)) for listing, (key, *_) in found]


def _with_labels(runs: list[_Run], by: Sequence[str]) -> tuple[list[_Run], list[str]]:
    """The runs that have a value for each row, and a sentence on those that have none."""
    kept = [run for run in runs if None not in run[2]]
    if not kept:
        raise NotFound(f"no run has {' and '.join(by)}", do="`gitrepro show RUN --config` lists the keys of a run")
    left = len(runs) - len(kept)
    said = f"{left} {'run is' if left == 1 else 'runs are'} left out: no {' and '.join(by)} is on record"
    return kept, [said] if left else []


def _remarks(
    rows: Sequence[Row], metrics: Sequence[str], goals: Mapping[str, str], best: Mapping[str, tables.Best]
) -> list[str]:
    said = []
    for row in rows:
        name = " / ".join(row.labels)
        if row.configurations > 1:
            said.append(f"{name}: {row.configurations} configurations are taken together; this is no spread over seeds")
        if row.failed:
            said.append(f"{name}: {len(row.failed)} of {len(row.draws) + len(row.failed)} seeds did not finish")
        if row.unseeded:
            said.append(f"{name}: {len(row.unseeded)} runs have no known seed, and do not count")
    for metric in metrics:
        if metric not in goals and len(rows) > 1:
            said.append(f"{metric}: nobody said whether it is better greater or smaller, so none is marked as best")
        elif metric in best and not best[metric].clear:
            said.append(f"{metric}: no row is marked as best: {best[metric].why}")
    return said
