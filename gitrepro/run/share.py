"""What may be said of a run to others: its number, how far that moves by chance, the code behind it, where it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import NotFound, Refused
from ..records.event import Standing, fold_events
from ..records.run import RunRecord
from ..records.seedset import SeedSet, Spread, seed_set
from ..store.index import Index
from ..store.repository import Repository
from ..store.runs import RunTree
from ..sync.runs import is_pushed, remote_names

_FIRST: Final = ("val", "valid", "validation", "dev", "eval", "test")
"""How names begin that are more of a result than others are, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One run in a line.

    Attributes:
        metric: the name of the number, and its `goal` and `value`; None where the run has none.
        spread: the same metric over the runs of its seed set that are pushed; None where this run is the only one.
        commit: the commit that ran; None outside a repository.
        dirty: whether there were changes on top of it; `promoted` is the commit that holds them since.
        remotes: the Git remotes that were last seen with the run as it is here.
    """

    id: str
    name: str
    status: str
    group: str | None
    metric: str | None
    goal: str | None
    value: float | int | None
    spread: Spread | None
    commit: str | None
    dirty: bool | None
    promoted: str | None
    remotes: tuple[str, ...]


def share(repository: Repository, run_id: str, *, metric: str | None = None) -> Shared:
    """What is said of a run. Only what others can look up is shared.

    Args:
        metric: which number; without it, one that has a goal and a name as `val/…`.

    Raises:
        Refused: the run is at no remote, as far as was seen last, or it was taken off the list.
        NotFound: the run has no such metric, or is not on record yet.
        Damaged: its record cannot be read.
    """
    with RunTree(repository) as tree:
        if tree.run_tree(run_id) is None:
            why = "it is still running, or died and waits for `gitrepro recover`"
            raise NotFound(f"run {run_id[-8:]} is not on record yet", why=why, do="end it first")
        record = tree.run(run_id)
        standing = fold_events(tree.events(run_id)[0], labels=record.labels)
    _check_listed(run_id, standing)
    remotes = tuple(name for name in remote_names(repository) if is_pushed(repository, run_id, name))
    _check_pushed(repository, run_id, remotes)
    name = _metric(record, metric)
    code = record.code or {}
    return Shared(
        id=run_id,
        name=standing.name or record.name,
        status=str(record.status),
        group=standing.group or record.group,
        metric=name,
        goal=_goal(record, name),
        value=record.summary[name] if name else None,
        spread=_spread(_set(repository, run_id), run_id, name) if name else None,
        commit=code.get("commit"),
        dirty=code.get("dirty"),
        promoted=_promoted(standing),
        remotes=remotes,
    )


def _check_listed(run_id: str, standing: Standing) -> None:
    if standing.removed:
        raise Refused(
            f"run {run_id[-8:]} was taken off the list", do=f"`gitrepro rm --undo {run_id[-8:]}` puts it back"
        )


def _check_pushed(repository: Repository, run_id: str, remotes: tuple[str, ...]) -> None:
    if remotes:
        return
    known = ", ".join(remote_names(repository))
    raise Refused(
        f"run {run_id[-8:]} is not pushed",
        why=f"nobody could look it up: it was last seen at none of {known}" if known else "there is no Git remote",
        do="`gitrepro push`, then share it" if known else "`git remote add origin URL`, then `gitrepro push`",
    )


# -- the number


def _metric(record: RunRecord, wanted: str | None) -> str | None:
    names = [name for name, value in record.summary.items() if _is_number(value)]
    if wanted is None:
        return min(names, key=lambda name: (_goal(record, name) is None, _rank(name), name), default=None)
    if wanted not in names:
        shown = ", ".join(names[:10]) or "none"
        raise NotFound(
            f"run {record.id[-8:]} has no metric {wanted!r:.80}", why=f"it has {shown}", do="name one of them"
        )
    return wanted


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rank(name: str) -> int:
    begins = name.partition("/")[0].partition("_")[0].lower()
    return _FIRST.index(begins) if begins in _FIRST else len(_FIRST)


def _goal(record: RunRecord, name: str | None) -> str | None:
    told = record.metrics.get(name or "")
    goal = told.get("goal") if isinstance(told, Mapping) else None
    return goal if isinstance(goal, str) else None


def _set(repository: Repository, run_id: str) -> SeedSet | None:
    """The seed set of a run, as far as others can look its runs up."""
    with Index(repository) as index:
        keys = index.sets(where="id = ?", values=[run_id], limit=1)
        members: list[dict[str, Any]] = list(index.members(keys[0], where="removed = 0")) if keys else []
    there = [each for each in members if each["id"] == run_id or is_pushed(repository, each["id"])]
    return seed_set(keys[0], there) if len(there) > 1 else None


def _spread(found: SeedSet | None, run_id: str, metric: str) -> Spread | None:
    spread = found.metrics.get(metric) if found else None
    if spread is None or spread.n < 2 or math.isnan(spread.mean):
        return None
    return spread if run_id in {run for run, _, _ in spread.values} else None


# -- the code


def _promoted(standing: Standing) -> str | None:
    commits = [each.value.get("commit") for each in standing.promotions if isinstance(each.value, Mapping)]
    return next((commit for commit in reversed(commits) if isinstance(commit, str)), None)
