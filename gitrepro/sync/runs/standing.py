"""What is asked of a remote without changing anything: what waits for it, what it has, whether it has runs at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...store.gitrefs import list_refs, read_ref
from ...store.repository import CODE_REF, RUNS_REF, Repository
from ...store.runs import RunTree
from . import transport
from .contents import between
from .names import COPIES, Remote, find_remote, folder_of, remote_names

_DEPTH: Final = COPIES.count("/") + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a push would send to a remote, as far as is known here.

    `others` counts records of data; `code` the commits that only keep the code of runs, and those they keep.
    """

    remote: str
    runs: tuple[str, ...] = ()
    events: int = 0
    results: int = 0
    others: int = 0
    code: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.events or self.results or self.others or self.code)


def waiting(repository: Repository, remote: str | None = None) -> Waiting:
    """What a push would send, by what was last seen of the remote. No network.

    Raises:
        UsageError: no remote is meant.
    """
    found = find_remote(repository, remote)
    known = read_ref(repository.common_dir, found.copy(found.runs))
    new = between(repository, known, read_ref(repository.common_dir, RUNS_REF))
    return Waiting(
        remote=found.shown,
        runs=new.runs,
        events=new.events,
        results=new.results,
        others=new.others,
        code=code_waiting(repository, found),
    )


def code_waiting(repository: Repository, remote: Remote) -> int:
    """How many commits `refs/gitrepro/code` keeps that the remote was not seen with."""
    ours = read_ref(repository.common_dir, CODE_REF)
    theirs = read_ref(repository.common_dir, remote.copy(remote.code))
    if ours is None or ours == theirs:
        return 0
    return transport.count_code(repository, remote, ours, theirs)


def is_pushed(repository: Repository, run_id: str, remote: str | None = None) -> bool:
    """Whether a remote was last seen with a run, byte for byte as it is here. No network.

    Args:
        remote: its name, URL or path; None for any.
    """
    return bool(pushed_to(repository, run_id, remote))


def pushed_to(repository: Repository, run_id: str, remote: str | None = None) -> tuple[str, ...]:
    """The remotes that were last seen with a run, byte for byte as it is here. No network.

    Those that have no name in Git are named by the folder of their copies.
    """
    with RunTree(repository) as ours:
        wanted = ours.run_tree(run_id)
    copies = _copies(repository) if remote is None else {remote: f"{folder_of(remote)}/runs"}
    return tuple(name for name, copy in copies.items() if wanted and _tree_there(repository, copy, run_id) == wanted)


def _copies(repository: Repository) -> dict[str, str]:
    """The copies of run refs, each by the name of its remote."""
    named = {folder_of(name): name for name in remote_names(repository)}
    refs = [ref for ref in list_refs(repository.common_dir, f"{COPIES}/") if ref.count("/") == _DEPTH]
    folders = [ref.removesuffix("/runs") for ref in refs if ref.endswith("/runs")]
    return {named.get(folder, folder.rpartition("/")[2]): f"{folder}/runs" for folder in folders}


def _tree_there(repository: Repository, copy: str, run_id: str) -> str | None:
    tip = read_ref(repository.common_dir, copy)
    if tip is None:
        return None
    with RunTree(repository, commit=tip) as tree:
        return tree.run_tree(run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneState:
    """Whether a remote has runs, and whether this clone has any."""

    remote: str
    there: bool
    here: bool


def clone_state(repository: Repository, remote: str | None = None) -> CloneState:
    """Ask a remote whether it has runs. Nothing is fetched.

    Raises:
        UsageError: no remote is meant.
        RemoteError: network or remote say no.
    """
    found = find_remote(repository, remote)
    there = transport.listed(repository, found, found.runs)
    here = read_ref(repository.common_dir, RUNS_REF) is not None
    return CloneState(remote=found.shown, there=found.runs in there, here=here)
