"""`gitrepro verify --remote`: has each store remote what runs name, and are its bytes right?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..errors import NotFound, RemoteError
from ..store.repository import Repository
from ..sync.kept import Kept, kept_there
from ..sync.remotes import remotes
from .present import clean, coloured, counted, emit, note, table
from .progress import cleared, following
from .traffic import SCHEMA, chosen, shown

_OK: Final = "ok"
_MISSING: Final = "NOT THERE"
_WRONG: Final = "DAMAGED"
_COLOURS: Final = {_OK: "green", _MISSING: "yellow", _WRONG: "red"}


def verify_remotes(found: Repository, targets: Sequence[str], *, full: bool, as_json: bool) -> int:
    """Ask each store remote; the exit code: 1 where something is not there, 4 where something is wrong there.

    Raises:
        NotFound: there is no such run, or this clone follows no store remote.
        RemoteError: one cannot be asked; what the others said was told.
    """
    places = remotes(found)
    if not places:
        raise NotFound("this clone follows no store remote", do="`gitrepro remote add NAME URL` names one")
    run_ids = chosen(found, targets)
    kept: list[Kept] = []
    failed: RemoteError | None = None
    for place in places:
        try:
            for run_id in run_ids:
                kept += kept_there(
                    found,
                    run_id,
                    place,
                    full=full,
                    progress=following(f"reading from {place.name}", "blobs", rate=True),
                )
        except RemoteError as error:
            note(f"{shown(place)}: {clean(error)}")
            failed = failed or error
        finally:
            cleared()
    _show(kept, as_json=as_json)
    if failed is not None:
        raise failed
    return max((_CODES[_state(each)] for each in kept), default=0)


_CODES: Final = {_OK: 0, _MISSING: 1, _WRONG: 4}


def _state(each: Kept) -> str:
    return _WRONG if each.wrong else _MISSING if each.missing else _OK


def _show(kept: Sequence[Kept], *, as_json: bool) -> None:
    if as_json:
        emit({"schema": SCHEMA, "things": [_document(each) for each in kept]})
        return
    rows = [
        (
            each.need.run_id[-8:],
            each.remote.name,
            f"{each.need.kind} {each.need.name}",
            f"{each.blobs - each.missing - each.wrong:,} of {each.blobs:,}",
            coloured(_state(each), _COLOURS[_state(each)]),
        )
        for each in kept
    ]
    if rows:
        table(rows, ("run", "remote", "what", "blobs", "state"), right=(3,), elastic=2)
    gone = sum(not each.whole for each in kept)
    note(f"{counted(len(kept) - gone, 'thing')} there" + (f", {gone:,} not" if gone else ""))
    if any(each.missing for each in kept):
        note("`gitrepro push --runs RUN --checkpoints all` sends what is here")
    for name in dict.fromkeys(each.remote.name for each in kept if each.wrong):
        note(f"`gitrepro remote repair {name} RUN` writes right bytes over the wrong ones")


def _document(each: Kept) -> dict[str, Any]:
    need = each.need
    return {
        "run": need.run_id,
        "remote": each.remote.name,
        "kind": need.kind,
        "name": need.name,
        "digest": need.digest,
        "blobs": each.blobs,
        "missing": each.missing,
        "wrong": each.wrong,
        "state": _state(each).lower(),
    }
