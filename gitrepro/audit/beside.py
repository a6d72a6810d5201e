"""Check runs that are evidence for a claim, found by themselves: those of the same code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import GitreproError
from ..policy import need
from ..records.result import Need
from ..records.run import Kind
from ..store.index import Index
from ..store.runs import RunTree
from .evidence import Claim, RunEvidence
from .rules.tied import trees_of

CHECK_KINDS: Final = (Kind.DATA_CHECK,)
"""The kinds of the runs that close a check, and have on record what it found."""
_JUDGED_BY_CHECKS: Final = ("baseline", "shuffle", "overfit", "distribution", "separation")
_LOOKED_AT: Final = 200
"""Check runs that are looked at, the newest first."""
_CITED: Final = 20
"""Check runs that a result cites by itself, the newest first: further ones would make its records large, and no
other."""


def find_checks(tree: RunTree, claim: Claim, runs: Sequence[RunEvidence]) -> list[str]:
    """The finished check runs of the code of some runs, the newest first.

    None where nothing that a check shows is asked of the claim, so that what a level does not look at costs nothing.
    """
    if all(need(claim.level, rule, claim.stage) is Need.OFF for rule in _JUDGED_BY_CHECKS):
        return []
    trees = trees_of(runs, of_claim=claim.code_tree)
    kinds = ", ".join(f"'{kind}'" for kind in CHECK_KINDS)
    where = f"removed = 0 AND status = 'finished' AND kind IN ({kinds})"
    with Index(tree.repository) as index:
        found = index.ids(where=where, limit=_LOOKED_AT)
    return [run for run in found if _is_of(tree, run, trees)][:_CITED]


def _is_of(tree: RunTree, run: str, trees: set[str]) -> bool:
    try:
        record = tree.run(run)
    except GitreproError:
        return False
    return bool(record.checked) and (record.code or {}).get("tree") in trees
