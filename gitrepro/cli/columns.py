"""The columns of `ls`: those it has, and those people ask for by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from ..query import term
from ..records.seeds import seed_text, the_seed
from ..records.term import Term
from ..records.used import DATA, shown, used
from ..store.index import ATTEMPTS
from .present import duration, number, status

if TYPE_CHECKING:
    from ..query.names import Names

METRICS_AT_MOST: Final = 4
_SEPARATE = re.compile(r"(?:[^,\"']|\"[^\"]*\"|'[^']*')+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A run as a list shows it: its listing, and the values of the terms that were asked for."""

    listing: dict[str, Any]
    values: dict[Term, Any]

    @property
    def attempts(self) -> int:
        """How many attempts at the run there are."""
        return int(self.values.get(ATTEMPTS) or 1)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its title, what stands in it, and how it is laid out."""

    title: str
    cell: Callable[[Shown], object]
    right: bool = False
    always: bool = False
    """Shown even where no run has anything in it."""
    term: Term | None = None


def _code(run: Shown) -> str:
    code = run.listing["code"]
    commit = str(code.get("commit") or "")[:7]
    return f"{commit}+dirty" if code.get("dirty") else commit


def _seed(run: Shown) -> str:
    seed = the_seed(run.listing["seeds"])
    return seed_text(run.listing["seeds"]) if seed is None else str(seed)


OWN: Final = {
    column.title: column
    for column in (
        Column(title="id", cell=lambda run: run.listing["id"][-8:], always=True),
        Column(title="name", cell=lambda run: run.listing["name"], always=True),
        Column(title="kind", cell=lambda run: run.listing["kind"], always=True),
        Column(title="status", cell=lambda run: status(run.listing["status"]), always=True),
        Column(title="attempts", cell=lambda run: run.attempts if run.attempts > 1 else "", right=True),
        Column(title="started", cell=lambda run: run.listing["started_at"][:16].replace("T", " "), always=True),
        Column(title="duration", cell=lambda run: duration(run.listing["duration_seconds"]), right=True, always=True),
        Column(title="seed", cell=_seed, right=True, always=True),
        Column(title="code", cell=_code, always=True),
        Column(title="group", cell=lambda run: run.listing["group"] or ""),
        Column(title="labels", cell=lambda run: " ".join(map(str, run.listing["labels"]))),
        Column(title="data", cell=lambda run: shown(used(run.listing["data"]), DATA)),
    )
}
# What a narrow terminal leaves out, the first one first.
SPARE: Final = ("kind", "labels", "data", "duration", "code", "group", "seed")


def standard(runs: Iterable[dict[str, Any]]) -> list[Column]:
    """The columns of a plain list: the runs' own, and the metrics that most of them have."""
    return [*OWN.values(), *map(_metric, common_metrics(run["summary"] for run in runs))]


def asked(text: str, names: Names) -> list[Column]:
    """The columns of `--columns a,b`.

    Raises:
        QueryError: one of them names nothing.
    """
    return [_named(part.strip(), names) for part in _SEPARATE.findall(text) if part.strip()]


def _named(text: str, names: Names) -> Column:
    if text in OWN:
        own = OWN[text]
        return Column(title=own.title, cell=own.cell, right=own.right, always=True)
    meant = term(text, names=names)
    return Column(title=text, cell=lambda run: _value(run.values.get(meant)), right=True, always=True, term=meant)


def _value(value: object) -> str:
    return "" if value is None else number(value)


def _metric(name: str) -> Column:
    def cell(run: Shown) -> str:
        return number(run.listing["summary"][name]) if name in run.listing["summary"] else ""

    return Column(title=name, cell=cell, right=True)


def common_metrics(summaries: Iterable[dict[str, Any]]) -> list[str]:
    """The summary values most runs have; validation before training, as one looks for it."""
    counts: dict[str, int] = {}
    for summary in summaries:
        for name, value in summary.items():
            if isinstance(value, (int, float)):
                counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name.startswith("train"), name))[:METRICS_AT_MOST]


def filled(columns: Sequence[Column], runs: Sequence[Shown]) -> tuple[list[Column], list[list[object]]]:
    """The columns that have something in them, and the cells, row by row."""
    rows = [[column.cell(run) for column in columns] for run in runs]
    kept = [place for place, column in enumerate(columns) if column.always or any(row[place] for row in rows)]
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]
