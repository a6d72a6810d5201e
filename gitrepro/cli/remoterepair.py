"""`gitrepro remote repair`: wrong bytes in a store remote are written over with right ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import GitreproError, UsageError
from ..store.repository import Repository
from ..store.runs import RunTree
from ..sync.remotes import StoreRemote, find, remotes
from . import here
from .present import clean, coloured, counted, emit, note, table
from .progress import cleared, following
from .traffic import chosen, shown

if TYPE_CHECKING:
    from ..sync.mending import Mended

SCHEMA: Final = 1
_OK: Final = "ok"
_MENDED: Final = "repaired"
_MISSING: Final = "NOT THERE"
_WRONG: Final = "DAMAGED"
_CODES: Final = {_OK: 0, _MENDED: 0, _MISSING: 1, _WRONG: 4}
_COLOURS: Final = {_OK: "green", _MENDED: "green", _MISSING: "yellow", _WRONG: "red"}


@click.command("repair")
@click.argument("name")
@click.argument("runs", nargs=-1, metavar="RUN|QUERY...")
@click.option("--all", "everything", is_flag=True, help="What every run on record names.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found and done as JSON.")
def repair(name: str, runs: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Read all that RUNs name, by default the last one, in the store remote NAME, and put right what is wrong there.

    Right bytes come from this clone, else from the other store remotes. Packs, tables, lists and pieces that were cut,
    changed or lost are written again, whole or not at all; nothing is deleted. Exits 1 when something is missing that
    nobody has, 4 when something is wrong there and right nowhere.
    """
    if everything and runs:
        raise UsageError("--all names every run", do="leave out the names, or --all")
    found = here.repository()
    remote = find(found, name)
    run_ids = _all(found) if everything else chosen(found, runs or ("@last",))
    done = list(_mend(found, remote, run_ids))
    _show(done, remote, as_json=as_json)
    return max((_CODES[_state(each)] for each in done), default=0)


def _all(found: Repository) -> list[str]:
    with RunTree(found) as tree:
        return tree.run_ids()


def _mend(found: Repository, remote: StoreRemote, run_ids: Sequence[str]) -> Sequence[Mended]:
    from ..sync.mending import mend

    others = [each for each in remotes(found) if each.url != remote.url]
    bar = following(f"reading from {remote.name}", "blobs", rate=True)
    try:
        return list(mend(found, run_ids, remote, others, progress=bar, trouble=_say))
    finally:
        cleared()


def _say(run_id: str, error: GitreproError) -> None:
    note(f"damaged: {run_id[-8:]}: {clean(error)}")


def _state(each: Mended) -> str:
    done = each.done
    if done.lost:
        return _WRONG if len(done.mended) < len(done.wrong) else _MISSING
    return _MENDED if done.wrong or done.sent else _OK


def _show(done: Sequence[Mended], remote: StoreRemote, *, as_json: bool) -> None:
    if as_json:
        emit({"schema": SCHEMA, "remote": remote.name, "url": remote.url, "things": [_document(each) for each in done]})
        return
    rows = [
        (
            each.need.run_id[-8:],
            f"{each.need.kind} {each.need.name}",
            f"{each.done.looked:,}",
            coloured(_state(each), _COLOURS[_state(each)]),
        )
        for each in done
    ]
    if rows:
        table(rows, ("run", "what", "blobs", "state"), right=(2,), elastic=1)
    for each in done:
        for key in each.done.mended:
            note(f"written again: {clean(key)}")
        for digest in each.done.lost:
            note(f"right nowhere: {digest}, of {each.need.kind} {clean(each.need.name)}")
    bad = sum(_CODES[_state(each)] != 0 for each in done)
    note(f"{shown(remote)}: {counted(len(done) - bad, 'thing')} right" + (f", {bad:,} not" if bad else ""))


def _document(each: Mended) -> dict[str, Any]:
    return {
        "run": each.need.run_id,
        "kind": each.need.kind,
        "name": each.need.name,
        "digest": each.need.digest,
        "blobs": each.done.looked,
        "wrong": list(each.done.wrong),
        "mended": list(each.done.mended),
        "sent": each.done.sent,
        "lost": list(each.done.lost),
        "state": _state(each).lower(),
    }
