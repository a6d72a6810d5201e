"""Runs in a file, for where no network goes: a Git bundle of the run ref, written here and read there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import ChildFailed, Damaged, NotFound, RemoteError, StorageError, UsageError
from ..records import ids
from ..store import fs, git
from ..store.fold import fold
from ..store.gitrefs import list_refs, read_ref
from ..store.repository import CODE_REF, RUNS_REF, Repository
from .runs import Pulled, find_remote, remote_names
from .runs.contents import between
from .runs.names import BASE, Remote
from .runs.pulling import alone, pull_from
from .runs.pushing import may_send_code
from .runs.transport import settle
from .runs.uniting import identity

if TYPE_CHECKING:
    import subprocess

_MAGIC: Final = (b"# v2 git bundle\n", b"# v3 git bundle\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """What was written.

    Attributes:
        path: the file; None when there was nothing to write.
        tip: the commit of the run ref in it.
        runs: the ids of the runs in it, oldest first; so with `events` and `results`, counted.
        since: the commit that who reads it must have; None when it holds all.
        code: whether the commits that the runs ran at are in it.
    """

    path: Path | None
    tip: str | None
    runs: tuple[str, ...] = ()
    events: int = 0
    results: int = 0
    size_bytes: int = 0
    since: str | None = None
    code: bool = False


def write_bundle(repository: Repository, path: Path, *, since: str | None = None, code: bool | None = None) -> Bundled:
    """Write what is recorded here into a file that `read_bundle` takes. Nothing new means that no file is written.

    Args:
        since: leave out what a remote was last seen with, by its name, or all up to a commit of the run ref.
        code: whether the commits that runs ran at go too; None for what the policy says, where `ask` is no.

    Raises:
        UsageError: `path` is a file and no bundle, or `since` is neither.
        StorageError: the disk refuses.
    """
    _check_free(path)
    base, hidden = _since(repository, since)
    fold(repository, identity=identity(repository))
    tip = read_ref(repository.common_dir, RUNS_REF)
    new = between(repository, base, tip)
    if tip is None or not new:
        return Bundled(path=None, tip=tip, since=base)
    with_code = may_send_code(repository) if code is None else code
    refs = [RUNS_REF, *([CODE_REF] if with_code and read_ref(repository.common_dir, CODE_REF) else [])]
    size_bytes = _write(repository, path, [*refs, *(f"^{oid}" for oid in hidden)])
    return Bundled(
        path=path,
        tip=tip,
        runs=new.runs,
        events=new.events,
        results=new.results,
        size_bytes=size_bytes,
        since=base,
        code=CODE_REF in refs,
    )


def read_bundle(repository: Repository, path: Path) -> Pulled:
    """Take in what a bundle holds, looked at and united as what a pull brings. It may be cut and repeated.

    Raises:
        NotFound: there is no such file, or it goes on from commits that are not here.
        Damaged, TooNew: it is no bundle, or is cut short, or cannot be read by this program.
        StorageError: the disk refuses.
    """
    _check_bundle(repository, path)
    place = Remote(name=os.fspath(path.resolve()), base=BASE, clone="")
    with alone(repository):
        try:
            return pull_from(repository, place)
        except RemoteError as error:
            raise _damaged(path, error.why) from error
        finally:
            # What was taken is in ours; a file is no remote that is asked again.
            settle(repository, dict.fromkeys(list_refs(repository.common_dir, place.copies)))


# -- writing


def _check_free(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder", do="name the file to write, as runs.bundle")
    if path.exists() and not _has_magic(path):
        raise UsageError(f"{path} is there and no bundle", why="it would be overwritten", do="name another file")


def _has_magic(path: Path) -> bool:
    try:
        with open(path, "rb") as reader:
            return reader.read(len(_MAGIC[0])) in _MAGIC
    except OSError:
        return False


def _since(repository: Repository, since: str | None) -> tuple[str | None, list[str]]:
    """The commit of the run ref that is known there, and all commits that are."""
    if since is None:
        return None, []
    if since not in remote_names(repository):
        found = _commit(repository, since)
        return found, [found]
    remote = find_remote(repository, since)
    tip, code = (read_ref(repository.common_dir, remote.copy(ref)) for ref in (remote.runs, remote.code))
    if tip is None:
        raise UsageError(
            f"nothing was ever pushed to {since} or pulled from it", do="leave --since away, and all goes in"
        )
    return tip, [tip, *([code] if code else [])]


def _commit(repository: Repository, since: str) -> str:
    try:
        told = repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{since}^{{commit}}")
    except ChildFailed as error:
        what = f"{since!r:.80} is neither a remote nor a commit"
        raise UsageError(what, do="`git remote` lists the remotes") from error
    return told.decode().strip().splitlines()[-1]


def _write(repository: Repository, path: Path, revisions: list[str]) -> int:
    temporary = path.parent / f".{path.name}.{ids.new_id()}.tmp"
    with fs.explained(f"cannot write {path}"):
        try:
            _make(repository, temporary, path, revisions)
            fs.sync_file(temporary)
            size_bytes = temporary.stat().st_size
            temporary.replace(path)
            fs.sync_directory(path.parent)
            return size_bytes
        finally:
            fs.remove_quietly(temporary)


def _make(repository: Repository, temporary: Path, path: Path, revisions: list[str]) -> None:
    try:
        # Version 3 is younger than the oldest Git that reads our refs, and says nothing more of SHA-1 objects.
        repository.git("bundle", "create", "--quiet", os.fspath(temporary.resolve()), *revisions)
    except ChildFailed as error:
        raise StorageError(f"cannot write {path}", why=error.why, do="look at the disk, then run it again") from error


# -- reading


def _check_bundle(repository: Repository, path: Path) -> None:
    if not path.is_file():
        raise NotFound(f"there is no bundle {path}", do="name a file that `gitrepro push --bundle FILE` wrote")
    if not _has_magic(path):
        raise Damaged(f"{path} is no bundle", why="it does not begin as one", do="fetch it again, or write it anew")
    verified = _asked(repository, "verify", path)
    said = verified.stderr.decode(errors="replace").strip()
    if verified.returncode and "prerequisite" in said:
        raise NotFound(
            f"{path} goes on from commits that are not here",
            why=said.splitlines()[-1],
            do="read the bundles before it first, or write one that holds all",
        )
    if verified.returncode:
        raise _damaged(path, said)
    heads = _asked(repository, "list-heads", path).stdout.decode(errors="replace").split()
    if RUNS_REF not in heads:
        raise _damaged(path, "it holds no runs, or is cut short")


def _asked(repository: Repository, what: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    place = f"--git-dir={repository.git_dir}"
    return git.attempt([place, "bundle", what, os.fspath(path.resolve())], cwd=repository.git_dir)


def _damaged(path: Path, why: str) -> Damaged:
    return Damaged(f"{path} cannot be read", why=why, do="fetch it again, or write it anew; nothing was changed here")
