"""Proof that holdout logs are whole: their chains, and what the records of runs have seen of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ...records.run import RunRecord
from ...store.fsck import DAMAGED, OK, Proof
from ...store.repository import Repository
from ...store.runs import RunTree
from .anchoring import anchored_runs, anchors, broken_anchors
from .log import Log, log_of, splits_with_log

_DO: Final = "fetch refs/gitrepro/runs from a clone that has all of it: `gitrepro pull` merges its entries"


def verify_logs(repository: Repository) -> list[Proof]:
    """Look at every holdout log on record, and at those that only runs know of."""
    with RunTree(repository) as tree:
        records = anchored_runs(tree)
        return list(_proofs(tree, splits_with_log(tree), records))


def verify_anchors(repository: Repository, run_id: str) -> list[Proof]:
    """Look at the holdout logs that one run has seen. Raises as `RunTree.run` does."""
    with RunTree(repository) as tree:
        return list(_proofs(tree, (), [tree.run(run_id)]))


def _proofs(tree: RunTree, splits: Iterable[str], records: list[RunRecord]) -> Iterator[Proof]:
    seen = [str(anchor.get("split")) for record in records for anchor in anchors(record)]
    for split in sorted({*splits, *seen}):
        log = log_of(tree, split)
        troubles = (*log.troubles, *broken_anchors(log, records))
        yield Proof(
            what=f"holdout log of {_called(log)}",
            digest=split,
            size_bytes=None,
            state=DAMAGED if troubles else OK,
            why="; ".join(troubles[:3]) + (f"; and {len(troubles) - 3} more" if len(troubles) > 3 else ""),
            do=_DO if troubles else "",
        )


def _called(log: Log) -> str:
    last = log.entries[-1] if log.entries else None
    return f"{last.dataset}/{last.name}@{last.version}" if last else f"split {log.split[:15]}"
