"""The entries of the holdout log that are about one part, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...records.holdout import Entry
from ...store.fold import Identity
from ...store.repository import Repository
from ..holdouts import append, known_log
from .contents import Holdout


def entries(repository: Repository, holdout: Holdout) -> tuple[Entry, ...]:
    """What the log says of a part, in its order. What another clone wrote comes with a pull."""
    log = known_log(repository, holdout.split.digest)
    return tuple(each for each in log.entries if each.part == holdout.part)


def written_apart(repository: Repository, holdout: Holdout) -> frozenset[str]:
    """The ids of the entries of which the writer did not know of some other one, nor that one of them."""
    log = known_log(repository, holdout.split.digest)
    return frozenset(each.id for each in log.concurrent)


def write(
    repository: Repository,
    holdout: Holdout,
    op: str,
    detail: Mapping[str, Any],
    *,
    run: str | None = None,
    reason: str = "",
    identity: Identity,
    at: str,
) -> Entry:
    """Add an entry. Durable once this returns; the blobs it names have to be durable before."""
    return append(
        repository,
        op=op,
        split=holdout.split,
        part=holdout.part,
        run=run,
        reason=reason,
        detail=detail,
        identity=identity,
        at=at,
    )
