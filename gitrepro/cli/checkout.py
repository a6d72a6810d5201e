"""`gitrepro checkout`: the exact code of a run, in a folder of its own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

import click

from ..records.run import RunRecord
from ..rerun import checkout as places
from ..store.resolve import resolve
from . import here
from .page.holdings import version
from .present import clean, emit, line, note

SCHEMA: Final = 1
_LISTED_AT_MOST: Final = 20
_NAMED_AT_MOST: Final = 5
_REF_CHARACTERS: Final = 120


@click.command()
@click.argument("run")
@click.argument("folder", required=False, metavar="[DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print where the code lies as JSON.")
def checkout(run: str, folder: str | None, as_json: bool) -> None:
    """Lay out the exact code of RUN in DIR: uncommitted changes, new files, modes and all.

    \b
        cd "$(gitrepro checkout @last)"

    DIR is a linked Git worktree; without it, a folder beside the repository. Your own files, branches and index stay
    as they are. `git worktree remove DIR` takes it away again.
    """
    found = here.repository()
    record = places.record_of(found, resolve(found, run))
    source = places.source_of(record)
    target = Path(folder).absolute() if folder is not None else places.default_folder(found, source)
    made = places.checkout(found, source, target)
    if as_json:
        emit({**_document(made), "data": record.data})
    else:
        line(str(made.folder))
    _explain(made)
    _name_data(record)


def _document(made: places.Checkout) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": made.source.run_id,
        "folder": str(made.folder),
        "commit": made.source.commit,
        "fresh": made.fresh,
        "started_in": made.source.folder,
        "incomplete": [{"path": path, "why": why} for path, why in made.source.incomplete],
        "submodules": list(made.submodules),
        "untracked": list(made.source.untracked),
    }


def _explain(made: places.Checkout) -> None:
    source, place = made.source, shlex.quote(str(made.folder))
    how = "is now" if made.fresh else "lies already"
    note(f"the code of {clean(source.name)} ({source.run_id[-8:]}) {how} in {clean(made.folder)}")
    if source.folder not in (None, "."):
        note(f"it was started in {clean(source.folder)}/")
    incomplete(source)
    if made.submodules:
        names = ", ".join(map(clean, made.submodules[:_LISTED_AT_MOST]))
        note(f"submodules are empty: {names}; `git -C {clean(place)} submodule update --init --recursive`")
    if made.fresh:
        note(f"`git worktree remove {clean(place)}` takes it away")


def _name_data(record: RunRecord) -> None:
    """How to get the data that it ran on."""
    for entry in record.data[:_LISTED_AT_MOST]:
        what = clean(version(entry))
        ref = shlex.quote(clean(f"{entry.get('name')}@{entry.get('digest')}"[:_REF_CHARACTERS]))
        note(f"it ran on {what}: `gitrepro data get {ref} FOLDER` lays that out")


def incomplete(source: places.Source) -> None:
    """A line for each file that is not there as it was when the run was started."""
    for path, why in source.incomplete[:_LISTED_AT_MOST]:
        note(f"not as it ran: {clean(path)}: {clean(why)}")
    if source.incomplete:
        more = len(source.incomplete) - _LISTED_AT_MOST
        note(f"{f'and {more} more; ' if more > 0 else ''}copy or correct these by hand before you rely on a rerun")
    if source.untracked:
        names = ", ".join(map(clean, source.untracked[:_NAMED_AT_MOST]))
        note(f"untracked when it ran, and not kept: {names}{', …' if len(source.untracked) > _NAMED_AT_MOST else ''}")
