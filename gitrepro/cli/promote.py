"""`gitrepro promote`: commit what a dirty run ran, on a branch of its own."""

from __future__ import annotations

import time

import click

from ..audit.promotion import Promotion
from ..audit.promotion import promote as make
from ..run import place
from ..run.compose import stamp
from ..store import worktree
from ..store.resolve import resolve
from . import here
from .present import clean, emit, line, note

SCHEMA = 1


@click.command()
@click.argument("run")
@click.option("--branch", "-b", metavar="NAME", help="The name of the branch; without it, promoted/<name of the run>.")
@click.option("--json", "as_json", is_flag=True, help="Print the commit and its branch as JSON.")
def promote(run: str, branch: str | None, as_json: bool) -> None:
    """Make what RUN ran with uncommitted changes a commit on a new branch, so that it may stand in a result.

    Your HEAD, index, files and branches stay as they are. Refused, with exit code 1, when the snapshot is not all
    that ran: files were left out, or changed while it ran. Again, it changes nothing.
    """
    found = here.repository()
    run_id = resolve(found, run)
    identity = worktree.identity(found, fallback=place.nobody())
    done = make(found, run_id, branch=branch, identity=identity, at=stamp(time.time()))
    if as_json:
        emit(_document(done))
        return
    line(f"{done.commit}\t{clean(done.branch)}")
    if done.made:
        note(f"run {run_id[-8:]}: dirty at start, committed now; next: `gitrepro tag result/NAME {run_id[-8:]}`")
    else:
        note(f"run {run_id[-8:]} was promoted before; nothing is changed")


def _document(done: Promotion) -> dict[str, object]:
    return {"schema": SCHEMA, "run": done.run, "commit": done.commit, "branch": done.branch, "made": done.made}
