"""Does a Git remote take runs? It is asked by doing: a ref of no meaning is made there, and removed."""

from __future__ import annotations

from dataclasses import dataclass

from ...records import ids
from ...store.fold import commit_text
from ...store.gitobjects import GitObjects, name_of
from ...store.gitrefs import read_ref
from ...store.repository import RUNS_REF, Repository
from . import transport
from .names import find_remote
from .transport import Change
from .uniting import identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a remote does with refs like ours.

    Attributes:
        remote: its name.
        base: below which refs its runs lie, or would.
        runs: the commit of its run ref; None when it has none.
        inboxes: how many clones have left runs there that nobody has taken in.
        ahead: how many commits of ours it has not.
        behind: whether it has something that we have not.
        created: why it does not let such refs be made; empty when it does.
        deleted: the same of removing them.
    """

    remote: str
    base: str
    runs: str | None
    inboxes: int
    ahead: int
    behind: bool
    created: str
    deleted: str


def probe(repository: Repository, remote: str | None = None, *, now: float) -> Probed:
    """Ask a remote. What it has of runs stays as it is, and so do our refs.

    Args:
        remote: its name, URL or path; see `find_remote`.
        now: seconds since 1970.

    Raises:
        UsageError: no remote is meant.
        RemoteError: it cannot be reached, or does not know us.
    """
    found = find_remote(repository, remote)
    there = transport.listed(repository, found, f"{found.base}/*")
    ref = f"{found.base}/probe-{ids.new_id()}"
    commit = _nothing(repository, now)
    created = _refused(transport.push(repository, found, [Change(ref=ref, new=commit)]))
    deleted = "" if created else _refused(transport.push(repository, found, [Change(ref=ref, new=None, lease=commit)]))
    ours = read_ref(repository.common_dir, RUNS_REF)
    runs = there.get(found.runs)
    here = bool(runs) and _is_here(repository, runs or "")
    known = runs if here else read_ref(repository.common_dir, found.copy(found.runs))
    return Probed(
        remote=found.shown,
        base=found.base,
        runs=runs,
        inboxes=sum(name.startswith(found.inboxes) for name in there),
        ahead=transport.count(repository, ours, known) if ours and ours != known else 0,
        behind=bool(
            runs and not (ours and _is_here(repository, runs) and transport.is_ancestor(repository, runs, ours))
        ),
        created=created,
        deleted=deleted,
    )


def _nothing(repository: Repository, now: float) -> str:
    """A commit of no files, and no history."""
    with GitObjects(repository.common_dir) as objects:
        tree = name_of("tree", b"")
        text = commit_text(tree, [], identity(repository).line(now), "gitrepro: is this taken?\n")
        return objects.write([("tree", b""), ("commit", text)])[-1]


def _is_here(repository: Repository, commit: str) -> bool:
    with GitObjects(repository.common_dir) as objects:
        return objects.has(commit)


def _refused(outcomes: list[transport.Outcome]) -> str:
    """Why a ref was not changed; empty when it was."""
    for each in outcomes:
        if each.state != "done":
            return each.why or each.state
    return "" if outcomes else "it said nothing"
