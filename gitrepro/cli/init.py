"""`gitrepro init`: set up a repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from .. import hooks as hook_files
from ..errors import UsageError
from ..hooks import Report
from ..store import filesystem, moving, pins
from ..store.filesystem import FileSystem
from ..store.repository import Repository
from . import here
from .hooks import say_what_is_left
from .present import clean, emit, line, note, size
from .progress import progress


@click.command()
@click.option("--no-hooks", is_flag=True, help="Install no Git hooks.")
@click.option(
    "--store",
    "folder",
    metavar="DIR",
    help="Keep data, checkpoints and outputs in DIR; clones may share it.",
)
@click.option("--yes", "-y", is_flag=True, help="Take a store into which everybody may write.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def init(no_hooks: bool, folder: str | None, yes: bool, as_json: bool) -> None:
    """Set up this repository: hooks that refuse unsound result tags, and a `git log` without our refs.

    Recording works without it. It may be run again at any time, and changes nothing outside this clone's own settings.
    With --store, what this clone has stored so far is copied to the new place.
    """
    found = here.with_work_tree()
    if folder is not None:
        _move(found, folder, yes=yes)
    found.git("config", "log.excludeDecoration", "refs/gitrepro*")
    report = None if no_hooks else hook_files.install(found, python=sys.executable)
    place = moving.place_of(found)
    looked = filesystem.look(place, probe=True)
    if as_json:
        emit(_document(found, report, place, looked))
        return
    line(f"gitrepro is set up in {found.work_tree}")
    _say_place(place, looked)
    if report:
        note(f"hooks: {', '.join(report.installed) or 'none yet'}; `gitrepro hooks remove` takes them out")
        say_what_is_left(report)
    note("next: `gitrepro record -- python train.py`")


def _move(found: Repository, folder: str, *, yes: bool) -> None:
    if not folder.strip():
        raise UsageError("--store names no folder", do="`gitrepro init --store DIR`")
    to = Path(os.path.normpath(Path.cwd() / Path(folder).expanduser()))
    moved = moving.move(found, to, anybody=yes, progress=progress("blobs copied"))
    if moved.copied:
        note(f"copied {moved.copied:,} blobs ({size(moved.copied_bytes)}) to {clean(moved.to)}")
        note(_what_of_the_old(moved.before))


def _what_of_the_old(before: Path) -> str:
    others = [pins.owner(before, clone) for clone in pins.clones(before)]
    if others:
        names = ", ".join(clean(each.git_dir or each.clone) for each in others)
        return f"this clone uses nothing in {clean(before)} any more; leave it where it is, for {names}"
    return f"what lies in {clean(before)} is not used any more; delete it when no run is under way"


def _say_place(place: Path, looked: FileSystem) -> None:
    clones = {True: ", clones files", False: "", None: ""}[looked.clones]
    room = f"{size(looked.free_bytes)} free of {size(looked.size_bytes)}"
    note(f"data, checkpoints and outputs: {clean(place)} ({clean(looked.kind)}, {room}{clones})")
    for remark in filesystem.remarks(looked):
        note(f"warning: {clean(remark.what)}")
        if remark.do:
            note(f"  do: {clean(remark.do)}")


def _document(found: Repository, report: Report | None, place: Path, looked: FileSystem) -> dict[str, object]:
    return {
        "repository": str(found.work_tree),
        "hooks": report.installed if report else [],
        "store": {
            "path": str(place),
            "file_system": looked.kind,
            "free_bytes": looked.free_bytes,
            "size_bytes": looked.size_bytes,
            "clones_files": looked.clones,
            "quotas": [
                {"whose": each.whose, "limit_bytes": each.limit_bytes, "used_bytes": each.used_bytes}
                for each in looked.quotas
            ],
            "warnings": [remark.what for remark in filesystem.remarks(looked)],
        },
    }
