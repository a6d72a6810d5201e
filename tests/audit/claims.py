"""Claims written out by hand, of runs and of checks beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gitrepro import audit as judging
from gitrepro.audit.evidence import Claim, Evidence, RunEvidence
from gitrepro.audit.named import Named
from gitrepro.audit.predicted import Scored
from gitrepro.policy import DEFAULT, Policy, Stage
from gitrepro.records import ids
from gitrepro.records.evaluation import Evaluation, Measured
from gitrepro.records.result import Check, Cited
from gitrepro.records.run import RunRecord
from tests.recorded_runs import seeded

COMMIT, TREE, RECORD = "c" * 40, "7" * 40, "e" * 40
SPLIT = "b3:" + "5" * 64
BLOB = "b3:" + "b" * 64


def run(*, of: dict[str, Any] | None = None, **changes: Any) -> RunEvidence:
    """The evidence of a sound run; `changes` are of its record, `of` of the evidence."""
    values: dict[str, Any] = {
        "id": ids.new_id(),
        "name": "brisk-otter",
        "kind": "train",
        "status": "finished",
        "started_at": "2026-01-02T03:04:05.678901Z",
        "duration_seconds": 1.0,
        "code": {"commit": COMMIT, "dirty": False, "changes": [], "changes_count": 0, "tree": TREE},
        "seeds": seeded(),
        "metrics": {"loss": {"count": 10, "nonfinite": 0}},
        "cost": {"cpu_user_seconds": 1.0, "cpu_system_seconds": 0.1, "peak_memory_bytes": 1000},
    }
    record = RunRecord(**{**values, **changes})
    config = {"values": {"lr": 0.1}, "sources": {"lr": "cli"}, "overridden": {}, "format": 1}
    found = RunEvidence(id=record.id, tree=RECORD, record=record, config=config, commit_tree=TREE)
    return replace(found, **(of or {}))


def checks(*lines: dict[str, Any], tree: str = TREE, of: dict[str, Any] | None = None, **changes: Any) -> RunEvidence:
    """A check run with these lines on record, of the code `tree`."""
    code = {"commit": COMMIT, "dirty": False, "tree": tree}
    return run(kind="data-check", checked=lines, code=code, of=of, **changes)


def split_of(digest: str = SPLIT) -> tuple[Named, ...]:
    return (Named(what="default@v1 of digits", data="digits", digest=digest, split=True),)


def evaluation(**changes: Any) -> Evaluation:
    values: dict[str, Any] = {
        "name": "val",
        "part": "val",
        "split": None,
        "examples": 100,
        "distinct": 100,
        "expected": 100,
        "examples_digest": "b3:" + "1" * 64,
        "predictions": BLOB,
        "size_bytes": 1000,
        "classes": None,
        "metrics": {"accuracy": accuracy(0.9)},
    }
    return Evaluation(**{**values, **changes})


def accuracy(value: float) -> Measured:
    return Measured(value=value, goal="max", function="accuracy@1", digest="b3:" + "a" * 64)


def scored(**changes: Any) -> tuple[Scored, ...]:
    """One evaluation, of which nothing was computed again."""
    told = {
        name: changes.pop(name) for name in ("here", "metrics_again", "faults", "remarks", "trouble") if name in changes
    }
    again = told.pop("metrics_again", ())
    return (Scored(entry=evaluation(**changes), metrics=again, **told),)


def check(
    rule: str,
    *runs: RunEvidence,
    beside: Sequence[RunEvidence] = (),
    policy: Policy = DEFAULT,
    holdouts: dict[str, Any] | None = None,
    **changes: Any,
) -> Check:
    """What a rule says of a claim at level standard."""
    cited, checked = (
        tuple(Cited(id=each.id, tree=each.tree or "", commit=COMMIT) for each in some) for some in (runs, beside)
    )
    claim = Claim(
        runs=cited, commit=COMMIT, code_tree=TREE, level="standard", stage=Stage.TAG, tag="result/x", evidence=checked
    )
    evidence = Evidence(runs=runs, as_of="a" * 40, checks=tuple(beside), holdouts=holdouts or {})
    found = judging.audit(replace(claim, **changes), evidence, policy)
    return next(each for each in found.checks if each.rule == rule)


def verdict(rule: str, *runs: RunEvidence, **changes: Any) -> str:
    return str(check(rule, *runs, **changes).verdict)
