"""`gitrepro recover`: commit runs whose process is gone."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..errors import Damaged, StorageError
from ..records.event import Standing
from ..records.listing import listing
from ..run import commit, place
from ..store import repository as repositories
from ..store import worktree
from ..store.lease import Life
from ..store.live import live_runs
from ..store.repository import Repository
from . import here
from .present import clean, emit, line, note


@click.command()
@click.option("--force", is_flag=True, help="Also runs started on another host, when you know that host is gone.")
@click.option(
    "--into", "into", metavar="DIR", help="Take runs that were kept outside a repository into the one at DIR."
)
@click.option("--json", "as_json", is_flag=True, help="Print the recovered runs as JSON.")
def recover(force: bool, into: str | None, as_json: bool) -> int:
    """Commit every run that ended without being committed: killed, out of memory, on a full disk.

    Runs that still go on are left alone. It may be interrupted and run again, also by several people at once.
    """
    found = repositories.find(Path(into), os.environ) if into else here.repository()
    identity = worktree.identity(found, fallback=place.nobody())
    if into:
        _adopt(found, force=force)
    done = commit.recover(found, identity=identity, force=force)
    for run_id, why in done.left:
        note(f"run {run_id[-8:]} is left alone: {why}")
    for run_id, error in done.failed:
        note(f"run {run_id[-8:]} could not be composed: {clean(error)}")
    if as_json:
        emit([listing(record, Standing(labels=record.labels), {}) for record in done.committed])
    elif not done.committed:
        note("nothing to recover" + ("" if into else _elsewhere()))
    else:
        for record in done.committed:
            torn = record.journal.get("torn_bytes", 0)
            dropped = f", {torn} torn bytes dropped" if torn else ""
            line(
                f"recovered {clean(record.name)} ({record.short_id}): {clean(record.status)}, "
                f"{record.journal['rows']} rows{dropped}"
            )
    if not done.failed:
        return 0
    kind = done.failed[0][1]
    return kind.exit_code if isinstance(kind, (Damaged, StorageError)) else 4


def _elsewhere() -> str:
    home = place.state_folder(os.environ)
    count = len(live_runs(home))
    return f"; {count} kept in {home}: `gitrepro recover --into .` takes them in" if count else ""


def _adopt(found: Repository, *, force: bool) -> None:
    home = place.state_folder(os.environ)
    for run in live_runs(home):
        if run.life is Life.ALIVE:
            note(f"run {run.id[-8:]} in {home} is left alone: it is still running")
        elif run.life is Life.ELSEWHERE and not force:
            note(f"run {run.id[-8:]} in {home} is left alone: it was started on another host; --force if that is gone")
        elif run.error:
            note(f"run {run.id[-8:]} in {home} is left alone: {clean(run.error)}")
        else:
            commit.adopt(found, run.folder)
