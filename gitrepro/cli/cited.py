"""The results and runs that a printed number cites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..audit import tags
from ..audit.results import all_results
from ..errors import Damaged, NotFound, Refused
from ..records.event import fold_events
from ..records.result import Result
from ..report.tables import Reference, Source
from ..report.tables.checking import Lookup
from ..store.gitrefs import read_ref
from ..store.index import Index
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from .target import result_of

_AT_A_TIME: Final = 500


def sources_of(found: Repository, tree: RunTree) -> dict[frozenset[str], Source]:
    """The results on record by the ids of their runs. Of several the newest whose tag is here, else the newest."""
    sources: dict[frozenset[str], Source] = {}
    for result in all_results(tree):
        runs = frozenset(run.id for run in result.runs)
        stands = read_ref(found.common_dir, tags.PREFIX + result.tag) is not None
        if runs not in sources or (stands and not sources[runs].stands):
            sources[runs] = Source(id=result.id, tag=result.tag, stands=stands)
    return sources


def lookup_in(found: Repository, index: Index, tree: RunTree) -> Lookup:
    """What finds the runs of a reference, each reference once."""
    known: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    def look_up(reference: Reference) -> list[dict[str, Any]]:
        if reference.targets not in known:
            known[reference.targets] = _runs(found, index, tree, reference.targets)
        return known[reference.targets]

    return look_up


def _runs(found: Repository, index: Index, tree: RunTree, targets: tuple[str, ...]) -> list[dict[str, Any]]:
    wanted: list[str] = []
    for target in targets:
        result = result_of(found, tree, target)
        if result is not None:
            _check_unchanged(tree, result)
            wanted += [run.id for run in result.runs]
        else:
            wanted.append(resolve(found, target))
    listings = _listings(index, list(dict.fromkeys(wanted)))
    for run in wanted:
        _check_standing(tree, run, listings)
    return [listings[run] for run in dict.fromkeys(wanted)]


def _listings(index: Index, wanted: list[str]) -> dict[str, dict[str, Any]]:
    held: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), _AT_A_TIME):
        part = wanted[start : start + _AT_A_TIME]
        where = f"id IN ({', '.join('?' * len(part))})"
        held |= {each["id"]: each for each in index.listings(where=where, values=part)}
    return held


def _check_unchanged(tree: RunTree, result: Result) -> None:
    for run in result.runs:
        if (now := tree.run_tree(run.id)) != run.tree:
            what = "is gone" if now is None else "is not what it was when the result was declared"
            raise Damaged(f"the record of run {run.id[-8:]} of {result.tag} {what}", do="`gitrepro verify` tells more")


def _check_standing(tree: RunTree, run: str, listings: Mapping[str, Any]) -> None:
    if run not in listings:
        raise NotFound(f"run {run[-8:]} is not on record yet", do="`gitrepro recover`, or wait until it has ended")
    if fold_events(tree.events(run)[0]).removed:
        raise Refused(f"run {run[-8:]} was taken off the list", do=f"`gitrepro rm --undo {run[-8:]}` puts it back")
