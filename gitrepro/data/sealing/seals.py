"""Make a seal, hand one on to other keys, and open one, in memory only.

A seal is an entry of the holdout log and a blob that it names. The blob is durable before the entry is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from ...errors import Conflict, Damaged, NotFound, UsageError
from ...records.fields import are_texts
from ...records.holdout import Entry
from ...records.sealed import INPUTS, KEY_BYTES, LABEL, LABELS, Contents, dump_sealed, load_sealed
from ...store.fold import Identity
from ...store.objects import BlobStore
from ...store.place import store_of
from ...store.repository import Repository
from . import book
from .contents import Holdout
from .keys import Recipient, decrypt, encrypt, recorded
from .terms import Terms

_SEALED_BYTES_AT_MOST: Final = 2 << 30


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A seal as the log has it."""

    entry: Entry
    holdout: Holdout
    recipients: tuple[Recipient, ...]
    terms: Terms
    blobs: Mapping[str, str]
    """By kind: `labels`, and `inputs` where they are sealed too."""
    commitments: Mapping[str, str]
    examples: int


def seal(
    repository: Repository,
    holdout: Holdout,
    contents: Sequence[Contents],
    to: Sequence[Recipient],
    terms: Terms,
    *,
    source: str,
    reason: str = "",
    anew: bool = False,
    identity: Identity,
    at: str,
) -> Seal:
    """Seal what a part holds. Durable once this returns.

    Args:
        contents: the labels; its inputs too where they are to be sealed.
        source: where the labels still lie in plain text: `store`, `linked` or `file`.
        anew: although it is sealed already, since nobody can open that seal any more; wants a reason.

    Raises:
        UsageError: the terms cannot be, do not fit the labels, or a reason is wanted.
        Conflict: the part is sealed already.
        StorageError: the disk refuses.
    """
    terms.check().check_labels(contents[0].table.column(LABEL).to_pylist())
    _check_free(repository, holdout, anew=anew, reason=reason)
    store = store_of(repository)
    sealed = {each.kind: _put(store, each, to) for each in contents}
    detail = {
        **terms.document(),
        "examples": len(contents[0].table),
        "recipients": [each.text for each in to],
        "replaces": None,
        "sealed": sealed,
        "source": source,
    }
    return seal_from(book.write(repository, holdout, "seal", detail, reason=reason, identity=identity, at=at), holdout)


def _put(store: BlobStore, contents: Contents, to: Sequence[Recipient]) -> dict[str, Any]:
    data, committed = dump_sealed(contents, key=secrets.token_bytes(KEY_BYTES))
    return _put_encrypted(store, data, committed, to)


def _put_encrypted(store: BlobStore, data: bytes, committed: str, to: Sequence[Recipient]) -> dict[str, Any]:
    sealed = encrypt(data, to)
    return {"blob": store.put(sealed), "commitment": committed, "size_bytes": len(sealed)}


def _check_free(repository: Repository, holdout: Holdout, *, anew: bool, reason: str) -> None:
    there = find_seal(book.entries(repository, holdout), holdout)
    if there is None:
        return
    if not anew:
        raise Conflict(
            f"{holdout} is sealed already, since {there.entry.at[:10]}",
            why=f"it is sealed to {', '.join(each.shown for each in there.recipients)}",
            do="hand it on to other keys with --identity FILE; if all keys are lost, --anew and a --reason",
        )
    if not reason.strip():
        raise UsageError("a second seal needs a reason", why="it stays visible for ever", do="--reason TEXT")


def hand_on(
    repository: Repository, old: Seal, to: Sequence[Recipient], keys: Sequence[Any], *, identity: Identity, at: str
) -> Seal:
    """Seal the same to other keys: somebody came, or left. What was sealed, and what it allows, stays as it is.

    Who could open the old seal still can: its blob is in the history.

    Raises:
        WrongKey: none of the keys opens it. Damaged: it is not what was sealed.
    """
    store = store_of(repository)
    sealed = {
        kind: _put_encrypted(store, _opened(repository, old, kind, keys)[0], old.commitments[kind], to)
        for kind in old.blobs
    }
    detail = {
        **old.entry.detail,
        "recipients": [each.text for each in to],
        "replaces": old.entry.id,
        "sealed": sealed,
    }
    return seal_from(book.write(repository, old.holdout, "seal", detail, identity=identity, at=at), old.holdout)


# -- reading


def find_seal(entries: Sequence[Entry], holdout: Holdout) -> Seal | None:
    """The seal that holds for a part: the last one in its entries; None where it is not sealed."""
    found = [each for each in entries if each.op == "seal"]
    return seal_from(found[-1], holdout) if found else None


def seal_of(entries: Sequence[Entry], holdout: Holdout) -> Seal:
    """As `find_seal`; raises NotFound where the part is not sealed."""
    found = find_seal(entries, holdout)
    if found is None:
        ref = f"{holdout.split.dataset['name']}/{holdout.split.name}"
        raise NotFound(f"{holdout} is not sealed", do=f"`gitrepro holdout seal {ref} --part {holdout.part} --to KEY`")
    return found


def opened(repository: Repository, found: Seal, kind: str, keys: Sequence[Any]) -> Contents:
    """What a seal holds, in memory.

    Args:
        kind: `labels` or `inputs`.
        keys: as `keys.identities` gives them.

    Raises:
        WrongKey: none of the keys opens it.
        NotFound: inputs are not sealed here. BlobMissing: the blob is not here.
        Damaged: it is not what was sealed, or is of another part.
    """
    if kind not in found.blobs:
        raise NotFound(f"the {kind} of {found.holdout} are not sealed", why="only its labels are")
    source, contents = _source(found, kind), _opened(repository, found, kind, keys)[1]
    told = found.holdout.contents(kind, contents.table)
    if (contents.kind, contents.data, contents.split, contents.part) != (told.kind, told.data, told.split, told.part):
        raise Damaged(f"{source} holds the {contents.kind} of {contents.part} of another split or part")
    if len(contents.table) != found.examples:
        raise Damaged(f"{source} holds {len(contents.table):,} examples, and the log says {found.examples:,}")
    return contents


def _opened(repository: Repository, found: Seal, kind: str, keys: Sequence[Any]) -> tuple[bytes, Contents]:
    from ...sync.get import ensure

    source, digest = _source(found, kind), found.blobs[kind]
    ensure(repository, [digest])
    sealed = store_of(repository).get(digest, limit_bytes=_SEALED_BYTES_AT_MOST)
    data = decrypt(sealed, keys, to=found.recipients, source=source)
    return data, load_sealed(data, committed=found.commitments[kind], source=source)


def _source(found: Seal, kind: str) -> str:
    return f"the seal of {found.holdout}" + (", its inputs" if kind == INPUTS else "")


def seal_from(entry: Entry, holdout: Holdout) -> Seal:
    """The seal that an entry of the log makes. Raises Damaged where it makes none."""
    source = f"entry {entry.id} of the holdout log"
    detail = entry.detail
    try:
        sealed = {str(kind): each for kind, each in dict(detail["sealed"]).items()}
        if not are_texts(detail["metrics"]):
            raise ValueError("the list of its metrics")
        terms = Terms(metrics=tuple(detail["metrics"]), feedback=str(detail["feedback"]), budget=int(detail["budget"]))
        found = Seal(
            entry=entry,
            holdout=holdout,
            recipients=recorded(detail["recipients"], source=source),
            terms=terms,
            blobs={kind: str(each["blob"]) for kind, each in sealed.items()},
            commitments={kind: str(each["commitment"]) for kind, each in sealed.items()},
            examples=int(detail["examples"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{source} is no seal", why=f"{error} is missing or of another type") from error
    if LABELS not in found.blobs:
        raise Damaged(f"{source} is no seal", why="it names no labels")
    return found
