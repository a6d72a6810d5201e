"""`gitrepro fold`: commit what waits, here and in spools."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..errors import NotFound
from ..run import place
from ..run.folding import Taken, fold_all
from ..store import worktree
from ..store.pack.making import Packed, pack
from . import here
from .present import clean, counted, emit, line, note


@click.command()
@click.option(
    "--from", "folders", multiple=True, metavar="DIR", help="Take in the runs that wait in the spool DIR. Repeatable."
)
@click.option("--force", is_flag=True, help="Also runs that never said they were over, when their host is gone.")
@click.option("--pack", "packing", is_flag=True, help="Then pack what gitrepro wrote into Git, as it does by itself.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def fold(folders: tuple[str, ...], force: bool, packing: bool, as_json: bool) -> int:
    """Commit what is queued, and runs that were recorded where nothing could be committed.

    A host that cannot lock or write the repository records with GITREPRO_SPOOL=DIR; this command, on one that can,
    takes the runs in. Without --from it looks into $GITREPRO_SPOOL. It may be interrupted and run again.
    """
    found = here.repository()
    spools = [_spool(folder) for folder in folders] or place.spools(os.environ)
    taken = fold_all(found, spools, identity=worktree.identity(found, fallback=place.nobody()), force=force)
    packed = pack(found) if packing else None
    if as_json:
        emit(_document(taken, packed))
    else:
        _show(taken, packed)
    for run_id, error in taken.failed:
        note(f"run {run_id[-8:]} cannot be taken in: {clean(error)}")
    for name in taken.unusable:
        note(f"the queue entry {clean(name)} cannot be used; it stays in {found.home / 'queue'}")
    for path in taken.conflicts:
        note(f"{clean(path)} was there with other bytes; both are kept")
    return 4 if taken.failed or taken.unusable else 0


def _spool(folder: str) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise NotFound(f"there is no folder {folder!r:.200}", do="name the folder that GITREPRO_SPOOL names there")
    return path


def _show(taken: Taken, packed: Packed | None) -> None:
    if not taken.runs and not taken.others:
        note("nothing to fold")
    else:
        parts = [counted(len(taken.runs), "run"), *([counted(taken.others, "other record")] if taken.others else [])]
        line(f"folded {' and '.join(parts)} into {(taken.commit or '')[:8]}")
    for run_id in taken.runs:
        line(f"  run {run_id[-8:]}")
    for run_id, why in taken.left:
        note(f"run {run_id[-8:]} is left alone: {clean(why)}")
    if packed:
        note(f"nothing packed: {packed.why}" if packed.why else f"packed {counted(packed.objects, 'object')}")


def _document(taken: Taken, packed: Packed | None) -> dict[str, object]:
    return {
        "schema": 1,
        "commit": taken.commit,
        "runs": list(taken.runs),
        "others": taken.others,
        "left": [{"id": run_id, "why": why} for run_id, why in taken.left],
        "failed": [{"id": run_id, "why": str(error)} for run_id, error in taken.failed],
        "unusable": list(taken.unusable),
        "conflicts": list(taken.conflicts),
        "packed": None if packed is None else packed.objects,
    }
