"""`gitrepro recover`: commit runs whose process is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ..errors import Ambiguous, Damaged, NotFound, StorageError, UsageError
from ..records.event import Standing
from ..records.listing import listing
from ..run import commit, place
from ..run.compose import stamp
from ..store import repository as repositories
from ..store import worktree
from ..store.lease import Life
from ..store.live import LiveRun, live_runs
from ..store.repository import Repository
from ..store.resolve import SHORTEST
from . import here
from .present import clean, emit, line, note

_LISTED_AT_MOST: Final = 20


@click.command()
@click.option("--force", is_flag=True, help="Also runs started on another host, when you know that host is gone.")
@click.option(
    "--into", "into", metavar="DIR", help="Take runs that were kept outside a repository into the one at DIR."
)
@click.option("--all", "everything", is_flag=True, help="With --into: also runs that ran in other folders.")
@click.option("--json", "as_json", is_flag=True, help="Print the recovered runs as JSON.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
def recover(force: bool, into: str | None, everything: bool, as_json: bool, runs: tuple[str, ...]) -> int:
    """Commit every run that ended without being committed: killed, out of memory, on a full disk.

    Runs that still go on are left alone. It may be interrupted and run again, also by several people at once.

    \b
        gitrepro recover                       # what died in this repository
        gitrepro recover --into . [--all]      # what ran in this folder, or anywhere, and was kept outside
        gitrepro recover --into . 4kx2 9w0d    # these
    """
    if everything and (runs or not into):
        raise UsageError("--all goes with --into, and names no runs", do="`gitrepro recover --into . --all`")
    found = repositories.find(Path(into), os.environ) if into else here.repository()
    identity = worktree.identity(found, fallback=place.nobody())
    chosen = _adopt(found, runs, everything=everything, force=force) if into else _named(live_runs(found.home), runs)
    only = {run.id for run in chosen}
    done = commit.recover(found, identity=identity, force=force, only=lambda run: not runs or run.id in only)
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
    return f"; {count} kept in {home}: `gitrepro recover --into .` takes in what ran here" if count else ""


def _adopt(found: Repository, words: Sequence[str], *, everything: bool, force: bool) -> list[LiveRun]:
    """Take in what was named, else what ran in the folder of this repository; say what was left, and where it ran."""
    home = place.state_folder(os.environ)
    waiting = live_runs(home)
    chosen = _named(waiting, words) if words else [run for run in waiting if everything or _ran_in(found, run)]
    taken = [run for run in chosen if _take(found, run, home, force=force)]
    if taken:
        note(f"{len(taken)} of {len(waiting)} runs in {home} taken in")
    if not words:
        _tell_left([run for run in waiting if run not in chosen], home)
    return taken


def _named(waiting: Sequence[LiveRun], words: Sequence[str]) -> list[LiveRun]:
    """The runs that these words mean: an id or the end of one, or a name.

    Raises:
        NotFound, Ambiguous: a word means none, or several.
    """
    chosen = []
    for word in words:
        meant = [
            run for run in waiting if word == _name(run) or (len(word) >= SHORTEST and run.id.endswith(word.lower()))
        ]
        if not meant:
            raise NotFound(f"no run {word!r:.80} waits to be recovered", do="`gitrepro recover --into .` lists them")
        if len(meant) > 1:
            listed = ", ".join(run.id[-8:] for run in meant[:_LISTED_AT_MOST])
            raise Ambiguous(f"{word!r:.80} means {len(meant)} runs", why=listed, do="type more of the end of the id")
        chosen += meant
    return chosen


def _take(found: Repository, run: LiveRun, home: Path, *, force: bool) -> bool:
    if run.life is Life.ALIVE:
        why = "it is still running"
    elif run.life is Life.ELSEWHERE and not force:
        why = "it was started on another host; --force if that is gone"
    elif run.error:
        why = clean(run.error)
    else:
        commit.adopt(found, run.folder, at=stamp(time.time()))
        return True
    note(f"run {run.id[-8:]} in {home} is left alone: {why}")
    return False


def _tell_left(others: Sequence[LiveRun], home: Path) -> None:
    if not others:
        return
    note(f"{len(others)} in {home} ran in other folders; `--all` takes them in too, or name them:")
    for run in others[:_LISTED_AT_MOST]:
        note(f"  {run.id[-8:]}  {clean(_name(run))}  {clean(_folder(run) or 'an unknown folder')}")
    if len(others) > _LISTED_AT_MOST:
        note(f"  and {len(others) - _LISTED_AT_MOST} more")


def _ran_in(found: Repository, run: LiveRun) -> bool:
    folder, top = _folder(run), found.work_tree
    if not folder or top is None:
        return False
    return Path(folder).resolve().is_relative_to(top.resolve())


def _folder(run: LiveRun) -> str:
    record = run.start.get("record")
    host = record.get("host") if isinstance(record, dict) else None
    return str(host.get("cwd", "")) if isinstance(host, dict) else ""


def _name(run: LiveRun) -> str:
    record = run.start.get("record")
    return str(record.get("name", "")) if isinstance(record, dict) else ""
