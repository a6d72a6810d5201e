"""`gitrepro init`: set up a repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .. import hooks as hook_files
from ..errors import ChildFailed, GitreproError, UsageError
from ..hooks import Report
from ..store import filesystem, moving, pins
from ..store.filesystem import FileSystem
from ..store.gitrefs import read_ref
from ..store.repository import RUNS_REF, Repository
from . import here
from .hooks import say_what_is_left
from .present import clean, counted, emit, line, note, size
from .progress import progress
from .remote import follow_offered

if TYPE_CHECKING:
    from ..sync.runs import Pulled

_DECORATION: Final = "log.excludeDecoration"
_OURS: Final = "refs/gitrepro*"


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
    """Set up this repository: hooks that refuse unsound result tags, a `git log` without our refs, the team's runs.

    Recording works without it. It may be run again at any time, and changes nothing outside this clone's own settings.
    In a clone without runs it brings those that its remote has, and it follows the store remotes of the team.
    With --store, what this clone has stored so far is copied to the new place.
    """
    found = here.with_work_tree()
    if folder is not None:
        _move(found, folder, yes=yes)
    _leave_out_of_log(found)
    report = None if no_hooks else hook_files.install(found, python=sys.executable)
    place = moving.place_of(found)
    looked = filesystem.look(place, probe=True)
    pulled = _bring_runs(found)
    follow_offered(found)
    if as_json:
        emit({**_document(found, report, place, looked), "runs": _runs_document(pulled)})
        return
    line(f"gitrepro is set up in {found.work_tree}")
    _say_place(place, looked)
    if report:
        note(f"hooks: {', '.join(report.installed) or 'none yet'}; `gitrepro hooks remove` takes them out")
        say_what_is_left(report)
    if pulled and pulled.runs:
        note("next: `gitrepro ls`")
    else:
        note("next: `gitrepro record -- python train.py`")


def _leave_out_of_log(found: Repository) -> None:
    """`git log` shows none of our refs beside the commits; what else it leaves out stays so."""
    try:
        known = found.git("config", "--get-all", _DECORATION).decode(errors="replace").splitlines()
    except ChildFailed:
        known = []
    if _OURS not in known:
        found.git("config", "--local", "--add", _DECORATION, _OURS)


def _bring_runs(found: Repository) -> Pulled | None:
    """The runs that the remote of a fresh clone has. Setting up goes on without them."""
    from ..sync.offline import switched_off
    from ..sync.runs import clone_state, pull, remote_names
    from ..sync.travel import remember_came

    if read_ref(found.common_dir, RUNS_REF) or not remote_names(found):
        return None
    if why := switched_off(found):
        note(f"runs of others were not looked for: the network is switched off ({why})")
        return None
    try:
        state = clone_state(found)
        if not state.there:
            return None
        pulled = pull(found, progress=progress("objects fetched"))
    except GitreproError as error:
        note(f"runs of others were not looked for: {clean(error.what)}")
        for word in (error.why, error.do):
            if word:
                note(f"  {clean(word.splitlines()[-1])}")
        return None
    remember_came(found, pulled.runs)
    note(f"fetched {counted(len(pulled.runs), 'run')} from {clean(pulled.remote)}")
    for bad in pulled.rejected:
        note(f"not taken: {clean(bad.path)}: {clean(bad.why)}")
    return pulled


def _runs_document(pulled: Pulled | None) -> dict[str, object] | None:
    if pulled is None:
        return None
    rejected = [{"path": each.path, "why": each.why} for each in pulled.rejected]
    return {"remote": pulled.remote, "fetched": len(pulled.runs), "rejected": rejected}


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
