"""The evaluations of a run, and what the predictions that are kept of them come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import BlobMissing, GitreproError
from ..records.evaluation import Evaluation, evaluation_from
from ..records.run import RunRecord
from ..store.place import store_of
from ..store.repository import Repository

if TYPE_CHECKING:
    from ..analysis.recomputed import Recomputed

LIMIT_BYTES: Final = 256 << 20
"""Of one file of predictions: twenty million examples. Larger ones are not read here."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One evaluation of a run.

    Attributes:
        entry: as the record has it; None where that cannot be read.
        here: whether its predictions are in the store of this clone.
        metrics: each metric, computed once more from them.
        faults: where the record is not what the predictions are.
        remarks: what is as the record says, and is no good evidence: examples twice, or missing.
        trouble: why nothing could be computed, though the predictions are here.
    """

    entry: Evaluation | None
    here: bool = False
    metrics: tuple[Recomputed, ...] = ()
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    trouble: str = ""


@final
class PredictedOf:
    """Reads the predictions of runs."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def of(self, record: RunRecord | None) -> tuple[Scored, ...]:
        """What each evaluation of a run comes to. What cannot be read is part of the answer."""
        entries = record.evaluations if record else ()
        return tuple(self._one(entry, f"run {record.id[-8:]}" if record else "") for entry in entries)

    def _one(self, entry: Mapping[str, Any], source: str) -> Scored:
        # pyarrow, for those alone who have predictions.
        from ..analysis.recomputed import examine

        try:
            found = Scored(entry=evaluation_from(entry, source=source))
        except GitreproError as error:
            return Scored(entry=None, trouble=_said(error))
        assert found.entry is not None
        try:
            data = store_of(self._repository).get(found.entry.predictions, limit_bytes=LIMIT_BYTES)
        except BlobMissing:
            return found
        except GitreproError as error:
            return replace(found, trouble=_said(error))
        try:
            seen = examine(entry, data, source=source)
        except GitreproError as error:
            return replace(found, here=True, trouble=_said(error))
        return replace(found, here=True, metrics=seen.metrics, faults=seen.faults, remarks=seen.remarks)


def _said(error: GitreproError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what
