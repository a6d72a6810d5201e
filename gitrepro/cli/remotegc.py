"""`gitrepro remote gc`: let go of what nobody needs in a store remote."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import NotFound, StorageError, UsageError
from ..run import place as places
from ..store import fs
from ..store.repository import Repository
from ..sync import runs as git_side
from ..sync.get import opened
from ..sync.remotes import StoreRemote, find
from ..sync.travel import remember_came
from . import here
from .present import clean, counted, emit, line, note, size
from .progress import cleared, progress
from .traffic import commit_dead_runs, say_rejected, shown

if TYPE_CHECKING:
    from ..sync.blobs.driver import Driver, Listed
    from ..sync.blobs.plan import Survey
    from ..sync.blobs.sweeping import Collected

SCHEMA: Final = 1
_DAYS: Final = re.compile(r"([0-9]{1,5})d?")
_DAY_SECONDS: Final = 86_400
_CLONE: Final = re.compile(r"[0-9a-f]{4,32}")
_PATIENCE_SECONDS: Final = 60.0


@click.command("gc")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only show what would be listed and deleted; nothing is written there.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before something is deleted.")
@click.option("--grace", default="14", metavar="DAYS", help="How old what goes, and the list that names it, must be.")
@click.option("--gone", multiple=True, metavar="CLONE", help="This clone is gone for good: it needs nothing any more.")
@click.option("--no-pull", is_flag=True, help="Do not bring the runs of the Git remote first.")
@click.option("--json", "as_json", is_flag=True, help="Print counts and bytes as JSON.")
def gc(name: str, dry_run: bool, yes: bool, grace: str, gone: tuple[str, ...], no_pull: bool, as_json: bool) -> int:
    """Let go of what nothing names in the store remote NAME, such as the data of purged runs.

    The first time writes a list there of what nobody needs and is older than the grace, and deletes nothing. A later
    one, at least the grace after, by any clone, looks again, and deletes what the list names if it is still not needed.
    Needed is what records name here, what other clones and repositories have said there that they push, and what all
    this leads to. It refuses while any of it cannot be read. Others may push and pull all the while.
    """
    found = here.repository()
    remote = find(found, name)
    grace_seconds = _seconds(grace)
    if not dry_run:
        commit_dead_runs(found)
    if not no_pull:
        _pull(found)
    with _the_only_one(found), opened(remote) as driver:
        seen = _look(found, driver, grace_seconds, gone, dry_run=dry_run)
        if not dry_run and seen.ripe and not yes:
            _ask(seen, remote)
            if time.time() - seen.began > _PATIENCE_SECONDS:
                seen = _look(found, driver, grace_seconds, gone, dry_run=False)
        done = None if dry_run else _collect(found, driver, seen)
    _show(remote, seen, done, as_json=as_json)
    return 0


def _pull(found: Repository) -> None:
    """What the team has put on record first. Without a Git remote what is here is all there is."""
    if not git_side.remote_names(found):
        return
    pulled = git_side.pull(found, None, progress=progress("fetching runs: objects"))
    remember_came(found, pulled.runs)
    say_rejected(pulled.rejected)


def _look(found: Repository, driver: Driver, grace_seconds: float, gone: Sequence[str], *, dry_run: bool) -> Survey:
    from ..store.place import store_of
    from ..sync.blobs.collecting import check, survey
    from ..sync.blobs.there import CACHE, There
    from ..sync.tidying import records_of

    bars: dict[str, Callable[[int, int], None]] = {}

    def tell(what: str, done: int, total: int) -> None:
        bars.setdefault(what, progress(f"reading {what}"))(done, total)

    there = There(driver, cache=store_of(found).root / CACHE)
    check(there)
    clones = _clones(driver, gone)
    try:
        records = records_of(found, spools=places.spools(os.environ), progress=tell)
        return survey(
            there,
            records,
            gone=clones,
            grace_seconds=grace_seconds,
            now=time.time() if dry_run else None,
            progress=tell,
        )
    finally:
        cleared()


def _clones(driver: Driver, texts: Sequence[str]) -> frozenset[str]:
    """The clones that these begin, each one that has pushed there."""
    if not texts:
        return frozenset()
    from ..sync.blobs.claims import USERS, clone_of

    known = {clone for each in driver.list(USERS) if (clone := clone_of(each.key))}
    found = set[str]()
    for text in texts:
        named = [clone for clone in known if _CLONE.fullmatch(text) and clone.startswith(text)]
        if len(named) != 1:
            raise NotFound(
                f"--gone {text!r:.60} names {counted(len(named), 'clone')} that pushed there",
                do="`gitrepro remote gc NAME --dry-run` names them",
            )
        found.update(named)
    return frozenset(found)


@contextmanager
def _the_only_one(found: Repository) -> Iterator[None]:
    """Be the only collection of a store remote in this clone. Raises StorageError where there is another."""
    lock = found.home / "remote-gc.lock"
    with fs.explained(f"cannot write into {found.home}"):
        fs.make_directories(found.home)
    try:
        with fs.locked(lock, timeout_seconds=0):
            yield
    except fs.Busy as error:
        raise StorageError(
            "this clone is collecting a store remote already", why=f"{lock} is held", do="wait until it has ended"
        ) from error


def _collect(found: Repository, driver: Driver, seen: Survey) -> Collected:
    from ..store.pins import clone_id
    from ..sync.blobs.sweeping import collect

    try:
        return collect(driver, seen, clone=clone_id(found), progress=progress("deleting"))
    finally:
        cleared()


def _seconds(text: str) -> float:
    match = _DAYS.fullmatch(text)
    if match is None or int(match[1]) < 1:
        raise UsageError(
            f"--grace {text!r:.40} is no number of days",
            why="what a push found there must stay until all can know of it: at least a day",
            do="write it as 14",
        )
    return float(int(match[1]) * _DAY_SECONDS)


def _ask(seen: Survey, remote: StoreRemote) -> None:
    note(f"deleted for good from {shown(remote)}: {_files(seen.ripe)} that nothing names")
    if not sys.stdin.isatty():
        raise UsageError("nothing was deleted", why="nobody is here to be asked", do="add --yes; --dry-run only looks")
    click.confirm("Go on?", abort=True, err=True)


# -- words


def _show(remote: StoreRemote, seen: Survey, done: Collected | None, *, as_json: bool) -> None:
    if as_json:
        emit(_document(remote, seen, done))
        return
    for text in _lines(seen, done) or ["nothing to collect"]:
        line(text)
    note(f"needed: {_files(seen.kept)}; young: {_files(seen.young)}")
    for claim in {claim.clone: claim for claim in seen.foreign}.values():
        note(f"{clean(claim.whose)} needs some of it for runs that are not on record here")
    for claim in {claim.clone: claim for claim in seen.busy}.values():
        note(f"{clean(claim.whose)} is pushing, or died of it; nothing is deleted for two days then")
    for pack in seen.uncertain:
        note(f"pack {pack[:12]} stays: its table cannot be read; `gitrepro remote repair {remote.name} --all`")


def _lines(seen: Survey, done: Collected | None) -> list[str]:
    told: list[tuple[object, str]] = [(seen.waiting, f"waiting in a list that is young: {_files(seen.waiting)}")]
    if done is None:
        told += [
            (seen.ripe, f"would delete {_files(seen.ripe)}, listed long enough ago"),
            (seen.fresh, f"would list {_files(seen.fresh)} that nothing names"),
        ]
    else:
        told += [
            (done.deleted, f"deleted {_count(done.deleted, done.deleted_bytes)}"),
            (done.left, f"left for the next time: {counted(done.left, 'file')}"),
            (done.listed, f"listed {_count(done.listed, done.listed_bytes)} that nothing names; a later gc deletes it"),
        ]
    return [text for true, text in told if true]


def _files(files: Sequence[Listed]) -> str:
    return _count(len(files), sum(each.size_bytes for each in files))


def _count(count: int, size_bytes: int) -> str:
    return f"{counted(count, 'file')} ({size(size_bytes)})"


def _document(remote: StoreRemote, seen: Survey, done: Collected | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "remote": remote.name,
        "url": remote.url,
        "dry_run": done is None,
        **{kind: _amount(getattr(seen, kind)) for kind in ("kept", "ripe", "waiting", "fresh", "young")},
        "claims": [
            {"clone": claim.clone, "host": claim.host, "folder": claim.folder, "runs": list(claim.runs)}
            for claim in seen.foreign
        ],
        "uncertain": list(seen.uncertain),
        "done": done
        and {
            "listed": {"files": done.listed, "size_bytes": done.listed_bytes},
            "deleted": {"files": done.deleted, "size_bytes": done.deleted_bytes},
            "left": done.left,
        },
    }


def _amount(files: Sequence[Listed]) -> dict[str, int]:
    return {"files": len(files), "size_bytes": sum(each.size_bytes for each in files)}
