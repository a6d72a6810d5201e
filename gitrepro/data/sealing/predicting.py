"""Commit to predictions before anybody looks at what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, final

from ...errors import Damaged, NotFound
from ...records.fields import is_digest
from ...records.holdout import Entry
from ...records.predictions import FILE, Predicted, dump, load
from ...records.run import RunRecord
from ...store.fold import Identity
from ...store.place import store_of
from ...store.repository import Repository
from . import book
from .contents import Holdout, ids_of
from .matching import check_form, in_order
from .reading import predictions_in
from .seals import seal_of

_BYTES_AT_MOST: Final = 2 << 30


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What came of committing predictions. `new` is False where the very same wait for their score already."""

    entry: Entry
    new: bool


def commit(
    repository: Repository,
    holdout: Holdout,
    predicted: Predicted,
    *,
    source: str,
    run: str | None = None,
    reason: str = "",
    identity: Identity,
    at: str,
) -> Committed:
    """Put predictions of a sealed part on record. Durable once this returns.

    Args:
        predicted: of each example of the part, once; what it says of the truth is left out.
        source: where they come from, for messages.
        run: which run made them.

    Raises:
        NotFound: the part is not sealed.
        UsageError: the ids are not those of the part, a prediction is missing or NaN, or a metric cannot take them.
        StorageError: the disk refuses.
    """
    from ...analysis.metrics import named

    entries = book.entries(repository, holdout)
    seal = seal_of(entries, holdout)
    ordered = in_order(predicted, ids_of(repository, holdout), source=source)
    for metric in seal.terms.metrics:
        check_form(named(metric), ordered)
    data = dump(ordered)
    digest = store_of(repository).put(data)
    same = next((each for each in unscored(entries) if each.detail.get("predictions") == digest), None)
    if same is not None:
        return Committed(entry=same, new=False)
    detail = {"examples": len(ordered), "predictions": digest, "seal": seal.entry.id, "size_bytes": len(data)}
    entry = book.write(repository, holdout, "predict", detail, run=run, reason=reason, identity=identity, at=at)
    return Committed(entry=entry, new=True)


def unscored(entries: Sequence[Entry]) -> list[Entry]:
    """The predictions that were committed and not yet scored, in the order of the log."""
    scored = {each.detail.get("predict") for each in entries if each.op == "score"}
    return [each for each in entries if each.op == "predict" and each.id not in scored]


def committed(repository: Repository, entry: Entry, ids: Sequence[str]) -> Predicted:
    """The predictions that an entry names, of exactly these examples and in this order.

    Raises:
        BlobMissing: they are not here, and in no store remote.
        Damaged: they are not those of the entry.
        UsageError: they are of other examples.
    """
    from ...sync.get import ensure

    source = f"entry {entry.id} of the holdout log"
    digest = str(entry.detail.get("predictions"))
    if not is_digest(digest):
        raise Damaged(f"{source} names no predictions", why=f"it says {digest:.60}")
    ensure(repository, [digest])
    found = load(store_of(repository).get(digest, limit_bytes=_BYTES_AT_MOST), source=source)
    return in_order(found, ids, source=source)


def of_run(repository: Repository, record: RunRecord, holdout: Holdout) -> Predicted:
    """The predictions that a run made of a part: of its last evaluation, or its artifact `predictions.<part>.*`.

    Raises:
        NotFound: it has neither.
        UsageError: the artifact cannot be read as predictions.
        BlobMissing: they are not here, and in no store remote.
        Damaged: they are not what was stored.
    """
    from ...sync.get import ensure

    name, digest = _named_by(record, holdout)
    ensure(repository, [digest], runs=[record.id])
    return predictions_in(store_of(repository).get(digest, limit_bytes=_BYTES_AT_MOST), name)


def _named_by(record: RunRecord, holdout: Holdout) -> tuple[str, str]:
    """The name and the blob of a run's predictions of a part."""
    evaluated = [each for each in record.evaluations if _is_of(each, holdout)]
    if evaluated:
        return FILE, str(evaluated[-1].get("predictions"))
    kept = [each for each in record.artifacts if PurePath(str(each.get("name"))).stem == f"predictions.{holdout.part}"]
    if kept:
        return str(kept[-1].get("name")), str(kept[-1].get("blob"))
    raise NotFound(
        f"run {record.id[-8:]} has no predictions of {holdout}",
        why=f"it has neither a run.evaluate of that part nor an artifact predictions.{holdout.part}.parquet",
        do="`gitrepro holdout predict FILE --run RUN`, with a file of ids and predictions",
    )


def _is_of(entry: object, holdout: Holdout) -> bool:
    if not isinstance(entry, dict):
        return False
    split = entry.get("split")
    return isinstance(split, dict) and split.get("digest") == holdout.split.digest and entry.get("part") == holdout.part
