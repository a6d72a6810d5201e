"""`gitrepro gc`: let go of what no record names any more."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from typing import Final

import click

from ..errors import UsageError
from ..run import commit, place
from ..store import pins, worktree
from ..store.gc import GRACE_SECONDS_AT_LEAST, Plan, Swept, survey, sweep, the_only_one
from ..store.objects import BlobStore
from ..store.place import is_shared, store_of
from ..store.reach import give_up
from ..store.repository import Repository
from . import here
from .present import clean, emit, line, note, size
from .progress import progress

SCHEMA: Final = 1
_SPAN: Final = re.compile(r"([0-9]{1,6})([dhms])")
_SECONDS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DIGEST: Final = re.compile(r"b3:([0-9a-f]{64})")
_PATIENCE_SECONDS: Final = 60.0


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--grace", default="14d", metavar="SPAN", help="Leave what was wanted within it: 14d, 36h; 1h at least.")
@click.option("--lost", multiple=True, metavar="B3", help="Give up a damaged blob or pack, and what only it leads to.")
@click.option("--json", "as_json", is_flag=True, help="Print counts and bytes as JSON.")
def gc(dry_run: bool, yes: bool, grace: str, lost: tuple[str, ...], as_json: bool) -> int:
    """Let go of stored data, checkpoints and outputs that no record names any more.

    Nothing is deleted at once: it lies in the store's `trash/` for a day, and comes back from there when a record turns
    out to name it. What is younger than the grace stays. It refuses to begin while a record cannot be read. Others may
    record, add and save all the while; it may be interrupted at any point and run again.
    """
    found = here.repository()
    grace_seconds = _seconds(grace)
    given_up = frozenset(map(_name, lost))
    store = store_of(found)
    if not dry_run:
        _commit_dead_runs(found)
    if dry_run or not store.root.is_dir():
        plan = _survey(found, store, grace_seconds, given_up)[0]
        _show(plan, None, found, store, as_json=as_json)
        return 0
    with the_only_one(store.root):
        plan, began = _survey(found, store, grace_seconds, given_up)
        give_up(store, given_up)
        while plan.wanted:
            back = sweep(store, plan, began=began).put_back
            note(f"put back from the trash: {back:,} files; a record names them")
            plan, began = _survey(found, store, grace_seconds, given_up)
        if plan.is_empty:
            _show(plan, Swept(), found, store, as_json=as_json)
            return 0
        if not yes:
            _ask(plan)
            if time.time() - began > _PATIENCE_SECONDS:
                plan, began = _survey(found, store, grace_seconds, given_up)
        done = sweep(store, plan, began=began, progress=progress("collecting"))
    _show(plan, done, found, store, as_json=as_json)
    return 4 if done.damaged else 0


def _survey(
    found: Repository, store: BlobStore, grace_seconds: float, given_up: frozenset[bytes]
) -> tuple[Plan, float]:
    began = time.time()
    bars: dict[str, Callable[[int, int], None]] = {}

    def tell(what: str, done: int, total: int) -> None:
        bars.setdefault(what, progress(f"reading {what}"))(done, total)

    plan = survey(
        found,
        store,
        began=began,
        grace_seconds=grace_seconds,
        spools=place.spools(os.environ),
        lost=given_up,
        progress=tell,
    )
    return plan, began


def _commit_dead_runs(found: Repository) -> None:
    """Runs that died are put on record first, so that what they name is known."""
    if not found.bare and here.has_live_runs(found):
        done = commit.recover(found, identity=worktree.identity(found, fallback=place.nobody()))
        if done.committed:
            note(f"put {len(done.committed)} runs on record that died")


def _seconds(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise UsageError(f"--grace {text!r:.40} is no span of time", do="write it as 14d, 36h or 90m")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds < GRACE_SECONDS_AT_LEAST:
        raise UsageError(
            f"--grace {text} is less than an hour",
            why="somebody may have found a blob here that long before the record that names it is there",
            do="--grace 1h",
        )
    return seconds


def _name(text: str) -> bytes:
    match = _DIGEST.fullmatch(text)
    if match is None:
        raise UsageError(f"--lost {text!r:.100} is not the name of a blob", why="it is written b3: and 64 hex digits")
    return bytes.fromhex(match[1])


def _ask(plan: Plan) -> None:
    for text in _plan_lines(plan):
        note(text)
    if not sys.stdin.isatty():
        raise UsageError(
            "nothing was collected", why="nobody is here to be asked", do="add --yes; --dry-run only looks"
        )
    click.confirm("Go on?", abort=True, err=True)


# -- words


def _show(plan: Plan, done: Swept | None, found: Repository, store: BlobStore, *, as_json: bool) -> None:
    if as_json:
        emit(_document(plan, done, store))
    elif done is None:
        for text in _plan_lines(plan) or ["nothing would go"]:
            line(text)
    else:
        for text in _done_lines(plan, done):
            line(text)
    if not as_json:
        note(f"needed: {_blobs(plan.kept, plan.kept_bytes)}; young or in packs worth keeping: {_spared(plan)}")
        _say_whose(found, store)
    for error in done.damaged if done else ():
        note(f"damaged: {clean(error)}")


def _spared(plan: Plan) -> str:
    return _blobs(plan.spared, plan.spared_bytes)


def _plan_lines(plan: Plan) -> list[str]:
    told = [
        (plan.dead, f"into the trash: {_blobs(plan.dead, plan.dead_bytes)} that no record names"),
        (len(plan.expired), f"deleted for good, a day in the trash: {_files(plan.expired_bytes, len(plan.expired))}"),
        (len(plan.stale), f"deleted, left by writers that are gone: {_files(plan.stale_bytes, len(plan.stale))}"),
        (len(plan.wanted), f"back from the trash, a record names it: {_files(plan.wanted_bytes, len(plan.wanted))}"),
        (len(plan.packs), f"packs written anew or dropped: {len(plan.packs):,}"),
        (len(plan.small), f"small files put into packs: {len(plan.small):,}"),
    ]
    return [text for count, text in told if count]


def _done_lines(plan: Plan, done: Swept) -> list[str]:
    told = [
        (done.taken, f"moved to the trash: {_files(done.taken_bytes, done.taken)}, to be deleted in a day"),
        (done.deleted, f"deleted for good: {_files(done.deleted_bytes, done.deleted)}"),
        (len(plan.stale), f"deleted, left by writers that are gone: {_files(plan.stale_bytes, len(plan.stale))}"),
        (done.repacked, f"put into new packs: {done.repacked:,} blobs"),
        (done.spared, f"wanted by somebody meanwhile, and left: {done.spared:,} files"),
    ]
    return [text for count, text in told if count] or ["nothing to collect"]


def _blobs(count: int, size_bytes: int) -> str:
    return f"{count:,} {'blob' if count == 1 else 'blobs'} ({size(size_bytes)})"


def _files(size_bytes: int, count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'} ({size(size_bytes)})"


def _say_whose(found: Repository, store: BlobStore) -> None:
    if is_shared(found):
        for clone in pins.clones(store.root):
            whose = pins.owner(store.root, clone)
            note(f"shared with {clean(whose.git_dir or clone)} on {clean(whose.host)}, which wrote {whose.updated_at}")


def _document(plan: Plan, done: Swept | None, store: BlobStore) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "store": str(store.root),
        "dry_run": done is None,
        "needed": {"blobs": plan.kept, "size_bytes": plan.kept_bytes},
        "spared": {"blobs": plan.spared, "size_bytes": plan.spared_bytes},
        "dead": {"blobs": plan.dead, "size_bytes": plan.dead_bytes},
        "packs": len(plan.packs),
        "small": len(plan.small),
        "stale": {"files": len(plan.stale), "size_bytes": plan.stale_bytes},
        "trash": {
            "expired": {"files": len(plan.expired), "size_bytes": plan.expired_bytes},
            "waiting": {"files": plan.waiting, "size_bytes": plan.waiting_bytes},
            "wanted": {"files": len(plan.wanted), "size_bytes": plan.wanted_bytes},
        },
        "done": None if done is None else _done_document(done),
    }


def _done_document(done: Swept) -> dict[str, object]:
    return {
        "taken": {"files": done.taken, "size_bytes": done.taken_bytes},
        "deleted": {"files": done.deleted, "size_bytes": done.deleted_bytes},
        "put_back": done.put_back,
        "repacked": done.repacked,
        "spared": done.spared,
        "damaged": [str(error) for error in done.damaged],
    }
