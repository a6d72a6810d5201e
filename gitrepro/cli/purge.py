"""`gitrepro purge`: take runs out of the history, for what must not exist."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from ..errors import UsageError
from ..run import place
from ..store import worktree
from ..store.resolve import resolve
from ..sync import epochs
from ..sync.epochs import Purge
from . import here
from .present import clean, emit, line, note, size

SCHEMA = 1
_SHOWN_AT_MOST = 10


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--dry-run", is_flag=True, help="Only show what would go, and what of it stays elsewhere.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what goes as JSON.")
def purge(runs: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take RUNs out of the history of refs/gitrepro/runs: for a secret, or for personal data, that must not exist.

    The history begins anew without them, without what was said of them, and without the results that cite them. There
    is no way back. For runs that are merely unwanted there is `gitrepro rm`.
    """
    found = here.repository()
    chosen = list(dict.fromkeys(resolve(found, run) for run in runs))
    seen = epochs.look(found, chosen)
    if not dry_run:
        _confirm(seen, yes=yes)
        seen = epochs.purge(found, chosen, identity=worktree.identity(found, fallback=place.nobody()))
    if as_json:
        emit(_document(seen, dry_run=dry_run))
        return
    for run_id in seen.runs:
        line(run_id)
    note(f"{'would purge' if dry_run else 'purged'} {_counted(seen)}; the history is of epoch {seen.epoch}")
    for words in _elsewhere(seen):
        note(f"  {words}")


def _confirm(seen: Purge, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        what = f"{_counted(seen)} would be purged for good"
        raise UsageError(what, why="nobody is here to be asked", do="look with --dry-run, then add --yes")
    for words in _elsewhere(seen):
        note(f"  {words}")
    click.confirm(f"Purge {_counted(seen)} for good?", abort=True, err=True)


def _counted(seen: Purge) -> str:
    parts = [_many(len(seen.runs), "run")]
    parts += [_many(count, word) for count, word in ((seen.events, "event"), (len(seen.results), "result")) if count]
    return f"{', '.join(parts)} ({_many(seen.files, 'file')}, {size(seen.size_bytes)})"


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _elsewhere(seen: Purge) -> Iterator[str]:
    """What this command cannot reach, and what does."""
    if seen.remotes:
        names = ", ".join(map(clean, seen.remotes))
        yield f"at {names}: `gitrepro push` begins the history anew there; a server of yours has to allow it"
    yield "in other clones: they follow at their next `gitrepro pull`; who has the bytes, has them"
    yield "in Git's objects here: `git gc --prune=now` erases them; a host does so in its own time, ask it"
    if seen.tags:
        listed = " ".join(map(clean, seen.tags[:_SHOWN_AT_MOST]))
        yield f"tags stay: `git tag -d {listed}`, and `git push --delete REMOTE {listed}`"
    if seen.blobs:
        yield f"{_many(len(seen.blobs), 'blob')} in the store: `gitrepro gc` lets go of what no other run names"
    if seen.snapshots:
        yield "uncommitted code of theirs: remotes that `refs/gitrepro/code` was pushed to have it still"
    if seen.kept_snapshots:
        yield f"{_many(len(seen.kept_snapshots), 'snapshot')} of code: other runs name the same, purge them too"
    if seen.shared:
        yield f"{', '.join(map(clean, seen.shared))}: other runs hold the same bytes, and keep them"


def _document(seen: Purge, *, dry_run: bool) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "dry_run": dry_run,
        "runs": list(seen.runs),
        "results": list(seen.results),
        "tags": list(seen.tags),
        "events": seen.events,
        "files": seen.files,
        "size_bytes": seen.size_bytes,
        "blobs": list(seen.blobs),
        "shared": list(seen.shared),
        "snapshots": list(seen.snapshots),
        "kept_snapshots": list(seen.kept_snapshots),
        "remotes": list(seen.remotes),
        "epoch": seen.epoch,
        "commit": seen.commit,
    }
