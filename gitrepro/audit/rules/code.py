"""The rule `code`: the commit of the result holds exactly the code that ran."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from .checkpoints import strangers
from .finding import FILES_AT_MOST, Finding, listed, per_run, words

_Fault: TypeAlias = tuple[str, str]
_AGAIN = "run it again in a Git repository with all code committed"


def code(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """FAIL unless a commit that is here holds the code of every run, and it is the code of the result.

    Code that was not committed at the start passes with a WARN once `gitrepro promote` made a commit of it, judged by
    the trees and not by what the event says; at the level strict it does not.

    Imported files that Git ignores pass with a WARN where the run kept them as they were: a generated `_version.py`
    cannot well be committed.

    A checkpoint that says it came out of other code, another config or other data than its run is no checkpoint of it.

    What trained the model of a run that only evaluates is judged too, by the commit that it ran at.
    """
    behind = {attempt.id for each in evidence.behind for attempt in (each, *each.earlier)}

    def judge(run: RunEvidence) -> tuple[list[Finding], dict[str, Any]]:
        return _findings(_own(claim, run) if run.id in behind else claim, run), _facts(run)

    return per_run("code", claim, evidence.whole, judge, earlier=True)


def _own(claim: Claim, run: RunEvidence) -> Claim:
    """What trained the model that is evaluated may have run at a commit of its own."""
    return replace(claim, commit=run.code.get("commit"), code_tree=run.commit_tree)


def _facts(run: RunEvidence) -> dict[str, Any]:
    facts = {
        "changes": words(run.code.get("changes"))[:FILES_AT_MOST],
        "commit": run.code.get("commit"),
        "dirty": run.code.get("dirty"),
        "edited": _edited(run)[:FILES_AT_MOST],
        "here": run.commit_tree is not None,
        "tree": run.commit_tree,
    }
    if run.promoted:
        facts["promoted"] = {"branch": run.promoted.branch, "commit": run.promoted.commit, "tree": run.promoted.tree}
    return facts


def _findings(claim: Claim, run: RunEvidence) -> list[Finding]:
    fault = _fault(claim, run)
    if fault is not None:
        return [Finding(Verdict.FAIL, *fault)]
    passed = Finding(Verdict.PASS, f"it ran the code of commit {str(run.code['commit'])[:12]}, unchanged")
    return _doubts(run) or [passed]


def _doubts(run: RunEvidence) -> list[Finding]:
    found = []
    if run.promoted and run.code.get("dirty") is not False:
        why = f"dirty at start, committed later as {run.promoted.commit[:12]}"
        found.append(Finding(Verdict.WARN, why, "commit before you run"))
    if edited := _edited(run):
        why = f"{listed(edited)} changed while it ran; what was read before is as committed"
        found.append(Finding(Verdict.WARN, why, "run it in a work tree of its own: `git worktree add`"))
    if other := [path for path in run.converted if path not in edited]:
        why = f"{listed(other)} was imported with other bytes than the commit holds: converted at checkout, or edited"
        found.append(Finding(Verdict.WARN, why, "run it in a work tree of its own: `git worktree add`"))
    if ignored := [path for path in run.ignored if _is_source(path)]:
        why = f"it imported {listed(ignored)}, which Git ignores: kept beside its commit, and not in it"
        found.append(Finding(Verdict.WARN, why, f"`git add --force {ignored[0]}`, unless it is generated"))
    if built := [path for path in (*run.unheld, *run.ignored) if not _is_source(path)]:
        why = f"{listed(built)} was imported, and is built from what no record names"
        found.append(Finding(Verdict.WARN, why, "commit its source, and how it is built"))
    return found


def _fault(claim: Claim, run: RunEvidence) -> _Fault | None:
    if run.record is None or run.record.code is None:
        return "it was recorded without a repository, so its code is not known", _AGAIN
    if run.code.get("commit") is None and not run.code.get("snapshot"):
        return f"no commit is on record for it{_because(run.code.get('trouble'))}", _AGAIN
    fault = _fault_of_clean(claim, run) if run.code.get("dirty") is False else _fault_of_dirty(claim, run)
    return fault or _fault_of_imports(run) or _fault_of_checkpoints(run)


def _fault_of_checkpoints(run: RunEvidence) -> _Fault | None:
    if found := strangers(run):
        return f"{listed(found)}", "save checkpoints with `run.checkpoint(...)` in the run that they belong to"
    return None


def _fault_of_clean(claim: Claim, run: RunEvidence) -> _Fault | None:
    commit = str(run.code["commit"])
    if run.commit_tree is None:
        fetch = "fetch the branch it is on, or `git fetch REMOTE refs/gitrepro/code`"
        return f"its commit {commit[:12]} is not in this repository", fetch
    if run.code.get("tree") not in (None, run.commit_tree):
        return f"its record names another code tree than commit {commit[:12]} holds", _AGAIN
    if commit != claim.commit and run.commit_tree != claim.code_tree:
        return _elsewhere(claim, commit)
    return None


def _fault_of_dirty(claim: Claim, run: RunEvidence) -> _Fault | None:
    if run.promoted is None:
        return _dirty_words(run), _dirty_repair(claim, run)
    if claim.level == "strict":
        why = f"dirty at start, committed later as {run.promoted.commit[:12]}; strict wants it committed before"
        return why, "check that commit out and run it again: `gitrepro record -- COMMAND`"
    return hindrance(run) or _fault_of_promoted(claim, run)


def _dirty_repair(claim: Claim, run: RunEvidence) -> str:
    if claim.level == "strict" or not run.code.get("snapshot") or hindrance(run):
        return "commit the changes, then run it again"
    return f"`gitrepro promote {run.id[-8:]}` makes a commit of what ran; or commit the changes, then run it again"


def hindrance(run: RunEvidence) -> _Fault | None:
    """Why no commit can hold the code of a dirty run; None when its snapshot does."""
    left_out = [str(each.get("path")) for each in run.code.get("left_out") or () if isinstance(each, dict)]
    if left_out:
        return f"its snapshot leaves out {listed(left_out)}", "commit the changes, then run it again"
    if edited := _edited(run):
        return f"{listed(edited)} changed while it ran, so its snapshot may not be what ran", "run it again"
    return _fault_of_imports(run)


def _fault_of_imports(run: RunEvidence) -> _Fault | None:
    if missing := [path for path in run.unheld if _is_source(path)]:
        repair = f"`git add --force {missing[0]}` and commit it, then run it again"
        return f"it imported {listed(missing)}, which its commit does not hold", repair
    return None


def _fault_of_promoted(claim: Claim, run: RunEvidence) -> _Fault | None:
    assert run.promoted is not None
    commit, again = run.promoted.commit, f"`gitrepro promote {run.id[-8:]}`"
    if run.promoted.tree is None:
        return f"the commit {commit[:12]} that it was promoted to is not in this repository", again
    if run.promoted.tree != run.code.get("tree"):
        return f"the commit {commit[:12]} that it was promoted to holds other code than ran", _AGAIN
    if not run.promoted.reachable:
        return f"the commit {commit[:12]} that it was promoted to is on no branch: {run.promoted.branch} moved", again
    if commit != claim.commit and run.promoted.tree != claim.code_tree:
        return _elsewhere(claim, commit)
    return None


def _elsewhere(claim: Claim, commit: str) -> _Fault:
    why = f"it ran at {commit[:12]}, and the result stands at {str(claim.commit)[:12]}, which is other code"
    return why, "name runs of one commit, or run it again at that commit"


def _edited(run: RunEvidence) -> list[str]:
    return words(run.code.get("edited"))


def _is_source(path: str) -> bool:
    return PurePosixPath(path).suffix in (".py", ".pyw", ".ipynb")


def _because(trouble: object) -> str:
    return f": {trouble}" if trouble else ""


def _dirty_words(run: RunEvidence) -> str:
    changes = words(run.code.get("changes"))
    count = run.code.get("changes_count") or len(changes)
    if not changes:
        return "whether its code was committed is not on record" if run.code.get("dirty") is None else "it ran dirty"
    more = f" and {count - FILES_AT_MOST} more" if count > FILES_AT_MOST else ""
    return f"it ran with uncommitted changes: {', '.join(changes[:FILES_AT_MOST])}{more}"
