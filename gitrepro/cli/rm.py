"""`gitrepro rm`: take runs off the list, or put them back."""

from __future__ import annotations

import sys
import time

import click

from ..audit.removal import Removable, look
from ..errors import UsageError
from ..run import place
from ..run.compose import stamp
from ..store import worktree
from ..store.annotate import annotate_each
from ..store.resolve import resolve
from . import here
from .present import clean, emit, line, note, size

SCHEMA = 1


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--undo", is_flag=True, help="Put removed runs back; name them by the end of their ids.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
def rm(runs: tuple[str, ...], undo: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take RUNs off every list; `--undo` puts them back. A run that a result stands on stays.

    Nothing is erased: the records stay in the history of refs/gitrepro/runs, here and wherever it was pushed. To
    erase bytes that must not exist, that history has to be rewritten in every clone.
    """
    found = here.repository()
    chosen = look(found, list(dict.fromkeys(resolve(found, run) for run in runs)), undo=undo)
    change = [run for run in chosen if run.removed is undo]
    if change and not dry_run:
        _confirm(change, undo=undo, yes=yes)
        identity = worktree.identity(found, fallback=place.nobody())
        op = "restore" if undo else "remove"
        annotate_each(found, [run.id for run in change], op, None, identity=identity, at=stamp(time.time()))
    if as_json:
        emit(_document(chosen, undo=undo, dry_run=dry_run))
        return
    for run in change:
        line(f"{run.id[-8:]}\t{clean(run.name)}")
    note(_summary(chosen, change, undo=undo, dry_run=dry_run))


def _confirm(change: list[Removable], *, undo: bool, yes: bool) -> None:
    if yes or undo:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{_counted(change)} would be removed", why="nobody is here to be asked", do="add --yes")
    click.confirm(f"Take {_counted(change)} off the list?", abort=True, err=True)


def _summary(chosen: list[Removable], change: list[Removable], *, undo: bool, dry_run: bool) -> str:
    rest = len(chosen) - len(change)
    state = "on the list" if undo else "removed"
    before = f"; {rest} {'was' if rest == 1 else 'were'} {state} already" if rest else ""
    if undo:
        return f"{'would put' if dry_run else 'put'} {_counted(change)} back on the list{before}"
    does = "would take" if dry_run else "took"
    stays = "; the records stay in history, and `gitrepro rm --undo` brings them back" if change else ""
    return f"{does} {_counted(change)} off the list{before}{stays}"


def _counted(runs: list[Removable]) -> str:
    weight = f" of {size(sum(run.size_bytes for run in runs))}" if runs else ""
    return f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}{weight}"


def _document(chosen: list[Removable], *, undo: bool, dry_run: bool) -> dict[str, object]:
    changed = [run.removed is undo and not dry_run for run in chosen]
    return {
        "schema": SCHEMA,
        "dry_run": dry_run,
        "runs": [
            {
                "id": run.id,
                "name": run.name,
                "size_bytes": run.size_bytes,
                "removed": run.removed != done,
                "changed": done,
            }
            for run, done in zip(chosen, changed, strict=True)
        ],
    }
