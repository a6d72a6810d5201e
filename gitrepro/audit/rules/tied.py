"""Whether a check that is on record was one of the experiment that a claim is made of: the same code, the same data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from ...records.result import Verdict
from ..evidence import Claim, Evidence, RunEvidence
from .finding import Finding, mapping

EXAMPLES: Final = "/examples"
"""Ends the name of an input of a line that is the digest of ids and labels of one part, as an evaluation has it."""
OTHER: Final = "other"
_SAME, _UNKNOWN = "same", "not known"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """What a check run has in common with the runs of a claim. Each is `same`, `other` or `not known`.

    Attributes:
        code: by the trees of what ran.
        data: by the digest of the split, or of ids and labels of a part.
    """

    code: str
    data: str

    @property
    def stands(self) -> bool:
        """Whether nothing says that it was a check of something else."""
        return self.code == _SAME and self.data != OTHER

    def document(self) -> dict[str, Any]:
        return {"code": self.code, "data": self.data}

    def doubts(self) -> list[Finding]:
        """What keeps the check from being evidence, or good evidence."""
        found = []
        if self.data == OTHER:
            why = "the check was made of other data than the runs: neither its split nor its examples are theirs"
            repair = "check the task on the split of the runs, with the same ids, and cite that: `--evidence RUN`"
            found.append(Finding(Verdict.INCONCLUSIVE, why, repair))
        if self.code != _SAME:
            why = f"the code that was checked is {'another than' if self.code == OTHER else 'not known to be'} that of "
            found.append(Finding(Verdict.WARN, f"{why}the result", "check it again at the commit of the result"))
        if self.data == _UNKNOWN:
            why = "nothing on record says that the check was made of the data of the runs"
            found.append(
                Finding(
                    Verdict.WARN,
                    why,
                    "evaluate what the check scores, with the same ids and labels: `run.evaluate(..., split=PART)`",
                )
            )
        return found


def tie_of(claim: Claim, evidence: Evidence, run: RunEvidence) -> Tie:
    """What a check run has in common with the runs of a claim."""
    whole = evidence.whole
    return Tie(code=_code(claim, whole, run), data=_data(whole.runs, run))


def trees_of(runs: Iterable[RunEvidence], *, of_claim: str | None) -> set[str]:
    """The Git trees of the code of runs, and of the commit that a claim stands at."""
    trees = {str(run.code.get("tree")) for run in runs if run.code.get("tree")}
    return trees | ({of_claim} if of_claim else set())


def _code(claim: Claim, evidence: Evidence, run: RunEvidence) -> str:
    tree = run.code.get("tree")
    if not isinstance(tree, str):
        return _UNKNOWN
    return _SAME if tree in trees_of(evidence.runs, of_claim=claim.code_tree) else OTHER


def _data(runs: Iterable[RunEvidence], check: RunEvidence) -> str:
    """By whatever digest both of them have. One of a kind that is shared is enough; none shared is other data."""
    runs = list(runs)
    pairs = [(set().union(*map(_splits, runs)), _splits(check))]
    parts = {part for run in runs for part in _examples(run)} & {*_examples(check)}
    for part in parts:
        pairs.append((set().union(*(_examples(run).get(part, set()) for run in runs)), _examples(check)[part]))
    known = [(one, other) for one, other in pairs if one and other]
    if not known:
        return _UNKNOWN
    return _SAME if any(one & other for one, other in known) else OTHER


def _splits(run: RunEvidence) -> set[str]:
    return {named.digest for named in run.named if named.split}


def _examples(run: RunEvidence) -> dict[str, set[str]]:
    """By part, digests of its ids and labels."""
    found: dict[str, set[str]] = {}
    for scored in run.scored:
        if scored.entry is not None:
            found.setdefault(scored.entry.part, set()).add(scored.entry.examples_digest)
    for entry in run.record.checked if run.record else ():
        for name, digest in mapping(entry.get("inputs")).items():
            if name.endswith(EXAMPLES):
                found.setdefault(name.removesuffix(EXAMPLES), set()).add(str(digest))
    return found


def lines_of(run: RunEvidence, rule: str) -> list[Mapping[str, Any]]:
    """The lines of a rule that a check run has on record."""
    return [each for each in (run.record.checked if run.record else ()) if each.get("rule") == rule]
