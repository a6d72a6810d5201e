"""Add an entry to a holdout log. It is durable before anybody is handed what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

from ...errors import StorageError, UsageError
from ...records import ids
from ...records.fields import check_name
from ...records.holdout import CONFIRM, OPEN, OPERATIONS, PURPOSES, Entry
from ...records.split import SplitRecord
from ...store import fs
from ...store.fold import Identity, Pending, enqueue, fold
from ...store.repository import Repository
from ...store.roots import pin_text
from .log import Log, known_log

REASON_CHARACTERS_AT_MOST: Final = 2_000
_WAIT_SECONDS: Final = 10.0
"""For other commands of this clone. A training that opens its test set is not to stand still for longer."""


def append(
    repository: Repository,
    *,
    op: str,
    split: SplitRecord,
    part: str,
    run: str | None = None,
    runs: Sequence[str] = (),
    purpose: str | None = None,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
    identity: Identity,
    at: str,
) -> Entry:
    """Add an entry to the log of a split. Durable once this returns; the blobs it names have to be durable before.

    Where the run ref cannot be written now, the entry waits in the queue and goes in with the next fold.

    Args:
        op: one of `records.holdout.OPERATIONS`.
        run: who opens the part; None where a person does.
        runs: of a `select` the runs that are chosen.
        purpose: of an `open` one of `records.holdout.PURPOSES`; `confirm` by default.
        detail: what the operation says besides.
        at: the time, for people.

    Raises:
        UsageError: there is no such operation, purpose or part, or the reason is too long.
        StorageError: the disk refuses; nothing is added.
    """
    with _alone(repository):
        entry = entry_after(
            known_log(repository, split.digest), op=op, split=split, part=part, run=run, runs=runs, purpose=purpose,
            reason=reason, detail=detail, identity=identity, at=at,
        )  # fmt: skip
        pin_text(repository, [entry.dump()])
        line = f"holdout {op} {part} of {entry.dataset}/{entry.name}@{entry.version}"
        files = {entry.path: entry.dump().decode()}
        enqueue(repository, Pending(kind="holdout", subject=entry.id, line=line, files=files))
    with suppress(StorageError):
        fold(repository, identity=identity, timeout_seconds=_WAIT_SECONDS)
    return entry


def entry_after(
    known: Log,
    *,
    op: str,
    split: SplitRecord,
    part: str,
    run: str | None = None,
    runs: Sequence[str] = (),
    purpose: str | None = None,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
    identity: Identity,
    at: str,
) -> Entry:
    """The entry that `append` would add to the log `known`; nothing is written. Raises UsageError as that does."""
    _check(op, split, part, purpose, reason)
    numbers = {each.digest: each.entry.number for each in known.held}
    return Entry(
        id=ids.new_id(),
        op=op,
        split=split.digest,
        dataset=split.dataset["name"],
        name=split.name,
        version=split.version,
        part=part,
        run=run,
        runs=tuple(sorted({*runs})),
        purpose=(purpose or CONFIRM) if op == OPEN else purpose,
        reason=reason.strip(),
        prev=known.heads,
        number=1 + max((numbers[digest] for digest in known.heads), default=0),
        actor={"email": identity.email, "name": identity.name},
        at=at,
        detail=dict(detail or {}),
    )


def _check(op: str, split: SplitRecord, part: str, purpose: str | None, reason: str) -> None:
    if op not in OPERATIONS:
        raise UsageError(f"a holdout log has no {op!r:.40}", do=f"one of {', '.join(OPERATIONS)}")
    if check_name(part, "a part") not in split.parts:
        parts = ", ".join([*split.parts][:10])
        raise UsageError(f"split {split.name}@{split.version} has no part {part!r:.80}", why=f"its parts are {parts}")
    if purpose is not None and purpose not in PURPOSES:
        raise UsageError(f"there is no purpose {purpose!r:.40}", do=f"one of {', '.join(PURPOSES)}")
    if len(reason) > REASON_CHARACTERS_AT_MOST:
        raise UsageError(
            f"the reason has {len(reason):,} characters", why=f"at most {REASON_CHARACTERS_AT_MOST:,} are kept"
        )


@contextmanager
def _alone(repository: Repository) -> Iterator[None]:
    """Be the only one in this clone who adds to a log. Where nothing can be locked, two are concurrent and both count.

    Raises:
        StorageError: the disk refuses.
    """
    with fs.explained(f"cannot write into {repository.home}"):
        fs.make_directories(repository.home)
    with ExitStack() as stack:
        with suppress(StorageError):
            stack.enter_context(fs.locked(repository.home / "holdout.lock", timeout_seconds=_WAIT_SECONDS))
        yield
